"""Trains the trials of one stack together, as one network, with Lightning."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import lightning
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixvision.models.stacked import MovingNorm, StackedNetwork
from mixvision.training.config import Prune
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.memory import images_in_cache
from mixvision.training.pool import BATCHES_PER_EPOCH, ImagePool
from mixvision.training.predictions import Snapshot, measure, predict
from mixvision.training.results import diverged
from mixvision.training.sweep import schedules
from mixvision.training.sweep.batches import Batches
from mixvision.training.sweep.objectives import Batch, objective_of
from mixvision.training.sweep.optimizer import StackedSGD
from mixvision.training.sweep.steps import Steps
from mixvision.vocabulary import BEST_IN, VALIDATION


class Stack(lightning.LightningModule):
    """K trials with equally large batches, trained as one network for a number of iterations.

    Args:
        network: the stacked network, with its first weights.
        trials: K rows with trial, seed, learning_rate and l2; objective, the same for all, and strength, if any.
        batches: for each trial, the images that it sees.
        pool: the images.
        steps: how many to train, and when to evaluate.
        head_only: train only the network's head. Its inputs are then computed once for every image.
        prune: function from the rows of an evaluation to the names of the trials to stop.
        events: told of every evaluation, failure and pruned trial; asked which trials to cancel.

    After training, ``history`` holds one row per trial, evaluation and split; ``snapshots`` holds weights and
    predictions, named "last", "best_validation" and "best_test" (by performance), "best_validation_nice" and
    "best_validation_real" (by the accuracy in that domain, without weights) and "iteration_<n>"; ``failures`` says why
    trials diverged, ``pruned`` and ``cancelled`` after how many steps trials were stopped. These are removed from the
    stack and its snapshots; their history stays.
    """

    network: StackedNetwork
    loss_sum: Tensor
    cross_entropy_sum: Tensor
    learning_rates: Tensor
    l2: Tensor
    features: Tensor | None

    def __init__(
        self,
        network: StackedNetwork,
        trials: pd.DataFrame,
        batches: list[Batches],
        pool: ImagePool,
        steps: Steps,
        head_only: bool = False,
        prune: Prune | None = None,
        events: TrainingListener = SILENT,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.network, self.trials, self.batches, self.pool = network, trials, batches, pool
        self.steps, self.head_only, self.prune, self.events = steps, head_only, prune, events
        # Everything that a stack keeps on the device has one row per trial: parameters, buffers, velocities, snapshots.
        self.plateau = schedules.Plateau(len(trials))
        self.objective = objective_of(trials, self.learner, batches, pool)
        self.objective_started = False
        for name in ("loss_sum", "cross_entropy_sum"):  # since the last evaluation
            self.register_buffer(name, torch.zeros(len(trials)))
        for name in ("learning_rates", "l2", "features"):
            self.register_buffer(name, None, persistent=False)
        self.iteration = self.evaluated_at = 0
        self.order: Tensor | None = None
        self.history: list[dict] = []
        self.snapshots: dict[str, Snapshot] = {}
        self.best_performance = 0.0
        self.failures: dict[str, str] = {}
        self.pruned: dict[str, int] = {}
        self.cancelled: dict[str, int] = {}

    @property
    def learner(self) -> nn.Module:
        return self.network.head if self.head_only else self.network

    def configure_optimizers(self) -> StackedSGD:
        return StackedSGD(self.learner.parameters())

    def on_fit_start(self) -> None:
        """Move to the device what Lightning does not know about: the images and restored snapshots."""
        self.images = self.pool.to(self.device)
        self.held_out = self.images.all_held_out
        self.learning_rates = self.loss_sum.new_tensor(self.trials["learning_rate"].tolist())
        self.l2 = self.loss_sum.new_tensor(self.trials["l2"].tolist())
        self.snapshots = {name: snapshot.map(self._to_device) for name, snapshot in self.snapshots.items()}
        self.trainer.should_stop = self._is_through  # the checkpoint may be of a stack that had stopped

    def on_fit_end(self) -> None:
        del self.images
        self.features = None

    def training_step(self, *_) -> None:
        if self.head_only and self.features is None:
            self.features = self._embed()
        if not self.objective_started:
            self.objective.start(self.learner, self._inputs, self.images.labels)
            self.objective_started = True
        scheduled = self.steps.schedules_begin + self.iteration
        losses, cross_entropy = self._losses(self._next_batch(), schedules.batch_norm_momentum(scheduled))
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(losses.sum())
        losses = losses.detach()
        decay = schedules.learning_rate_decay(scheduled)
        optimizer.optimizer.rates = self.learning_rates * self.plateau(losses) * decay
        optimizer.optimizer.momentum = schedules.momentum(scheduled)
        optimizer.step()
        self.loss_sum += losses
        self.cross_entropy_sum += cross_entropy.detach()
        self.iteration += 1
        kept = self.steps.begin + self.iteration in self.steps.keep
        if self.iteration % self.steps.evaluate_every == 0 or self.iteration == self.steps.iterations or kept:
            self._evaluate()

    def _next_batch(self) -> Tensor:
        step = self.iteration % BATCHES_PER_EPOCH
        if self.order is None or step == 0:
            drawn = [batches.draw(self.iteration - step) for batches in self.batches]
            self.order = torch.from_numpy(np.stack(drawn, axis=1)).to(self.device)
        return self.order[step]

    def _losses(self, positions: Tensor, batch_norm_momentum: float) -> tuple[Tensor, Tensor]:
        """Losses of images at positions ``(K, B)``: ``(K,)`` each.

        The first is the objective plus l2 / 2 times the sum of squared weights, the second cross-entropy alone.
        """
        learner = self.learner.train()
        for module in learner.modules():
            if isinstance(module, MovingNorm):
                module.momentum = batch_norm_momentum
        inputs = self._inputs(positions)
        features = self.network.embed(inputs) if self.objective.needs_features else None
        logits = learner(inputs) if features is None else self.network.head(features)
        labels = self.images.labels[positions]
        cross_entropy = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
        weights = [value for name, value in learner.named_parameters() if name.endswith("weight")]
        squares = torch.stack([weight.flatten(1).square().sum(1) for weight in weights]).sum(0)
        batch = Batch(cross_entropy, logits, features, self.images.is_real[positions], learner, inputs)
        return self.objective(batch) + self.l2 / 2 * squares, cross_entropy.mean(1)

    def _inputs(self, positions: Tensor) -> Tensor:
        """Inputs of the learner for images at positions ``(K, B)``, or ``(B,)`` if they are the same for all trials."""
        if self.features is not None:
            if positions.dim() == 1:
                return self.features[:, positions]
            return self.features.take_along_dim(positions[..., None], 1)
        images = self.images.gather(positions)
        self.network.is_real = self.images.is_real[positions]
        if positions.dim() == 1:
            images = images.repeat(1, len(self.trials), 1, 1).contiguous(memory_format=torch.channels_last)
        return images

    @torch.no_grad()
    def _embed(self) -> Tensor:
        """Inputs of the head for every image of the pool: ``(K, N, F)``."""
        self.network.eval()
        parts = torch.arange(len(self.images.pixels), device=self.device).split(self._evaluation_batch)
        return torch.cat([self.network.embed(self._inputs(part)) for part in parts], 1)

    @property
    def _evaluation_batch(self) -> int:
        if self.features is not None:
            return len(self.held_out)
        cached = images_in_cache(self.pool.pixels.shape[1]) // len(self.trials)
        return max(cached, 2 * self.batches[0].size)

    @torch.no_grad()
    def _evaluate(self) -> None:
        """Predict every held-out image, add to the history, and keep the best weights so far."""
        top, probability = predict(self.learner, self._inputs, self.held_out, self._evaluation_batch)
        correct = top == self.images.labels[self.held_out, None]
        losses, cross_entropy = (
            total / (self.iteration - self.evaluated_at) for total in (self.loss_sum, self.cross_entropy_sum)
        )
        if self.iteration % self.steps.evaluate_every == 0:  # what is kept in between leaves no trace in later rows
            self.loss_sum.zero_()
            self.cross_entropy_sum.zero_()
            self.evaluated_at = self.iteration
        now = self.steps.begin + self.iteration
        rows, first = [], 0
        weights = {name: value.clone() for name, value in self.network.state_dict().items()}
        for split, positions in self.images.held_out.items():
            here = slice(first, first + len(positions))
            measured = measure(correct[:, here], self.images.is_real[positions])
            rows += self._rows(split, {"loss": losses, "train_cross_entropy": cross_entropy, **measured})
            iteration = torch.full_like(losses, now)
            candidate = Snapshot(measured["performance_top1"], iteration, weights, top, probability)
            self._keep_best(f"best_{split}", candidate)
            for domain, name in BEST_IN.items() if split == VALIDATION else ():
                self._keep_best(name, replace(candidate, score=measured[f"{domain}_top1"], weights={}))
            first = here.stop
        self.snapshots["last"] = candidate
        if now in self.steps.keep:
            self.snapshots[f"iteration_{now}"] = candidate
        self.history += rows
        self.events.evaluated(rows)
        self._note_failures(losses)
        self.best_performance = torch.nan_to_num(self.snapshots["best_validation"].score).max().item()
        self._stop_early(self.prune(rows) if self.prune else set(), self.events.to_cancel())
        self.trainer.should_stop = self._is_through

    def _keep_best(self, name: str, candidate: Snapshot) -> None:
        self.snapshots.setdefault(name, replace(candidate)).improve(candidate)

    def _rows(self, split: str, measured: dict[str, Tensor]) -> list[dict]:
        table = torch.stack(list(measured.values()), dim=1).tolist()
        return [
            {"trial": trial, "iteration": self.steps.begin + self.iteration, "split": split}
            | dict(zip(measured, row, strict=True))
            for trial, row in zip(self.trials["trial"], table, strict=True)
            if trial not in self.failures
        ]

    def _note_failures(self, losses: Tensor) -> None:
        rows = zip(self.trials["trial"], self.trials["learning_rate"], losses.tolist(), strict=True)
        for trial, rate, loss in rows:
            if not math.isfinite(loss) and trial not in self.failures:
                self.failures[trial] = diverged(
                    "train", loss, f"by iteration {self.steps.begin + self.iteration}", rate
                )
                self.events.failed(trial, self.failures[trial])

    @property
    def _is_through(self) -> bool:
        """Whether every trial has failed or been stopped."""
        return not set(self.trials["trial"]) - self.failures.keys() - self.stopped.keys()

    @property
    def stopped(self) -> dict[str, int]:
        """After how many steps trials were pruned or cancelled."""
        return self.pruned | self.cancelled

    def _stop_early(self, pruned: set[str], to_cancel: frozenset[str]) -> None:
        cancelled = to_cancel & set(self.trials["trial"]) - self.failures.keys() - pruned
        if self.iteration == self.steps.iterations or not pruned | cancelled:
            return
        self.pruned |= dict.fromkeys(sorted(pruned), self.iteration)
        self.cancelled |= dict.fromkeys(sorted(cancelled), self.iteration)
        self._tell_stopped(pruned | cancelled)
        if not self._is_through:
            self._narrow(set(self.trials["trial"]) - pruned - cancelled)

    def _tell_stopped(self, names: Collection[str]) -> None:
        for trial in sorted(names):
            if trial in self.pruned:
                self.events.pruned(trial, self.steps.begin + self.pruned[trial])
            else:
                self.events.cancelled(trial, self.why_cancelled(trial))

    def why_cancelled(self, trial: str) -> str:
        """The reason that the outcomes table gives."""
        return f"Cancelled after iteration {self.steps.begin + self.cancelled[trial]}."

    @torch.no_grad()
    def _narrow(self, remaining: set[str]) -> None:
        """Continue with some of the trials only."""
        chosen = self.trials["trial"].isin(remaining).to_numpy()
        kept = torch.from_numpy(np.flatnonzero(chosen)).to(self.device)
        for tensor in (*self.parameters(), *self.buffers()):
            tensor.grad, tensor.data = None, tensor.data[kept]
        for optimizer in self.trainer.optimizers:
            for state in optimizer.state.values():
                state["velocity"] = state["velocity"][kept]
        self.snapshots = {name: snapshot.map(lambda t: t[kept]) for name, snapshot in self.snapshots.items()}
        self.trials = self.trials[chosen]
        self.batches = [batches for batches, stays in zip(self.batches, chosen, strict=True) if stays]
        self.order = self.order[:, kept] if self.order is not None else None

    def _to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["stack"] = {
            "trials": self.trials["trial"].tolist(),
            "iteration": self.iteration,
            "evaluated_at": self.evaluated_at,
            "history": self.history,
            "snapshots": {name: vars(snapshot) for name, snapshot in self.snapshots.items()},
            "failures": self.failures,
            "pruned": self.pruned,
            "cancelled": self.cancelled,
        }

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        saved = checkpoint["stack"]
        self._narrow(set(saved["trials"]))
        for name in ("iteration", "evaluated_at", "history", "failures", "pruned"):
            setattr(self, name, saved[name])
        self.cancelled = saved.get("cancelled", {})  # older checkpoints have none
        self.snapshots = {name: Snapshot(**fields) for name, fields in saved["snapshots"].items()}
        self.events.evaluated(self.history)
        for trial, reason in self.failures.items():
            self.events.failed(trial, reason)
        self._tell_stopped(self.stopped)
