"""Trains classifiers on features of a frozen network, many together, each with early stopping."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mixvision.models.heads import HEADS, trained_head
from mixvision.parameter_types import require_choice
from mixvision.training.attempts import train_in_groups
from mixvision.training.config import EpochTraining
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.frozen.head_stack import HeadStack
from mixvision.training.optimizer import OPTIMIZERS
from mixvision.training.pool import ImagePool, require_batches, training_positions
from mixvision.training.results import NO_EPOCHS, SweepResult

log = logging.getLogger(__name__)


def train_heads(
    trials: pd.DataFrame,
    features: Tensor,
    pool: ImagePool,
    training_sets: pd.DataFrame,
    settings: EpochTraining,
    events: TrainingListener = SILENT,
) -> SweepResult:
    """Train a head for every trial and predict the held-out images with its best and its last weights.

    Trials with the same head, optimiser, batch size and number of steps train together. Each result is, within
    rounding, that of training alone. A trial stops ``patience`` epochs after its best validation accuracy. One that
    diverges, runs out of memory or is cancelled does not cost the others: its outcome says why it is missing. Features
    are standardised with the mean and standard deviation of the trial's own training images; both are part of the
    head's weights, so a head takes raw features.

    Args:
        trials: one row per trial: trial, head (a name in ``mixvision.models.heads.HEADS``), seed, optimizer (a name in
            ``mixvision.training.optimizer.OPTIMIZERS``), learning_rate, weight_decay (as in ``torch.optim.Adam``),
            batch_size and anything else.
        features: float32 ``(N, F)``, of the pool's images in its order.
        pool: ids, labels and splits of the images.
        training_sets: one row per trial and image: trial, id.
        settings: duration, device and precision.
        events: told of the trials' progress.

    Returns:
        history: trial, iteration (steps so far), epoch (from 1), split ("train": the running mean over the epoch's
        batches, with dropout; "validation": after the epoch), cross_entropy, top1, seconds (of training, in rows of
        "train": an equal share of the time of the trials that still trained together), phase ("head"). predictions: of
        all held-out images. outcomes: trial, status, reason, epochs, iterations, best_epoch, seconds, parameters (of
        the head). weights: "best_validation" and "last". Trials are ordered by stack. No error is raised if no trial
        finishes; their outcomes say so.

    Raises:
        ValueError: a GPU is requested but not available, features or training sets do not fit the pool or the batches,
            there are no validation images, or a head or an optimiser is unknown.
    """
    settings.require_available()
    _require_fit(features, pool)
    sets = training_positions(training_sets, pool)
    for trial in trials.to_dict("records"):
        require_choice("optimizer", trial["optimizer"], OPTIMIZERS)
        normalises = bool(HEADS.get(trial["head"], (0, ()))[1])
        require_batches(trial, len(sets.get(trial["trial"], ())), normalises)
    events.started(trials)
    device = settings.device
    features = features.to(device, settings.dtype)
    held_out = {split: positions.to(device) for split, positions in pool.held_out.items()}
    pool = replace(pool, labels=pool.labels.to(device), held_out=held_out)  # the pixels are not needed there
    steps = [len(sets[trial]) // batch for trial, batch in zip(trials["trial"], trials["batch_size"], strict=True)]

    def train(names: list[str]) -> SweepResult:
        log.info("Training %d of %d heads together: %s", len(names), len(trials), ", ".join(names))
        stack, own = trials[trials["trial"].isin(names)], [sets[name] for name in names]
        return _train_stack(HeadStack(stack, features, pool, own, settings, events))

    alike = trials.groupby(["head", "optimizer", "batch_size", np.array(steps)], sort=False)["trial"]
    groups = [list(names) for _, names in alike]
    result = train_in_groups(train, groups, events, "batch_size", NO_EPOCHS | {"parameters": 0})
    return replace(result, history=result.history.assign(phase="head"))


@torch.no_grad()
def head_probabilities(head: str, tensors: Mapping[str, Tensor], features: Tensor) -> Tensor:
    """Predict probabilities ``(n, C)`` from features ``(n, F)`` with one trained head, on the features' device.

    Args:
        head: a name in ``mixvision.models.heads.HEADS``.
        tensors: as in ``SweepResult.weights[trial][snapshot]``.
        features: floats.
    """
    network = trained_head(head, tensors).to(features.device)
    return network(features.to(tensors["0.mean"].dtype)[None])[0].softmax(-1)


def _require_fit(features: Tensor, pool: ImagePool) -> None:
    if len(features) != len(pool.ids):
        raise ValueError(f"There are features of {len(features)} images, but the pool has {len(pool.ids)}.")
    if not len(pool.held_out.get("validation", ())):
        raise ValueError(
            "There are no validation images, but early stopping needs their accuracy: raise splits.validation."
        )


def _train_stack(stack: HeadStack) -> SweepResult:
    for _ in range(stack.settings.epochs):
        stack.train_epoch()
        if not stack.going_on.any():
            break
    for name in stack.finished:
        stack.events.finished(name)
    return stack.result()
