"""Online learning from two folders that grow: classify what is new, then go on training with it."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.models.trained import TrainedNetwork
from mixvision.studies.streams import page as reporting
from mixvision.studies.streams.learning import (
    OnlineLearning,
    State,
    fill_buffers,
    pool_buffers,
    prequential_accuracy,
    receive,
)
from mixvision.training.config import Continuation, Start, Training
from mixvision.training.mixtures import require_both_domains
from mixvision.training.pool import ImagePool
from mixvision.training.results import trained_networks
from mixvision.training.sweep.engine import resnet25_builder, train_sweep
from mixvision.vocabulary import DOMAINS, LAST, snapshot_name

log = logging.getLogger(__name__)


def learn(
    manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    learning: OnlineLearning,
    training: Training,
    state: Path,
    checkpoints: Path,
) -> tuple[pd.DataFrame, str]:
    """One run: test the network on what is new, train it on the newest images, and remember it in the folder ``state``.

    Returns:
        one row a run so far, and a sentence on what this one did.
    """
    require_both_domains(manifest)
    pixels = pixels_by_domain(nice_images, real_images)
    before = State.newest(state)
    settings = {**asdict(learning), "image_size": nice_images.pixels.shape[1]}
    if before is not None:
        before.require(settings, state)
    images = receive(manifest, before, state)
    if not images["is_new"].any():
        news = f"Nothing new since run {len(before.arrivals)}: nothing was trained."
        log.info(news)
        return before.arrivals, news
    measured = prequential_accuracy(before.network if before else None, images, pixels)
    buffers = fill_buffers(images, learning)
    categories = before.network.categories if before else tuple(sorted(images["category"].unique()))
    network = _train(before, pool_buffers(buffers, pixels, categories), buffers, learning, training, checkpoints)
    arrival = _arrival(before, images, buffers, training) | measured
    arrivals = pd.concat([*([before.arrivals] if before else []), pd.DataFrame([arrival])], ignore_index=True)
    fresh = images.loc[images["is_new"], ["id", "sha256", "pixels_sha256", "run", "held_out"]]
    seen = pd.concat([*([before.images] if before else []), fresh], ignore_index=True)
    State(network, seen, arrivals, settings).save(state)
    news = f"Run {arrival['run']}: {arrival['nice_new']} new nice and {arrival['real_new']} new real images."
    return arrivals, news


def report(arrivals: pd.DataFrame, news: str, title: str) -> tuple[go.Figure, str, str]:
    """The accuracies on each arrival as a figure, the summary, and the page."""
    figure = reporting.prequential_figure(arrivals)
    return figure, reporting.summary(title, news, arrivals), reporting.streams_page(title, news, arrivals, figure)


def _train(
    before: State | None,
    pool: ImagePool,
    buffers: pd.DataFrame,
    learning: OnlineLearning,
    training: Training,
    checkpoints: Path,
) -> TrainedNetwork:
    """Train from scratch in the first run; later a warm restart (Loshchilov and Hutter 2017) from the last weights."""
    trial = f"run-{_number(before):03d}"
    settings = {name: getattr(learning, name) for name in ("seed", "learning_rate", "l2")}
    trials = pd.DataFrame([{"trial": trial, **settings, "begin": _iterations(before)}])
    training_sets = buffers.loc[buffers["split"] == "train", ["id"]].sort_values("id").assign(trial=trial)
    continuation = Continuation({trial: Start(before.network.tensors)}) if before else None
    result = train_sweep(
        resnet25_builder(pool), trials, training_sets, pool, training, checkpoints, continuation=continuation
    )
    return trained_networks(result.weights, pool)[snapshot_name(trial, LAST)]


def _arrival(before: State | None, images: pd.DataFrame, buffers: pd.DataFrame, training: Training) -> dict:
    row = {"run": _number(before), "iterations": _iterations(before) + training.iterations}
    counted = {"new": images[images["is_new"]], "buffer": buffers, "trained": buffers[buffers["split"] == "train"]}
    for name, chosen in counted.items():
        row |= {f"{domain}_{name}": int((chosen["domain"] == domain).sum()) for domain in DOMAINS}
    return row


def _number(before: State | None) -> int:
    return len(before.arrivals) + 1 if before else 1


def _iterations(before: State | None) -> int:
    return int(before.arrivals["iterations"].iloc[-1]) if before else 0
