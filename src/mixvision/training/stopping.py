"""Early stopping of training by epochs, for networks that train alone or together."""

from __future__ import annotations

import numpy as np


class EarlyStopping:
    """Tracks the validation accuracies of K trials: each one's best epoch (the first of equal ones), and when it stops.

    Args:
        patience: a trial stops this many epochs after its best; infinity for never.
        trials: K.

    ``best_epoch`` and ``best``, the accuracy then, are arrays ``(K,)``; before the first epoch 0 and minus infinity.
    """

    def __init__(self, patience: float, trials: int = 1) -> None:
        self.patience, self.epoch = patience, 0
        self.best_epoch, self.best = np.zeros(trials, dtype=int), np.full(trials, -np.inf)

    def note(self, epoch: int, accuracies: np.ndarray, among: np.ndarray | bool = True) -> np.ndarray:
        """Record the validation accuracies ``(K,)`` after an epoch.

        Args:
            epoch: counted from 1.
            accuracies: of all trials.
            among: which trials are still training, bool ``(K,)``; the others are ignored.

        Returns:
            Which trials have a new best, bool ``(K,)``.
        """
        better = among & (accuracies > self.best)
        self.best[better], self.best_epoch[better], self.epoch = accuracies[better], epoch, epoch
        return better

    @property
    def through(self) -> np.ndarray:
        """Which trials should stop, bool ``(K,)``."""
        return self.epoch - self.best_epoch >= self.patience
