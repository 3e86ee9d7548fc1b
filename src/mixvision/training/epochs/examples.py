"""Training and validation examples of one network: images of a pool, possibly seen through augmented views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mixvision.training.pool import ImagePool
from mixvision.transforms.augmentation import Augmentation, Views, look
from mixvision.vocabulary import HELD_OUT


@dataclass(frozen=True)
class Examples:
    """Images to train or evaluate a network on.

    Attributes:
        positions: of the images in the pool, int64 ``(N,)``; an image may occur several times.
        views: the view of each image, or None for the images unchanged.
    """

    positions: np.ndarray
    views: Views | None = None

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, rows: np.ndarray) -> Examples:
        return Examples(self.positions[rows], self.views[torch.from_numpy(rows)] if self.views else None)

    def __add__(self, other: Examples) -> Examples:
        """These examples and then the others; both have views."""
        assert self.views and other.views
        return Examples(np.concatenate([self.positions, other.positions]), self.views + other.views)


@dataclass(frozen=True)
class TrainingData:
    """The data of one trial.

    Attributes:
        train, validation: the examples.
        augmentation: how new views of the training examples are drawn in every epoch, or None for their own views.
        held_out: splits of the pool whose images are predicted after training.
    """

    train: Examples
    validation: Examples
    augmentation: Augmentation | None = None
    held_out: tuple[str, ...] = HELD_OUT


def look_at(pool: ImagePool, examples: Examples, views: Views | None = None) -> tuple[Tensor, Tensor]:
    """Images ``(B, 3, S, S)``, floats in [0, 1], and labels ``(B,)`` of examples, on the pool's device.

    Args:
        pool: the images.
        examples: B examples.
        views: B views that replace the examples' own.
    """
    positions = torch.from_numpy(examples.positions).to(pool.pixels.device, non_blocking=True)
    images, views = pool.gather(positions), views or examples.views
    return look(images, views) if views else images, pool.labels[positions]


def in_batches(count: int, batch: int) -> list[np.ndarray]:
    """Split the rows of ``count`` examples, in order, into batches; the last batch may be smaller."""
    return np.split(np.arange(count), range(batch, count, batch))


@torch.no_grad()
def accuracy(network: nn.Module, pool: ImagePool, examples: Examples, batch: int) -> float:
    """Top-1 accuracy (a fraction) of a network on examples, in evaluation mode.

    Args:
        network: on the pool's device, from images ``(B, 3, S, S)`` to logits ``(B, categories)``.
        pool: the images.
        examples: at least one.
        batch: number of images classified at a time.
    """
    network.eval()
    hits = 0
    for rows in in_batches(len(examples), batch):
        images, labels = look_at(pool, examples[rows])
        hits += (network(images).argmax(1) == labels).sum().item()
    return hits / len(examples)
