"""One run of online learning: test on the new images, then continue training with them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from mixvision.models.trained import TrainedNetwork
from mixvision.studies.streams.arrivals import classify_new, prequential_accuracy, receive
from mixvision.studies.streams.buffers import fill_buffers, pool_buffers
from mixvision.studies.streams.settings import OnlineLearning
from mixvision.studies.streams.state import State
from mixvision.training.config import Continuation, Course, Start, Training
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.mixtures import require_both_domains
from mixvision.training.needs import warn_of_shortage
from mixvision.training.pool import ImagePool
from mixvision.training.results import trained_networks
from mixvision.training.sweep.engine import resnet25_builder, train_sweep
from mixvision.training.sweep.needs import sweep_needs
from mixvision.vocabulary import DOMAINS, LAST, NICE, snapshot_name

log = logging.getLogger(__name__)


def learn_on(
    before: State | None,
    manifest: pd.DataFrame,
    pixels: Mapping[str, np.ndarray],
    learning: OnlineLearning,
    training: Training,
    checkpoints: Path,
    events: TrainingListener = SILENT,
) -> State:
    """Do one run: test the network on the new images, and train it on the newest ones.

    Args:
        before: the state after the last run, or None in the first.
        manifest: one row per image; its splits are ignored.
        pixels: per domain, uint8 ``(N, S, S, 3)``, indexed by the manifest's ``pixel_row``.
        learning, training: which images to train on, and for how long.
        checkpoints: folder of the training's checkpoints.
        events: notified of the training's progress.

    Returns:
        the state after this run, which is ``before`` itself if nothing is new.

    Raises:
        ValueError: the images are of one domain, the settings differ from those of earlier runs, or the buffers have
            too few images.
    """
    require_both_domains(manifest)
    settings = {**asdict(learning), "image_size": pixels[NICE].shape[1]}
    if before is not None:
        before.require(settings)
    images = receive(manifest, before)
    if before is not None and not images["is_new"].any():
        log.info("No new images since run %d: nothing was trained.", len(before.arrivals))
        return before
    answers = classify_new(before.network if before else None, images, pixels)
    buffers = fill_buffers(images, learning)
    categories = before.network.categories if before else tuple(sorted(images["category"].unique()))
    pool = pool_buffers(buffers, pixels, categories)
    network = _train(before, pool, buffers, learning, training, checkpoints, events)
    arrival = _arrival(before, images, buffers, training) | prequential_accuracy(answers)
    arrivals = pd.concat([*([before.arrivals] if before else []), pd.DataFrame([arrival])], ignore_index=True)
    fresh = images.loc[images["is_new"], ["id", "sha256", "pixels_sha256", "run", "held_out"]]
    fresh = fresh.join(answers[["prediction", "probability"]])
    seen = pd.concat([*([before.images] if before else []), fresh], ignore_index=True)
    return State(network, seen, arrivals, settings)


def _train(
    before: State | None,
    pool: ImagePool,
    buffers: pd.DataFrame,
    learning: OnlineLearning,
    training: Training,
    checkpoints: Path,
    events: TrainingListener,
) -> TrainedNetwork:
    """Train from scratch in the first run, later by a warm restart (Loshchilov and Hutter 2017)."""
    trial = f"run-{_number(before):03d}"
    settings = {name: getattr(learning, name) for name in ("seed", "learning_rate", "l2")}
    trials = pd.DataFrame([{"trial": trial, **settings, "begin": _iterations(before)}])
    training_sets = buffers.loc[buffers["split"] == "train", ["id"]].sort_values("id").assign(trial=trial)
    warn_of_shortage("Training", sweep_needs(buffers, training_sets, pool.pixels.shape[1], training), training.device)
    continuation = Continuation({trial: Start(before.network.tensors)}) if before else None
    result = train_sweep(
        resnet25_builder(pool),
        trials,
        training_sets,
        pool,
        training,
        checkpoints,
        Course(continuation),
        events,
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
