"""Results of training, the same for all engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import Tensor

from mixvision.models.trained import TrainedNetwork
from mixvision.training.pool import ImagePool
from mixvision.vocabulary import FAILED, FINISHED, MISSING, TRAIN, snapshot_name

Weights = dict[str, dict[str, dict[str, Tensor]]]  # tensors by name, by snapshot, by trial


@dataclass(frozen=True)
class SweepResult:
    """The results of a sweep.

    Attributes:
        history: one row per trial, evaluation and split: trial, iteration, split, loss, accuracies, performances.
        predictions: one row per trial, snapshot of its weights and held-out image.
        outcomes: one row per trial: trial, status (a name in ``mixvision.vocabulary``: FINISHED, PRUNED or one of
            MISSING), reason, iterations (steps trained), stack_size, and stack_seconds, the time that its stack trained
            in this process.
        weights: tensors by trial and snapshot ("last", "best_validation", "best_test", "iteration_<n>"); for a failed
            trial only snapshots "iteration_<n>" that were kept before it failed.
    """

    history: pd.DataFrame
    predictions: pd.DataFrame
    outcomes: pd.DataFrame
    weights: Weights


def outcome(trial: str, reason: str = "", status: str = "", **counts: float) -> dict[str, Any]:
    """Make a row of the outcomes table, which says how a trial ended.

    Args:
        trial: its name.
        reason: why it has no result; empty if it has one.
        status: a name in ``mixvision.vocabulary``; if empty, "failed" where there is a reason, else "finished".
        counts: further columns, in this order: what was trained and how long it took.
    """
    status = status or (FAILED if reason else FINISHED)
    return {"trial": trial, "status": status, "reason": reason, **counts}


# The counts of models that are not trained.
NO_EPOCHS: dict[str, Any] = {"epochs": 0, "iterations": 0, "best_epoch": 0, "seconds": 0}


def diverged(split: str, loss: float, when: str, learning_rate: float) -> str:
    """The reason for failure of a trial whose loss on a split ("train" or another) is no longer a finite number."""
    named = "training" if split == TRAIN else split
    return f"The {named} loss is {loss} {when}: training diverged. Lower learning_rate (now {learning_rate:g})."


class NoResultError(ValueError):
    """No trial finished; ``outcomes`` says why."""

    def __init__(self, outcomes: pd.DataFrame) -> None:
        super().__init__(f"No trial finished. {outcomes['reason'].iloc[0]}")
        self.outcomes = outcomes


def require_success(result: SweepResult) -> None:
    """Raise NoResultError if no trial has a result and no weights were kept."""
    if result.outcomes["status"].isin(MISSING).all() and not result.weights:
        raise NoResultError(result.outcomes)


def join_results(results: Sequence[SweepResult]) -> SweepResult:
    """Join the results of several stacks or sweeps."""
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
    """Make networks that can be saved, by "trial/snapshot".

    Args:
        weights: tensors by name, by snapshot, by trial.
        pool: gives the categories and the side of the images.
        architectures: by trial, a name in ``mixvision.models.trained.ARCHITECTURES``; None for ResNet25.
    """
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
