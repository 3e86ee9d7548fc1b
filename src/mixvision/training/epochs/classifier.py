"""Trains one network with Lightning: evaluation after every epoch, early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from mixvision.models.seeding import seeded
from mixvision.training.epochs.examples import TrainingData, in_batches, look_at
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.memory import images_at_once
from mixvision.training.optimizer import make_optimizer
from mixvision.training.pool import ImagePool
from mixvision.training.results import diverged
from mixvision.training.stopping import EarlyStopping
from mixvision.transforms.augmentation import draw_views

STEPS_BETWEEN_CHECKS = 50


class DivergedError(Exception):
    """The loss is no longer a finite number."""


class Classifier(lightning.LightningModule):
    """Trains one network with Adam and evaluates it on the validation examples after every epoch.

    Training stops ``patience`` epochs after the best. The order of the examples, their views and the dropout depend
    only on (seed, epoch, step), so training that resumes from a checkpoint gives the result of uninterrupted training.

    Args:
        network: from ``(B, 3, S, S)`` floats in [0, 1] to logits ``(B, categories)``.
        trial: settings of the training: seed, learning_rate, batch_size, and its name as trial.
        pool: the images, on the device.
        data: training and validation examples.
        patience: number of epochs.
        events: told of every evaluation; asked whether to cancel.

    After training, ``history`` holds one row per epoch and split.

    Raises:
        DivergedError: the loss is not finite.
        CancelledError: a listener wants it to end.
    """

    engine = "epochs"  # its version decides whether a checkpoint can be continued
    judged = "network"  # the part that is evaluated and whose weights are kept

    def __init__(
        self,
        network: nn.Module,
        trial: Mapping[str, Any],
        pool: ImagePool,
        data: TrainingData,
        patience: int,
        events: TrainingListener = SILENT,
    ) -> None:
        super().__init__()
        self.network, self.trial, self.pool, self.data = network, trial, pool, data
        self.stopping, self.events = EarlyStopping(patience), events
        self.past: Sequence[dict] = ()  # history rows that led to the first weights
        self.history: list[dict] = []
        self.sums: dict[str, Tensor] = {}  # of the cross-entropy and of the hits, on the device
        self.counts: dict[str, int] = {}

    def forward(self, images: Tensor) -> Tensor:
        """Logits in the shape of a stack of one network, ``(1, B, categories)``."""
        return self.network(images)[None]

    @property
    def settings(self) -> tuple:
        """All that decides the result besides the trial, the examples and the first weights."""
        return ()

    @property
    def learning_rate(self) -> float:
        return self.trial["learning_rate"]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return make_optimizer("adam", [{"params": list(self.parameters()), "lr": self.learning_rate}])

    def train_dataloader(self) -> DataLoader:
        """The epoch's batches: rows of the examples in a new order; the few rows left over sit out this epoch."""
        batch = self.trial["batch_size"]
        order = np.random.default_rng([self.trial["seed"], 1, self.current_epoch]).permutation(len(self.data.train))
        return _loader(order[: len(order) // batch * batch].reshape(-1, batch))

    def val_dataloader(self) -> DataLoader:
        return _loader(in_batches(len(self.data.validation), self.evaluation_batch))

    @property
    def evaluation_batch(self) -> int:
        return images_at_once(self.input_side, self.pool.pixels.is_cuda)

    @property
    def input_side(self) -> int:
        """Side in pixels of the images that the network works on."""
        return self.pool.pixels.shape[1]

    @property
    def best_epoch(self) -> int:
        """The first epoch with the highest accuracy on the validation examples."""
        return int(self.stopping.best_epoch[0])

    @property
    def is_through(self) -> bool:
        """Whether training should stop, as the validation accuracy has not risen for ``patience`` epochs."""
        return bool(self.stopping.through[0])

    @property
    def progress(self) -> dict[str, int]:
        """Steps and epochs so far, at the end of an epoch."""
        return {"iteration": self.global_step, "epoch": self.current_epoch + 1}

    def on_fit_start(self) -> None:
        self.trainer.should_stop = self.is_through  # the checkpoint may be of a training that had stopped
        self.events.evaluated(self.history)

    def on_train_epoch_start(self) -> None:
        self.began = time.perf_counter()
        self._begin("train")

    def training_step(self, rows: np.ndarray, batch: int) -> Tensor:
        views = None
        if self.data.augmentation:
            generator = np.random.default_rng([self.trial["seed"], 2, self.current_epoch, batch])
            views = draw_views(self.data.augmentation, len(rows), generator)
        images, labels = look_at(self.pool, self.data.train[rows], views)
        with seeded(self.trial["seed"], 3, self.global_step):  # dropout
            logits = self.network(images)
        loss = self._measure("train", logits, labels)
        if batch % STEPS_BETWEEN_CHECKS == 0:  # looking waits for the device
            self._require_finite("train")
        return loss

    def on_validation_epoch_start(self) -> None:
        self._require_finite("train")
        self.seconds = time.perf_counter() - self.began
        self._begin("validation")

    def validation_step(self, rows: np.ndarray, _: int) -> None:
        images, labels = look_at(self.pool, self.data.validation[rows])
        self._measure("validation", self.get_submodule(self.judged)(images), labels)

    def on_validation_epoch_end(self) -> None:
        self._require_finite("validation")
        top1 = self._means("validation")["top1"]
        self.log("validation_top1", top1, prog_bar=True)  # the checkpoint callback keeps the best epoch by it

    def on_train_epoch_end(self) -> None:
        about = {"trial": self.trial["trial"], **self.progress}
        rows = [
            {**about, "split": "train", **self._means("train"), "seconds": self.seconds},
            {**about, "split": "validation", **self._means("validation")},
        ]
        self.history += rows
        self._note(rows)
        self.events.evaluated(rows)
        self.trainer.should_stop = self.is_through
        if not self.is_through and self.trial["trial"] in self.events.to_cancel():
            raise CancelledError(f"Cancelled after epoch {self.progress['epoch']}.")

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.history = checkpoint["history"]
        self._note(self.history[len(self.past) :])

    def _note(self, rows: Sequence[dict]) -> None:
        for row in rows:
            if row["split"] == "validation":
                self.stopping.note(row["epoch"], np.array([row["top1"]]))

    def _begin(self, split: str) -> None:
        self.sums[split], self.counts[split] = torch.zeros(2, device=self.device), 0

    def _measure(self, split: str, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean cross-entropy of a batch; adds loss and hits to the sums of the split."""
        loss = F.cross_entropy(logits, labels)
        hits = (logits.argmax(1) == labels).float().sum()
        self.sums[split] += torch.stack([loss.detach().float() * len(labels), hits])
        self.counts[split] += len(labels)
        return loss

    def _means(self, split: str) -> dict[str, float]:
        loss, hits = (self.sums[split] / self.counts[split]).tolist()
        return {"cross_entropy": loss, "top1": hits}

    def _require_finite(self, split: str) -> None:
        loss = self.sums[split][0].item()
        if not math.isfinite(loss):
            now = self.progress
            when = f"in epoch {now['epoch']}, by step {now['iteration']}"
            raise DivergedError(diverged(split, loss, when, self.learning_rate))


def _loader(batches: Any) -> DataLoader:
    """Load arrays of rows one by one, on the host; its own generator leaves PyTorch's global one alone."""
    return DataLoader(batches, batch_size=None, collate_fn=_as_it_is, generator=torch.Generator())


def _as_it_is(batch: Any) -> Any:
    return batch
