"""The results of a stack, trial by trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from torch import Tensor

from mixvision.training.predictions import prediction_table
from mixvision.training.results import SweepResult, Weights, outcome
from mixvision.training.sweep.stack import Stack
from mixvision.vocabulary import CANCELLED, FAILED, FINISHED, PRUNED


def gather_result(stack: Stack, names: Sequence[str], seconds: float) -> SweepResult:
    """Gather the results of a trained stack.

    Args:
        stack: after training.
        names: the trials that it began with, pruned and cancelled ones included.
        seconds: how long it trained.
    """
    predictions: list[pd.DataFrame] = []
    weights: Weights = {}
    for snapshot_name, snapshot in stack.snapshots.items():
        for k, trial in enumerate(stack.trials["trial"]):
            tensors = {name: value[k].detach().cpu().contiguous() for name, value in snapshot.weights.items()}
            if trial in stack.stopped or (trial in stack.failures and not _kept_before_failing(snapshot_name, tensors)):
                continue
            if tensors:
                weights.setdefault(trial, {})[snapshot_name] = tensors
            predictions.append(
                prediction_table(trial, snapshot_name, stack.pool, snapshot.top[k], snapshot.probability[k])
            )
    counts: dict[str, Any] = {"stack_size": len(names), "stack_seconds": seconds}
    outcomes = [
        outcome(name, *_ending(stack, name), iterations=stack.stopped.get(name, stack.iteration), **counts)
        for name in names
    ]
    return SweepResult(
        pd.DataFrame(stack.history),
        pd.concat(predictions) if predictions else pd.DataFrame(),
        pd.DataFrame(outcomes),
        weights,
    )


def _ending(stack: Stack, trial: str) -> tuple[str, str]:
    """Why a trial has no result, or nothing, and its status."""
    if trial in stack.cancelled:
        return stack.why_cancelled(trial), CANCELLED
    if trial in stack.pruned:
        return "", PRUNED
    return stack.failures.get(trial, ""), FAILED if trial in stack.failures else FINISHED


def _kept_before_failing(snapshot_name: str, tensors: Mapping[str, Tensor]) -> bool:
    return snapshot_name.startswith("iteration_") and all(bool(value.isfinite().all()) for value in tensors.values())
