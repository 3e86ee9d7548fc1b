"""When training by epochs stops: one rule, whether networks train alone or together."""

from __future__ import annotations

import numpy as np


class EarlyStopping:
    """Follows the validation accuracies of K trials: the best epoch, the first of equals, and who waited in vain since.

    Args:
        patience: epochs after the best after which a trial is through; infinite, so that none ever is.
        trials: K.

    ``best_epoch`` and ``best``, the accuracy then, are arrays ``(K,)``; before the first epoch 0 and minus infinity.
    """

    def __init__(self, patience: float, trials: int = 1) -> None:
        self.patience, self.epoch = patience, 0
        self.best_epoch, self.best = np.zeros(trials, dtype=int), np.full(trials, -np.inf)

    def note(self, epoch: int, accuracies: np.ndarray, among: np.ndarray | bool = True) -> np.ndarray:
        """Take in the accuracies ``(K,)`` after an epoch, of the trials ``among`` them that still train.

        Returns:
            Which trials are better than ever before, bool ``(K,)``.
        """
        better = among & (accuracies > self.best)
        self.best[better], self.best_epoch[better], self.epoch = accuracies[better], epoch, epoch
        return better

    @property
    def through(self) -> np.ndarray:
        """Which trials have not become better for so long that training stops, bool ``(K,)``."""
        return self.epoch - self.best_epoch >= self.patience
