"""The images of two streams to train on: the newest ones, real and nice images in a fixed ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from mixvision.studies.streams.settings import OnlineLearning
from mixvision.training.pool import BATCHES_PER_EPOCH, ImagePool, pool_images
from mixvision.vocabulary import DOMAINS


def fill_buffers(images: pd.DataFrame, learning: OnlineLearning) -> pd.DataFrame:
    """The newest images of each domain, with their purpose in ``split``.

    Args:
        images: what :func:`mixvision.studies.streams.arrivals.receive` returns.
        learning: size of the buffers and share of real images.

    Returns:
        Their rows with split "validation" (held out), "train" (the newest that make up exactly the share of real
        images) or "" (the surplus).

    Raises:
        ValueError: the buffers have too few images for 20 in that ratio.
    """
    # The order within a run is unknown. Sort by content: sorted by name, a few categories would fill a buffer.
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
