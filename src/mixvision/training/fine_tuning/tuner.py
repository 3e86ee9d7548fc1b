"""Fine-tunes networks whose heads were trained on a frozen backbone, phase by phase: more blocks at lower rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from mixvision.models.freezing import freeze, layer_decay_groups, trainable_parameters
from mixvision.models.transfer import TransferNetwork
from mixvision.training.config import EpochTraining
from mixvision.training.epochs.classifier import Classifier
from mixvision.training.epochs.engine import Trial, train_each
from mixvision.training.epochs.examples import Examples, TrainingData
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.fine_tuning.config import FineTuning
from mixvision.training.optimizer import decayed_rate, make_optimizer
from mixvision.training.pool import ImagePool
from mixvision.training.results import SweepResult
from mixvision.transforms.augmentation import Augmentation


class FineTuner(Classifier):
    """Trains a :class:`TransferNetwork` in phases, without early stopping.

    One optimiser holds all parameters from the first step on and skips those that are frozen: a parameter that was
    trained in an earlier phase keeps its moments, and a newly unfrozen one starts without any.

    Args:
        arguments: those of ``Classifier``.
        fine_tuning: the phases.
        past: by trial, the history rows that led to the network; epochs and steps are counted on from there.
    """

    engine = "fine_tuning"
    network: TransferNetwork

    def __init__(self, *arguments: Any, fine_tuning: FineTuning, past: Mapping[str, Sequence[dict]]) -> None:
        super().__init__(*arguments)
        self.fine_tuning, self.past = fine_tuning, past[self.trial["trial"]]
        self.history = list(self.past)
        self.stopping.patience = math.inf  # run all epochs
        if self.pool.pixels.is_cuda:  # on a CPU it makes no difference
            self.network.to(memory_format=torch.channels_last)
        if fine_tuning.ema_decay is not None:
            update = partial(move_average, fine_tuning.ema_decay)
            self.average = AveragedModel(self.network, multi_avg_fn=update, use_buffers=True).requires_grad_(False)
            self.judged = "average.module"

    @property
    def input_side(self) -> int:
        return self.network.preprocessing.size

    @property
    def settings(self) -> tuple:
        past = [{name: value for name, value in row.items() if name != "seconds"} for row in self.past]
        return self.fine_tuning, past

    @property
    def learning_rate(self) -> float:
        return self.fine_tuning.phase_at(self.current_epoch)[0].learning_rate

    @property
    def progress(self) -> dict[str, int]:
        before = self.past[-1] if self.past else {}
        return {name: done + before.get(name, 0) for name, done in super().progress.items()}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Group the parameters; each group's rate is the head's times the group's ``factor``."""
        settings, backbone, head = self.fine_tuning, self.network.backbone, list(self.network.head.parameters())
        freeze(backbone, "all")  # unfreezes everything: frozen parameters would be left out of the groups
        blocks = layer_decay_groups(backbone, settings.layer_decay, settings.layer_decay, settings.weight_decay)
        groups = [{**group, "factor": group["lr"]} for group in blocks]
        groups.append({"params": head, "weight_decay": settings.weight_decay, "factor": 1.0})
        return make_optimizer(settings.optimizer, groups)

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        phase, begin = self.fine_tuning.phase_at(self.current_epoch)
        freeze(self.network.backbone, phase.trainable_blocks, self.fine_tuning.batch_statistics)
        self.network.train()
        if phase.reset_optimizer and self.current_epoch == begin:
            self.trainer.optimizers[0].state.clear()

    def on_train_batch_start(self, *_: Any) -> None:
        phase, begin = self.fine_tuning.phase_at(self.current_epoch)
        steps = len(self.data.train) // self.trial["batch_size"]
        rate = self.fine_tuning.rate(phase, self.global_step - begin * steps, phase.epochs * steps)
        rate = decayed_rate(self.fine_tuning.optimizer, rate, self.global_step)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate * group["factor"]

    def on_train_batch_end(self, *_: Any) -> None:
        if self.fine_tuning.ema_decay is not None:
            self.average.update_parameters(self.network)


@torch.no_grad()
def move_average(decay: float, averages: Sequence[Tensor], weights: Sequence[Tensor], steps_before: Tensor) -> None:
    """Move averages of weights by one step, so that the weights of k steps ago count with ``decay**k``.

    The weights of the first step count as little as their age says. In a plain exponential average they stand for all
    steps before the training: with a decay of .99 they would still be 45% of it after 80 steps. The correction is that
    of Adam's moments (Kingma and Ba 2015, section 3).

    Args:
        decay: between 0 and 1.
        averages, weights: of the same shapes; the averages are changed in place. Whole numbers are copied.
        steps_before: how many steps are in the averages; in the first one ``AveragedModel`` copies the weights itself.
    """
    share = (1 - decay) / (1 - decay ** (int(steps_before) + 1))
    for average, current in zip(averages, weights, strict=True):
        if average.is_floating_point():
            average.lerp_(current, share)
        else:
            average.copy_(current)


@dataclass(frozen=True)
class TrainedHeads:
    """The trained heads that fine-tunings continue from.

    Attributes:
        build_network: makes a trial's network, with its trained head.
        past: by trial, the history rows of that head.
    """

    build_network: Callable[[Trial], TransferNetwork]
    past: Mapping[str, Sequence[dict]]


def fine_tune(
    trials: pd.DataFrame,
    fine_tuning: FineTuning,
    heads: TrainedHeads,
    pool: ImagePool,
    augmentation: Augmentation | None,
    training: EpochTraining,
    checkpoints: Path,
    events: TrainingListener = SILENT,
) -> SweepResult:
    """Fine-tune every trial, one after the other; see :func:`mixvision.training.epochs.engine.train_each`.

    Args:
        trials: one row per trial: trial, seed and anything else; the batch size is that of the fine-tuning.
        fine_tuning: the same for all trials.
        heads: the trained heads to continue from.
        pool: the images; those that are not held out are trained on.
        augmentation: how views of the training images are drawn in every epoch, or None for the images unchanged.
        training: device and precision; the number of epochs is that of the fine-tuning.
        checkpoints: folder for the checkpoints.
        events: told of the trials' progress.

    Returns:
        As ``train_by_epochs``, with these differences. Each history begins with the rows of the head (phase "head"),
        and epochs and iterations are counted on from there; outcomes include the head's epochs, iterations and seconds.
        The history's column phase says what was trained, and the learning rate where several phases train the same.
        The best epoch is one of the fine-tuning's own. outcomes has a column trained_parameters, the largest number
        trained at a time. weights holds the whole network, with ``ema_decay`` the averaged one. No error is raised if
        every trial diverges; their outcomes say so.

    Raises:
        ValueError: a GPU is requested but not available, batches do not fit the training set or the network, or a phase
            unfreezes more blocks than a network has.
    """
    trained = {
        trial["trial"]: _most_trained(heads.build_network(trial), fine_tuning) for trial in trials.to_dict("records")
    }
    rows = {trial: _plain_rows(heads.past[trial], trial) for trial in trained}
    train = pool.not_held_out
    data = TrainingData(Examples(train), Examples(pool.held_out["validation"].numpy()), augmentation)
    result = train_each(
        heads.build_network,
        lambda _: data,
        trials.assign(batch_size=fine_tuning.batch_size),
        pool,
        replace(training, epochs=fine_tuning.epochs),
        checkpoints,
        events,
        partial(FineTuner, fine_tuning=fine_tuning, past=rows),
    )
    outcomes = result.outcomes.assign(trained_parameters=list(trained.values()))
    return replace(result, history=_with_phases(result.history, fine_tuning, rows), outcomes=outcomes)


def _plain_rows(history: Sequence[dict], trial: str) -> list[dict]:
    """The rows as listeners receive them: under this trial's name, without phase and without missing values."""
    return [
        {name: value for name, value in row.items() if name != "phase" and value == value} | {"trial": trial}
        for row in history
    ]


def _with_phases(history: pd.DataFrame, fine_tuning: FineTuning, past: Mapping[str, Sequence[dict]]) -> pd.DataFrame:
    if history.empty:
        return history
    begins = {trial: max((row["epoch"] for row in rows), default=0) for trial, rows in past.items()}
    epochs = history["epoch"] - history["trial"].map(begins)
    names = ["head", *(phase.name for phase in fine_tuning.phases)]
    rates = {phase: f"{phase.name}, {phase.learning_rate:g}" for phase in fine_tuning.phases}
    # A phase is named by what it trains; where two train the same, also by its rate.
    called = {phase: rate if names.count(phase.name) > 1 else phase.name for phase, rate in rates.items()}
    return history.assign(
        phase=["head" if epoch < 1 else called[fine_tuning.phase_at(epoch - 1)[0]] for epoch in epochs]
    )


def _most_trained(network: TransferNetwork, fine_tuning: FineTuning) -> int:
    """The largest number of parameters that any phase trains."""
    counts = []
    for phase in fine_tuning.phases:
        freeze(network.backbone, phase.trainable_blocks)
        counts.append(sum(parameter.numel() for parameter in trainable_parameters(network)))
    return max(counts)
