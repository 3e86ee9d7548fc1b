"""Rows of the outcomes table, and the error if every trial failed."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch

from mixvision.training.results import SweepResult, diverged, outcome, require_success


def test_an_outcome_says_how_a_trial_ended():
    assert outcome("a", epochs=3) == {"trial": "a", "status": "finished", "reason": "", "epochs": 3}
    assert outcome("b", "diverged", epochs=1)["status"] == "failed"
    assert outcome("c", status="pruned", iterations=9)["status"] == "pruned"
    assert list(outcome("d", seconds=1.0, epochs=2)) == ["trial", "status", "reason", "seconds", "epochs"]


def test_the_reason_names_split_loss_epoch_and_rate():
    expected = "The training loss is nan in epoch 2: training diverged. Lower learning_rate (now 0.1)."
    assert diverged("train", math.nan, "in epoch 2", 0.1) == expected
    assert diverged("validation", math.inf, "in epoch 2", 0.1).startswith("The validation loss is inf")


def test_a_result_without_any_success_is_refused():
    failed = pd.DataFrame([outcome("a", "It diverged."), outcome("b", "It did, too.")])
    nothing = pd.DataFrame()
    with pytest.raises(ValueError, match=r"No trial finished\. It diverged\."):
        require_success(SweepResult(nothing, nothing, failed, {}))
    kept = {"a": {"iteration_5": {"weight": torch.zeros(1)}}}
    require_success(SweepResult(nothing, nothing, failed, kept))
    pruned = pd.DataFrame([outcome("a", "It diverged."), outcome("b", status="pruned")])
    require_success(SweepResult(nothing, nothing, pruned, {}))
