"""What came out of a stack, trial by trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from torch import Tensor

from mixvision.training.predictions import prediction_table
from mixvision.training.results import SweepResult
from mixvision.training.sweep.stack import Stack


def gather_result(stack: Stack, names: Sequence[str], seconds: float) -> SweepResult:
    """What came out of a stack that began with these trials."""
    predictions, weights = [], {}
    for snapshot_name, snapshot in stack.snapshots.items():
        for k, trial in enumerate(stack.trials["trial"]):
            tensors = {name: value[k].detach().cpu().contiguous() for name, value in snapshot.weights.items()}
            if trial in stack.pruned or (trial in stack.failures and not _kept_before_failing(snapshot_name, tensors)):
                continue
            weights.setdefault(trial, {})[snapshot_name] = tensors
            predictions.append(
                prediction_table(trial, snapshot_name, stack.pool, snapshot.top[k], snapshot.probability[k])
            )
    stopped = {trial: "failed" for trial in stack.failures} | {trial: "pruned" for trial in stack.pruned}
    outcomes = pd.DataFrame(
        {
            "trial": names,
            "status": [stopped.get(name, "finished") for name in names],
            "reason": [stack.failures.get(name, "") for name in names],
            "iterations": [stack.pruned.get(name, stack.iteration) for name in names],
            "stack_size": len(names),
            "stack_seconds": seconds,
        }
    )
    return SweepResult(
        pd.DataFrame(stack.history),
        pd.concat(predictions, ignore_index=True) if predictions else pd.DataFrame(),
        outcomes,
        weights,
    )


def _kept_before_failing(snapshot_name: str, tensors: Mapping[str, Tensor]) -> bool:
    return snapshot_name.startswith("iteration_") and all(bool(value.isfinite().all()) for value in tensors.values())
