"""The images of a training run as one array on the device, and the order in which trials draw from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mixvision.vocabulary import HELD_OUT

BATCHES_PER_EPOCH = 20


@dataclass(frozen=True)
class ImagePool:
    """Every image that models are trained or evaluated on.

    Attributes:
        ids: N image ids of the manifest.
        categories: category names; a label is a position in them.
        pixels: uint8 ``(N, S, S, 3)``.
        labels: int64 ``(N,)``.
        is_real: bool ``(N,)``, False for the nice domain.
        held_out: positions of the images of each held-out split (validation, test), int64, by the split's name.
    """

    ids: np.ndarray
    categories: tuple[str, ...]
    pixels: Tensor
    labels: Tensor
    is_real: Tensor
    held_out: Mapping[str, Tensor]

    def to(self, device: torch.device) -> ImagePool:
        """The same pool with all tensors on a device."""
        return replace(
            self,
            pixels=self.pixels.to(device),
            labels=self.labels.to(device),
            is_real=self.is_real.to(device),
            held_out={split: positions.to(device) for split, positions in self.held_out.items()},
        )

    @property
    def all_held_out(self) -> Tensor:
        """Positions of all held-out images, split after split."""
        return torch.cat(list(self.held_out.values()))

    @property
    def not_held_out(self) -> np.ndarray:
        """Positions of all other images, int64, sorted."""
        return np.setdiff1d(np.arange(len(self.ids)), self.all_held_out.cpu().numpy())

    def gather(self, positions: Tensor) -> Tensor:
        """Gather images for K trials: positions ``(K, B)`` to floats in [0, 1], ``(B, K * 3, S, S)``, channels last.

        With positions ``(B,)`` all trials see the same images: ``(B, 3, S, S)``.
        """
        if positions.dim() == 2:
            pixels = self.pixels[positions.T].permute(0, 2, 3, 1, 4).flatten(3)
        else:
            pixels = self.pixels[positions]
        return pixels.permute(0, 3, 1, 2).to(torch.get_default_dtype()).div_(255)


def require_validation(manifest: pd.DataFrame) -> None:
    """Refuse a manifest in which a category has no validation images in any domain.

    Raises:
        ValueError: names these categories and the parameter to raise.
    """
    kept = manifest[manifest["status"] == "kept"]
    without = sorted(set(kept["category"]) - set(kept.loc[kept["split"] == "validation", "category"]))
    if without:
        raise ValueError(
            f"No validation image is left for {', '.join(map(repr, without))}: raise splits.validation, or add images "
            "that are not near-duplicates of each other, as these always share a split."
        )


def pool_images(
    manifest: pd.DataFrame,
    pixels: Mapping[str, np.ndarray],
    train: pd.Series,
    held_out: Sequence[str] = HELD_OUT,
) -> ImagePool:
    """Gather the pixels of the training images named by ``train`` (ids) and of all images of the held-out splits.

    ``pixels`` holds one uint8 array ``(n, S, S, 3)`` per domain, indexed by the manifest's ``pixel_row``. The pool's
    images are sorted by id, its categories by name.
    """
    kept = manifest[manifest["status"] == "kept"]
    rows = kept[kept["id"].isin(set(train)) | kept["split"].isin(held_out)].sort_values("id")
    categories = tuple(sorted(kept["category"].unique()))
    size = pixels["nice"].shape[1:]
    gathered = np.empty((len(rows), *size), dtype=np.uint8)
    for domain, array in pixels.items():
        positions = np.flatnonzero(rows["domain"] == domain)
        gathered[positions] = array[rows["pixel_row"].to_numpy()[positions]]
    return ImagePool(
        ids=rows["id"].to_numpy(),
        categories=categories,
        pixels=torch.from_numpy(gathered),
        labels=torch.from_numpy(np.searchsorted(categories, rows["category"].to_numpy(dtype=str))),
        is_real=torch.from_numpy((rows["domain"] == "real").to_numpy(copy=True)),
        held_out={split: torch.from_numpy(np.flatnonzero(rows["split"] == split)) for split in held_out},
    )


def training_positions(training_sets: pd.DataFrame, pool: ImagePool) -> dict[str, np.ndarray]:
    """Find each trial's training images in the pool.

    Args:
        training_sets: one row per trial and image: trial, id.
        pool: the images.

    Returns:
        By trial, the positions of its images in the pool, int64 ``(n,)``, in the order of the table.

    Raises:
        ValueError: an image is not in the pool, or is held out there.
    """
    positions = pd.Index(pool.ids).get_indexer(training_sets["id"])
    wrong = (positions < 0) | np.isin(positions, pool.all_held_out.cpu().numpy())
    if wrong.any():
        ids = training_sets.loc[wrong, "id"]
        raise ValueError(
            f"{ids.iloc[0]!r} and {len(ids) - 1} more images of training_sets are not among the manifest's training "
            "images: the splits have changed since they were chosen. Run the pipeline again from its node "
            "choose_images."
        )
    by_trial = training_sets.groupby("trial").indices
    return {trial: positions[rows] for trial, rows in by_trial.items()}


def require_batches(trial: Mapping[str, Any], examples: int, normalises: bool) -> None:
    """Refuse batches that are larger than the training set, or too small for batch normalisation.

    Args:
        trial: its name as trial, and batch_size.
        examples: size of its training set.
        normalises: whether its network has batch normalisation, which needs two images or more.

    Raises:
        ValueError: names the trial, its batch_size and what to change.
    """
    name, batch = trial["trial"], trial["batch_size"]
    if batch > examples:
        raise ValueError(
            f"batch_size is {batch} in trial {name}, but its training set has only {examples} examples: lower "
            "batch_size (or batch_sizes), or add images."
        )
    if batch < 2 and normalises:
        raise ValueError(
            f"batch_size is {batch} in trial {name}, but its network normalises over each batch of images: use 2 or "
            "more."
        )


def draw_continuously(images: np.ndarray, seed: Sequence[int], first: int, count: int) -> np.ndarray:
    """Draw from one shuffled pass over the images after the other, from number ``first`` on.

    Shapes: images ``(n,)`` to ``(count,)``; ``count`` may exceed n.
    """
    passes = range(first // len(images), (first + count - 1) // len(images) + 1)
    drawn = np.concatenate([np.random.default_rng([*seed, number]).permutation(images) for number in passes])
    return drawn[first - passes[0] * len(images) :][:count]


def draw_order(images: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Draw the 20 batches of one epoch: the training set is shuffled, then cut into batches.

    A batch is a twentieth of the set, rounded down; the few images left over sit out this epoch. The order depends only
    on the arguments, so a resumed run continues it exactly.

    Shapes: images ``(n,)`` to ``(20, n // 20)``.
    """
    batch = len(images) // BATCHES_PER_EPOCH
    shuffled = np.random.default_rng([seed, 1, epoch]).permutation(images)
    return shuffled[: batch * BATCHES_PER_EPOCH].reshape(BATCHES_PER_EPOCH, batch)
