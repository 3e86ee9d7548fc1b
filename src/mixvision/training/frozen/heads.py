"""Trains classifiers on features of a frozen network, many together, each with early stopping."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from mixvision.models.heads import HEADS, StackedHeads, Standardise, trained_head
from mixvision.training.config import EpochTraining
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.optimizer import decayed_rate, make_optimizer, require_optimizer
from mixvision.training.pool import ImagePool, require_batches, training_positions
from mixvision.training.predictions import predict, prediction_table
from mixvision.training.results import SweepResult, Weights, diverged, join_results, outcome, require_success
from mixvision.training.stopping import EarlyStopping
from mixvision.vocabulary import TRAIN, VALIDATION

log = logging.getLogger(__name__)

EVALUATION_BATCH = 256


def train_heads(
    trials: pd.DataFrame,
    features: Tensor,
    pool: ImagePool,
    training_sets: pd.DataFrame,
    settings: EpochTraining,
    events: TrainingListener = SILENT,
) -> SweepResult:
    """Train a head for every trial and predict the held-out images with its best and its last weights.

    Trials with the same head, optimiser, batch size and number of steps train together; each result is that of
    training alone. A trial stops ``patience`` epochs after its best validation accuracy. One that diverges fails, and
    the others continue. Features are standardised with the mean and standard deviation of the trial's own training
    images; both are part of the head's weights, so a head takes raw features.

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
        the head). weights: "best_validation" and "last". Trials are ordered by stack.

    Raises:
        ValueError: a GPU is requested but not available, features or training sets do not fit the pool or the batches,
            there are no validation images, a head or an optimiser is unknown, or every trial diverged.
    """
    settings.require_device()
    _require_fit(features, pool)
    sets = training_positions(training_sets, pool)
    for trial in trials.to_dict("records"):
        require_optimizer(trial["optimizer"])
        normalises = bool(HEADS.get(trial["head"], (0, ()))[1])
        require_batches(trial, len(sets.get(trial["trial"], ())), normalises)
    events.started(trials)
    device = settings.device
    features = features.to(device, settings.dtype)
    held_out = {split: positions.to(device) for split, positions in pool.held_out.items()}
    pool = replace(pool, labels=pool.labels.to(device), held_out=held_out)  # the pixels are not needed there
    steps = [len(sets[trial]) // batch for trial, batch in zip(trials["trial"], trials["batch_size"], strict=True)]
    results = []
    for _, stack in trials.groupby(["head", "optimizer", "batch_size", np.array(steps)], sort=False):
        log.info("Training %d of %d heads together: %s", len(stack), len(trials), ", ".join(stack["trial"]))
        own = [sets[trial] for trial in stack["trial"]]
        results.append(_train_stack(HeadStack(stack, features, pool, own, settings, events)))
    joined = join_results(results)
    require_success(joined)
    return replace(joined, history=joined.history.assign(phase="head"))


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


class HeadStack:
    """K trials with the same head, optimiser, batch size and number of steps, trained as one network.

    Args:
        trials: K rows, as in :func:`train_heads`.
        features: ``(N, F)`` on the device.
        pool: the images, on the device.
        training_sets: for each trial, the positions of its training images in the pool.
        settings: duration, device and precision.
        events: told of every evaluation and failure.

    After training, ``history`` holds one row per trial, epoch and split; ``snapshots`` holds the stacked weights of
    each trial's own best epoch and of its own last epoch.
    """

    def __init__(
        self,
        trials: pd.DataFrame,
        features: Tensor,
        pool: ImagePool,
        training_sets: Sequence[np.ndarray],
        settings: EpochTraining,
        events: TrainingListener = SILENT,
    ) -> None:
        self.trials, self.features, self.pool = trials.to_dict("records"), features, pool
        self.training_sets, self.settings, self.events = training_sets, settings, events
        self.batch = int(self.trials[0]["batch_size"])
        self.steps = len(training_sets[0]) // self.batch  # per epoch; the few images left over sit it out
        generators = [torch.Generator().manual_seed(trial["seed"]) for trial in self.trials]
        self.network = StackedHeads(self.trials[0]["head"], features.shape[1], len(pool.categories), generators)
        self.network.to(features.device, features.dtype)
        standardise = cast(Standardise, self.network[0])
        for k, positions in enumerate(training_sets):
            standardise.fit(k, features[torch.from_numpy(positions).to(features.device)])
        # Each trial's slices of the stacked parameters, so that the optimiser can have settings per trial.
        self.slices = [parameter.detach().unbind() for parameter in self.network.parameters()]
        self.optimizer = make_optimizer(
            self.trials[0]["optimizer"],
            [
                {"params": list(own), "lr": trial["learning_rate"], "weight_decay": trial["weight_decay"]}
                for trial, *own in zip(self.trials, *self.slices, strict=True)
            ],
        )
        self.snapshots = {name: self._weights() for name in ("best_validation", "last")}
        count = len(self.trials)
        self.epoch, self.epochs, self.going_on = 0, np.zeros(count, int), np.ones(count, dtype=bool)
        self.stopping = EarlyStopping(settings.patience, count)
        self.history: list[dict] = []
        self.failures: dict[str, str] = {}

    @property
    def finished(self) -> dict[str, int]:
        """The trials that did not fail, with their places in the stack."""
        names = {trial["trial"]: k for k, trial in enumerate(self.trials)}
        return {name: k for name, k in names.items() if name not in self.failures}

    def train_epoch(self) -> None:
        """Train for an epoch, evaluate on the validation images, keep the best weights and stop finished trials."""
        began = time.perf_counter()
        trained = self._train()
        seconds = (time.perf_counter() - began) / self.going_on.sum()
        validated = self._validate()
        self.epoch += 1
        self._note_failures(trained[0], validated[0])
        self._keep("best_validation", self.stopping.note(self.epoch, validated[1], self.going_on))
        self._keep("last", self.going_on)
        self.epochs[self.going_on] = self.epoch
        rows = self._rows(TRAIN, trained, seconds=seconds) + self._rows(VALIDATION, validated)
        self.history += rows
        self.events.evaluated(rows)
        self.going_on &= ~self.stopping.through

    @torch.no_grad()
    def result(self) -> SweepResult:
        """The results of all trials, with predictions of all held-out images by those that did not fail."""
        predictions, weights = [], Weights((name, {}) for name in self.finished)
        for snapshot, stacked in self.snapshots.items():
            self.network.load_state_dict(stacked)
            top, probability = predict(self.network, self._inputs, self.pool.all_held_out, EVALUATION_BATCH)
            for name, k in self.finished.items():
                weights[name][snapshot] = {key: tensor[k].cpu().clone() for key, tensor in stacked.items()}
                predictions.append(prediction_table(name, snapshot, self.pool, top[k], probability[k]))
        return SweepResult(
            pd.DataFrame(self.history),
            pd.concat(predictions, ignore_index=True) if predictions else pd.DataFrame(),
            pd.DataFrame([self._outcome(k) for k in range(len(self.trials))]),
            weights,
        )

    def _outcome(self, k: int) -> dict[str, Any]:
        name = self.trials[k]["trial"]
        return outcome(
            name,
            self.failures.get(name, ""),
            epochs=self.epochs[k],
            iterations=self.epochs[k] * self.steps,
            best_epoch=self.stopping.best_epoch[k],
            seconds=sum(row.get("seconds", 0.0) for row in self.history if row["trial"] == name),
            parameters=sum(weights[k].numel() for weights in self.network.parameters()),
        )

    def _train(self) -> np.ndarray:
        """Train one epoch and return the mean cross-entropy and accuracy of each trial, ``(2, K)``."""
        self.network.train()
        order = torch.from_numpy(np.stack([self._draw(k) for k in range(len(self.trials))], axis=1))
        sums = self.features.new_zeros(2, len(self.trials), dtype=torch.float64)
        for step, positions in enumerate(order.to(self.features.device), start=self.epoch * self.steps):
            losses, hits = self._measure(positions)
            losses.mean(1).sum().backward()
            self._step(step)
            sums += torch.stack([losses.detach().sum(1), hits.sum(1)])
        return (sums / (self.steps * self.batch)).cpu().numpy()

    def _step(self, step: int) -> None:
        for parameter, slices in zip(self.network.parameters(), self.slices, strict=True):
            assert parameter.grad is not None  # every parameter takes part in every step
            for own, gradient in zip(slices, parameter.grad.unbind(), strict=True):
                own.grad = gradient
            parameter.grad = None
        for trial, group in zip(self.trials, self.optimizer.param_groups, strict=True):
            group["lr"] = decayed_rate(trial["optimizer"], trial["learning_rate"], step)
        self.optimizer.step()

    def _draw(self, k: int) -> np.ndarray:
        """A trial's batches of this epoch, ``(steps, B)``; they depend on its seed and the epoch alone."""
        generator = np.random.default_rng([self.trials[k]["seed"], 1, self.epoch])
        shuffled = generator.permutation(self.training_sets[k])
        return shuffled[: self.steps * self.batch].reshape(self.steps, self.batch)

    @torch.no_grad()
    def _validate(self) -> np.ndarray:
        """Mean cross-entropy and accuracy of each trial on the validation images, ``(2, K)``."""
        self.network.eval()
        parts = [self._measure(part) for part in self.pool.held_out["validation"].split(EVALUATION_BATCH)]
        return np.stack([torch.cat(values, 1).double().mean(1).cpu().numpy() for values in zip(*parts, strict=True)])

    def _measure(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy and hits of each trial on images at positions ``(K, B)`` or ``(B,)``: ``(K, B)`` each."""
        with self.settings.autocast():
            logits = self.network(self._inputs(positions))
        labels = self.pool.labels[positions].expand(logits.shape[:2])
        losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
        return losses, (logits.argmax(-1) == labels).to(losses.dtype)

    def _inputs(self, positions: Tensor) -> Tensor:
        """Features ``(K, B, F)`` at positions ``(K, B)``, or ``(B,)``, the same for all trials."""
        chosen = self.features.index_select(0, positions.flatten())  # a third of the time of indexing on a CPU
        return chosen.unflatten(0, positions.shape).expand(len(self.trials), -1, -1)

    def _weights(self) -> dict[str, Tensor]:
        return {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    def _keep(self, snapshot: str, chosen: np.ndarray) -> None:
        """Copy the current weights of some trials into the snapshot."""
        rows = torch.from_numpy(np.flatnonzero(chosen)).to(self.features.device)
        for name, tensor in self.network.state_dict().items():
            self.snapshots[snapshot][name][rows] = tensor[rows]

    def _rows(self, split: str, measured: np.ndarray, **more: float) -> list[dict]:
        about = {"iteration": self.epoch * self.steps, "epoch": self.epoch, "split": split}
        return [
            {"trial": self.trials[k]["trial"], **about, "cross_entropy": float(loss), "top1": float(top1), **more}
            for k, (loss, top1) in enumerate(measured.T)
            if self.going_on[k]
        ]

    def _note_failures(self, trained: np.ndarray, validated: np.ndarray) -> None:
        for k in np.flatnonzero(self.going_on & ~np.isfinite(trained + validated)):
            name, rate = self.trials[k]["trial"], self.trials[k]["learning_rate"]
            split, loss = (TRAIN, trained[k]) if not np.isfinite(trained[k]) else (VALIDATION, validated[k])
            self.going_on[k] = False
            self.failures[name] = diverged(split, loss, f"in epoch {self.epoch}", rate)
            self.events.failed(name, self.failures[name])
