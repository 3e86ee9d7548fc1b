"""Which images a trial of a stack sees in which step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mixvision.training.pool import BATCHES_PER_EPOCH, draw_continuously, draw_order


@dataclass(frozen=True)
class Batches:
    """The batches of one trial.

    Attributes:
        images: positions of its training images in the pool, int64 ``(n,)``.
        seed: decides the order.
        given_size: images in a batch, where passes over the set follow each other without a gap; None: a twentieth of
            the set, and whatever is left over sits out an epoch (:func:`mixvision.training.pool.draw_order`).
        is_real: where each batch is to hold as many nice as real images: which images are real, bool ``(n,)``. The nice
            ones come first in each batch. The smaller domain's images then come more often.
        earlier: positions of images of the training that led to the first weights, if there was one.
    """

    images: np.ndarray
    seed: int
    given_size: int | None = None
    is_real: np.ndarray | None = None
    earlier: np.ndarray | None = None

    @property
    def size(self) -> int:
        """Images in a batch."""
        return self.given_size or len(self.images) // BATCHES_PER_EPOCH

    def draw(self, first: int) -> np.ndarray:
        """The positions of the images of 20 steps from number ``first`` on, a multiple of 20: int64 ``(20, B)``."""
        if self.given_size is None:
            return draw_order(self.images, self.seed, first // BATCHES_PER_EPOCH)
        parts = [self.images] if self.is_real is None else [self.images[~self.is_real], self.images[self.is_real]]
        each = self.given_size // len(parts)
        drawn = [
            draw_continuously(part, [self.seed, 3, place], first * each, BATCHES_PER_EPOCH * each)
            for place, part in enumerate(parts)
        ]
        return np.concatenate([part.reshape(BATCHES_PER_EPOCH, each) for part in drawn], axis=1)
