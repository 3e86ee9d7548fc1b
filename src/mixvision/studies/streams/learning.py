"""Online learning from two streams: what is new, what to train on, and what one run leaves to the next."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mixvision.models.trained import TrainedNetwork
from mixvision.training.pool import BATCHES_PER_EPOCH, ImagePool, pool_images
from mixvision.vocabulary import DOMAINS

log = logging.getLogger(__name__)

ONE_HELD_OUT_OF = 10
NETWORK, IMAGES, ARRIVALS, SETTINGS = "network.safetensors", "images.parquet", "arrivals.parquet", "settings.json"


@dataclass(frozen=True)
class OnlineLearning:
    """How to learn from two streams of images.

    Attributes:
        buffer: how many images of each domain are learnt from, the newest of those that are still in the folder.
        real_share: share of real images in the training set, whole per cent from 1 to 99 (the study: 70, that is 3:7).
        learning_rate: at the beginning of every run.
        l2: factor on half the sum of squared weights.
        seed: of the first weights and of the batches.
    """

    buffer: int = 1000
    real_share: int = 70
    learning_rate: float = 0.004
    l2: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, lowest, highest in (("buffer", 1, math.inf), ("real_share", 1, 99), ("seed", 0, math.inf)):
            value = getattr(self, name)
            if type(value) is not int or not lowest <= value <= highest:
                allowed = f"{lowest} or more" if highest == math.inf else f"{lowest} to {highest}"
                raise ValueError(f"{name} is {value!r}; give a whole number of {allowed}.")
        for name, lowest in (("learning_rate", math.ulp(0)), ("l2", 0)):
            value = getattr(self, name)
            if type(value) not in (int, float) or not lowest <= value < math.inf:
                raise ValueError(f"{name} is {value!r}; give a number {'of 0 or more' if lowest == 0 else 'above 0'}.")


@dataclass(frozen=True)
class State:
    """What one run leaves to the next.

    The states after older runs are kept, so that deleting the newest folder undoes its run.

    Attributes:
        network: after the run.
        images: every image ever seen: id, sha256 (of the file), pixels_sha256, run (in which it was new), held_out
            (never trained on).
        arrivals: one row a run; see `mixvision.studies.streams.page`.
        settings: those under which all of it was learnt.
    """

    network: TrainedNetwork
    images: pd.DataFrame
    arrivals: pd.DataFrame
    settings: Mapping[str, Any]

    @classmethod
    def newest(cls, folder: Path) -> State | None:
        """The state after the last run that was completed, or None before the first."""
        found = [path for path in folder.glob("run-*") if re.fullmatch("run-[0-9]+", path.name)]
        runs = sorted(found, key=lambda path: int(path.name.removeprefix("run-")))
        if not runs:
            return None
        return cls(
            TrainedNetwork.load(runs[-1] / NETWORK),
            pd.read_parquet(runs[-1] / IMAGES),
            pd.read_parquet(runs[-1] / ARRIVALS),
            json.loads((runs[-1] / SETTINGS).read_text()),
        )

    def save(self, folder: Path) -> None:
        """Write ``run-<number>`` into the folder; it gets that name when it is complete, so that a kill leaves none."""
        partial = folder / f".partial-{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        self.network.save(partial / NETWORK)
        self.images.to_parquet(partial / IMAGES)
        self.arrivals.to_parquet(partial / ARRIVALS)
        (partial / SETTINGS).write_text(json.dumps(dict(self.settings)))
        partial.rename(folder / f"run-{len(self.arrivals):03d}")

    def require(self, settings: Mapping[str, Any], folder: Path) -> None:
        """Raises ValueError where the settings are not those under which the state was learnt."""
        for name, value in settings.items():
            if value != self.settings.get(name):
                raise ValueError(
                    f"{name} is {value!r}, but this network has learnt with {self.settings.get(name)!r} so far. "
                    f"Set it back, or delete {folder} to start anew."
                )


def receive(manifest: pd.DataFrame, state: State | None, folder: Path) -> pd.DataFrame:
    """The kept images that can be learnt from, each known from an earlier run or new.

    An image is known by its pixels or by its file (which another version may decode differently), not by its name. A
    tenth of the clusters of near-duplicates is held out, chosen by content; what joins a cluster later shares its fate,
    and what was decided once stays.

    Args:
        manifest: one row an image; its splits are ignored.
        state: what was learnt so far; its categories are final, and images of others are left out with a warning.
        folder: where the state is kept, for that warning.

    Returns:
        The manifest's rows with run (in which the image was new), is_new, met (whether its cluster holds a known
        image) and held_out.
    """
    images = manifest[manifest["status"] == "kept"]
    if state is not None:
        known = images["category"].isin(state.network.categories)
        if not known.all():
            names = ", ".join(sorted(images.loc[~known, "category"].unique()))
            left_out = "%d images are left out: the first run knew no %s. Delete %s to start anew with them."
            log.warning(left_out, (~known).sum(), names, folder)
        images = images[known]
    run, decided = (_remembered(images, state, name) for name in ("run", "held_out"))
    inherited = decided.groupby(images["cluster"]).transform("max")  # held out wins: those were never trained on
    content = images.groupby("cluster")["pixels_sha256"].transform("min")
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
    """Prequential accuracy, "test then train" (Gama, Sebastiao and Rodrigues 2013): on images still to be learnt from.

    New images with a near-duplicate among the known ones do not count: they would flatter.

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
        if measured[f"{domain}_measured"]:
            predicted = network.classify(pixels[domain][own["pixel_row"]]).argmax(1)
            measured[f"{domain}_top1"] = float((np.array(network.categories)[predicted] == own["category"]).mean())
    return {**measured, "performance_top1": math.sqrt(measured["nice_top1"] * measured["real_top1"])}


def fill_buffers(images: pd.DataFrame, learning: OnlineLearning) -> pd.DataFrame:
    """The newest images of each domain, and in ``split`` what they are for.

    Args:
        images: what :func:`receive` returns.
        learning: size of the buffers and share of real images.

    Returns:
        Their rows with split "validation" (held out), "train" (the newest that make up exactly the share of real
        images) or "" (those that are over).

    Raises:
        ValueError: the buffers do not hold 20 images in that ratio.
    """
    # Which image of one run came first is unknown. Content decides: by name, the last categories would fill a buffer.
    newest_first = images.sort_values(["run", "pixels_sha256"], ascending=[False, True])
    buffers = newest_first.groupby("domain").head(learning.buffer)
    free = buffers[~buffers["held_out"]]
    by_domain = [free.index[free["domain"] == domain] for domain in DOMAINS]
    divisor = math.gcd(learning.real_share, 100)
    parts = [(100 - learning.real_share) // divisor, learning.real_share // divisor]
    times = min(len(index) // part for index, part in zip(by_domain, parts, strict=True))
    if times * sum(parts) < BATCHES_PER_EPOCH:
        raise ValueError(
            f"The buffers hold {len(by_domain[0])} nice and {len(by_domain[1])} real images to train on: too few for "
            f"{BATCHES_PER_EPOCH} images of which {learning.real_share}% are real. Add images, or change buffer or "
            "real_share."
        )
    chosen = [index[: times * part] for index, part in zip(by_domain, parts, strict=True)]
    split = pd.Series(np.where(buffers["held_out"], "validation", ""), index=buffers.index, dtype=object)
    split[chosen[0].union(chosen[1])] = "train"
    return buffers.assign(split=split)


def pool_buffers(buffers: pd.DataFrame, pixels: Mapping[str, np.ndarray], categories: tuple[str, ...]) -> ImagePool:
    """The pool of the images that :func:`fill_buffers` chose, labelled by these (sorted) categories, present or not."""
    pool = pool_images(buffers, pixels, buffers.loc[buffers["split"] == "train", "id"], held_out=("validation",))
    labels = torch.from_numpy(np.searchsorted(categories, pool.categories))
    return replace(pool, categories=categories, labels=labels[pool.labels])


def _remembered(images: pd.DataFrame, state: State | None, column: str) -> pd.Series:
    """What the state holds in a column (as a float) about each of these images; NaN about new ones."""
    if state is None:
        return pd.Series(math.nan, index=images.index)
    by_pixels, by_file = (
        images[digest].map(state.images.set_index(digest)[column].astype(float))
        for digest in ("pixels_sha256", "sha256")
    )
    return by_pixels.fillna(by_file)
