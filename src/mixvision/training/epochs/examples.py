"""What one network is trained on and judged by: images of a pool, as views show them."""

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
    """What a network is trained on or judged by.

    Attributes:
        positions: of images in the pool, int64 ``(N,)``; an image may come several times.
        views: how each is looked at, or None for the images as they are.
    """

    positions: np.ndarray
    views: Views | None = None

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, rows: np.ndarray) -> Examples:
        return Examples(self.positions[rows], self.views[torch.from_numpy(rows)] if self.views else None)


@dataclass(frozen=True)
class TrainingData:
    """What one trial is trained on and asked.

    Attributes:
        train, validation: the examples.
        augmentation: for views drawn anew in every epoch, or None for the examples' own.
        held_out: splits of the pool whose images are predicted in the end.
    """

    train: Examples
    validation: Examples
    augmentation: Augmentation | None = None
    held_out: tuple[str, ...] = HELD_OUT


def look_at(pool: ImagePool, examples: Examples, views: Views | None = None) -> tuple[Tensor, Tensor]:
    """Images ``(B, 3, S, S)`` and labels ``(B,)`` on the pool's device, as these views or the examples' own show them.

    Args:
        pool: the images.
        examples: B of them.
        views: B views in place of the examples' own.
    """
    positions = torch.from_numpy(examples.positions).to(pool.pixels.device, non_blocking=True)
    images, views = pool.gather(positions), views or examples.views
    return look(images, views) if views else images, pool.labels[positions]


def in_batches(count: int, batch: int) -> list[np.ndarray]:
    """The rows of ``count`` examples in turn; the last batch may be smaller."""
    return np.split(np.arange(count), range(batch, count, batch))


@torch.no_grad()
def accuracy(network: nn.Module, pool: ImagePool, examples: Examples, batch: int) -> float:
    """The share of the examples that a network, on the pool's device, classifies rightly in evaluation mode."""
    network.eval()
    hits = 0
    for rows in in_batches(len(examples), batch):
        images, labels = look_at(pool, examples[rows])
        hits += (network(images).argmax(1) == labels).sum().item()
    return hits / len(examples)
