"""Early stopping: a trial stops some epochs after its best one, the first of equals."""

from __future__ import annotations

import math

import numpy as np

from mixvision.training.stopping import EarlyStopping

ACCURACIES = np.array([[0.5, 0.3], [0.5, 0.4], [0.4, 0.4], [0.5, 0.5], [0.6, 0.2]])  # of two trials, epoch by epoch


def test_a_trial_stops_patience_epochs_after_its_first_best():
    stopping, through = EarlyStopping(2, trials=2), []
    for epoch, accuracies in enumerate(ACCURACIES[:4], start=1):
        stopping.note(epoch, accuracies)
        through.append(stopping.through.tolist())
    assert through == [[False, False], [False, False], [True, False], [True, False]]
    assert stopping.best_epoch.tolist() == [1, 4] and stopping.best.tolist() == [0.5, 0.5]


def test_only_trials_that_still_train_can_improve():
    stopping = EarlyStopping(1, trials=2)
    assert stopping.note(1, ACCURACIES[0]).tolist() == [True, True]
    assert stopping.note(2, ACCURACIES[4], among=np.array([False, True])).tolist() == [False, False]
    assert stopping.best_epoch.tolist() == [1, 1] and stopping.best.tolist() == [0.5, 0.3]


def test_nothing_stops_before_the_first_epoch_or_with_infinite_patience():
    assert not EarlyStopping(1).through.any()
    stopping = EarlyStopping(math.inf)
    stopping.note(1, np.array([0.5]))
    stopping.note(1000, np.array([0.1]))
    assert not stopping.through.any()
