"""What a sweep leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from torch import Tensor

from mixvision.models.trained import TrainedNetwork
from mixvision.training.data import ImagePool
from mixvision.training.predictions import prediction_table
from mixvision.training.stack import Stack


@dataclass(frozen=True)
class SweepResult:
    """What a sweep leaves behind.

    Attributes:
        history: one row a trial, evaluation and split: trial, iteration, split, loss, accuracies, performances.
        predictions: one row a trial, snapshot of its weights and held-out image.
        outcomes: one row a trial: trial, status ("finished", "failed" or "pruned"), reason, iterations (steps
            trained), and of its stack the size and the seconds of training in this process.
        weights: tensors by trial and snapshot ("last", "best_validation", "best_test", "iteration_<n>"); of a failed
            trial those that were asked for by their iteration and kept before it failed.
    """

    history: pd.DataFrame
    predictions: pd.DataFrame
    outcomes: pd.DataFrame
    weights: dict[str, dict[str, dict[str, Tensor]]]


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


def join_results(results: Sequence[SweepResult]) -> SweepResult:
    """The results of several stacks or sweeps as one."""
    return SweepResult(
        history=pd.concat([result.history for result in results], ignore_index=True),
        predictions=pd.concat([result.predictions for result in results], ignore_index=True),
        outcomes=pd.concat([result.outcomes for result in results], ignore_index=True),
        weights={trial: weights for result in results for trial, weights in result.weights.items()},
    )


def trained_networks(
    weights: Mapping[str, Mapping[str, Mapping[str, Tensor]]],
    pool: ImagePool,
    architectures: Mapping[str, str] | None = None,
) -> dict[str, TrainedNetwork]:
    """Networks by "trial/snapshot", ready to be saved; ``architectures`` by trial, None for the study's network."""
    return {
        f"{trial}/{name}": TrainedNetwork(
            architectures[trial] if architectures else "resnet25",
            pool.categories,
            pool.pixels.shape[1],
            dict(tensors),
        )
        for trial, snapshots in weights.items()
        for name, tensors in snapshots.items()
    }
