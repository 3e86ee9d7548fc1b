"""What training leaves behind, whichever engine it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import Tensor

from mixvision.models.trained import TrainedNetwork
from mixvision.training.pool import ImagePool
from mixvision.vocabulary import TRAIN, snapshot_name

Weights = dict[str, dict[str, dict[str, Tensor]]]  # tensors by name, by snapshot, by trial


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
    weights: Weights


def outcome(trial: str, reason: str = "", pruned: bool = False, **counts: float) -> dict[str, Any]:
    """How one trial ended, as a row of the outcomes table.

    Args:
        trial: its name.
        reason: why it failed; empty if it did not.
        pruned: whether it was stopped because it was not worth going on with.
        counts: further columns, in this order: what was trained and how long it took.
    """
    status = "pruned" if pruned else "failed" if reason else "finished"
    return {"trial": trial, "status": status, "reason": reason, **counts}


# The counts of what is not trained.
NO_EPOCHS: dict[str, Any] = {"epochs": 0, "iterations": 0, "best_epoch": 0, "seconds": 0}


def diverged(split: str, loss: float, when: str, learning_rate: float) -> str:
    """The reason why a trial has failed whose loss on a split, "train" or another, is no longer a finite number."""
    named = "training" if split == TRAIN else split
    return f"The {named} loss is {loss} {when}: training diverged. Lower learning_rate (now {learning_rate:g})."


def require_success(result: SweepResult) -> None:
    """Refuse a result of which nothing is left (ValueError): every trial failed, and nothing was kept before."""
    if (result.outcomes["status"] == "failed").all() and not result.weights:
        raise ValueError(f"Every trial diverged. {result.outcomes['reason'].iloc[0]}")


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
        snapshot_name(trial, name): TrainedNetwork(
            architectures[trial] if architectures else "resnet25",
            pool.categories,
            pool.pixels.shape[1],
            dict(tensors),
        )
        for trial, snapshots in weights.items()
        for name, tensors in snapshots.items()
    }
