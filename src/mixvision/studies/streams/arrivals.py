"""Which images of two streams are new, and how well they are classified before the network learns from them."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

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


def prequential_accuracy(
    network: TrainedNetwork | None, images: pd.DataFrame, pixels: Mapping[str, np.ndarray]
) -> dict:
    """Prequential accuracy, "test then train" (Gama, Sebastiao and Rodrigues 2013): on images not yet trained on.

    New images whose component has a known one do not count, as they are easier than really new ones.

    Returns:
        nice_measured and real_measured (how many images), and the fractions nice_top1, real_top1 and performance_top1,
        NaN where there are none, as in the first run, which has no network yet.
    """
    counted = images[images["is_new"] & ~images["met"]]
    measured: dict[str, float] = {}
    for domain in DOMAINS:
        own = counted[counted["domain"] == domain]
        measured[f"{domain}_measured"] = 0 if network is None else len(own)
        measured[f"{domain}_top1"] = math.nan
        if network is not None and len(own):
            predicted = network.classify(pixels[domain][own["pixel_row"]]).argmax(1)
            measured[f"{domain}_top1"] = float((np.array(network.categories)[predicted] == own["category"]).mean())
    return {**measured, "performance_top1": math.sqrt(measured["nice_top1"] * measured["real_top1"])}


def _remembered(images: pd.DataFrame, state: State | None, column: str) -> pd.Series:
    """The value of a column of the state (as a float) for each of these images; NaN for new ones."""
    if state is None:
        return pd.Series(math.nan, index=images.index)
    by_pixels, by_file = (
        images[digest].map(state.images.set_index(digest)[column].astype(float))
        for digest in ("pixels_sha256", "sha256")
    )
    return by_pixels.fillna(by_file)
