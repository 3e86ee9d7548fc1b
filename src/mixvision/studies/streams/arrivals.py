"""Which images of two streams are new, and how well they are classified before the network learns from them."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from mixvision.evaluation.mistakes import confident_mistakes
from mixvision.models.trained import TrainedNetwork
from mixvision.studies.streams.state import State
from mixvision.vocabulary import DOMAINS

log = logging.getLogger(__name__)

ONE_HELD_OUT_OF = 10


def receive(manifest: pd.DataFrame, state: State | None) -> pd.DataFrame:
    """The kept images to learn from, each known from an earlier run or new.

    An image is recognised by its pixels or by its file (which another version may decode differently), not by its name.
    A tenth of the components (near-duplicates and groups) is held out, chosen by content. An image that joins one later
    is treated like the rest of it, and no decision is ever changed.

    Args:
        manifest: one row per image; its splits are ignored.
        state: what was learned so far; its categories are final, and images of others are left out with a warning.

    Returns:
        The manifest's rows with run (in which the image was new), is_new, met (whether its component has a known image)
        and held_out.
    """
    images = manifest[manifest["status"] == "kept"]
    if state is not None:
        known = images["category"].isin(state.network.categories)
        if not known.all():
            names = ", ".join(sorted(images.loc[~known, "category"].unique()))
            left_out = "%d images are left out, as the first run had no %s. Delete %s to start over with them."
            log.warning(left_out, (~known).sum(), names, state.folder)
        images = images[known]
    run, decided = (_remembered(images, state, name) for name in ("run", "held_out"))
    inherited = decided.groupby(images["component"]).transform("max")  # held out wins: those were never trained on
    content = images.groupby("component")["pixels_sha256"].transform("min")
    chosen = content.map(lambda digest: int(digest[:8], 16) % ONE_HELD_OUT_OF == 0)
    return images.assign(
        run=run.fillna(1 if state is None else len(state.arrivals) + 1).astype(int),
        is_new=run.isna(),
        met=inherited.notna(),
        held_out=decided.fillna(inherited).fillna(chosen.astype(float)).astype(bool),
    )


def classify_new(
    network: TrainedNetwork | None, images: pd.DataFrame, pixels: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Classify the images that a network has not been trained on.

    New images whose component has a known one do not count, as they are easier than really new ones.

    Returns:
        The rows of those images, with prediction and probability; none in the first run, which has no network yet.
    """
    counted = images[images["is_new"] & ~images["met"]].assign(prediction="", probability=math.nan)
    if network is None:
        return counted.head(0)
    for domain in DOMAINS:
        own = counted["domain"] == domain
        if own.any():
            probabilities = network.classify(pixels[domain][counted.loc[own, "pixel_row"]])
            counted.loc[own, "prediction"] = np.array(network.categories)[probabilities.argmax(1)]
            counted.loc[own, "probability"] = probabilities.max(1)
    return counted


def prequential_accuracy(answers: pd.DataFrame) -> dict:
    """Prequential accuracy, "test then train" (Gama, Sebastiao and Rodrigues 2013), of :func:`classify_new`.

    Returns:
        nice_measured and real_measured (how many images), and the fractions nice_top1, real_top1 and performance_top1,
        NaN where there are none.
    """
    right = answers["prediction"] == answers["category"]
    measured: dict[str, float] = {}
    for domain in DOMAINS:
        own = right[answers["domain"] == domain]
        measured |= {f"{domain}_measured": len(own), f"{domain}_top1": float(own.mean())}
    return {**measured, "performance_top1": math.sqrt(measured["nice_top1"] * measured["real_top1"])}


def last_mistakes(state: State, manifest: pd.DataFrame, count: int = 24) -> pd.DataFrame | None:
    """The most confident mistakes on the last arrival that was classified.

    Args:
        state: after the last run.
        manifest: one row per image; those that are no longer among them are left out.
        count: how many at most.

    Returns:
        As :func:`mixvision.evaluation.mistakes.confident_mistakes`; None if no image was classified before it was
        learned from.
    """
    answered = state.images.reindex(columns=["run", "prediction"]).dropna()
    if answered.empty:
        return None
    images = manifest[manifest["status"] == "kept"]
    names = ("run", "prediction", "probability")
    images = images.assign(**{name: _recalled(images, state, name) for name in names})
    arrived = images[images["run"] == answered["run"].max()].dropna(subset="prediction")
    joined = arrived.rename(columns={name: f"{name}_1" for name in names[1:]}).astype({"probability_1": float})
    return confident_mistakes(joined.assign(top1=joined["prediction_1"] == joined["category"]), count)


def _remembered(images: pd.DataFrame, state: State | None, column: str) -> pd.Series:
    """The value of a column of the state (as a float) for each of these images; NaN for new ones."""
    if state is None:
        return pd.Series(math.nan, index=images.index)
    return _recalled(images, state, column).astype(float)


def _recalled(images: pd.DataFrame, state: State, column: str) -> pd.Series:
    """The value of a column of the state for each of these images, by their pixels or else by their file."""
    digests = ("pixels_sha256", "sha256")
    by_pixels, by_file = (
        images[digest].map(state.images.set_index(digest)[column]).astype(object) for digest in digests
    )
    return by_pixels.fillna(by_file)
