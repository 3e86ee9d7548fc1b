"""Trains heads together as one network, each with early stopping."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from mixvision.models.heads import StackedHeads, Standardise
from mixvision.training.config import EpochTraining
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.optimizer import decayed_rate, make_optimizer
from mixvision.training.pool import ImagePool
from mixvision.training.predictions import predict, prediction_table
from mixvision.training.results import SweepResult, Weights, diverged, outcome
from mixvision.training.stopping import EarlyStopping
from mixvision.vocabulary import CANCELLED, TRAIN, VALIDATION

EVALUATION_BATCH = 256


class HeadStack:
    """K trials with the same head, optimiser, batch size and number of steps, trained as one network.

    Args:
        trials: K rows, as in :func:`train_heads`.
        features: ``(N, F)`` on the device.
        pool: the images, on the device.
        training_sets: for each trial, the positions of its training images in the pool.
        settings: duration, device and precision.
        events: told of every evaluation and failure; asked which trials to cancel.

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
        self.cancelled: set[str] = set()

    @property
    def finished(self) -> dict[str, int]:
        """The trials that neither failed nor were cancelled, with their places in the stack."""
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
        self._cancel(self.events.to_cancel())

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
            CANCELLED if name in self.cancelled else "",
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

    def _cancel(self, names: frozenset[str]) -> None:
        for k in np.flatnonzero(self.going_on):
            name = self.trials[k]["trial"]
            if name in names:
                self.going_on[k] = False
                self.cancelled.add(name)
                self.failures[name] = f"Cancelled after epoch {self.epoch}."
                self.events.cancelled(name, self.failures[name])
