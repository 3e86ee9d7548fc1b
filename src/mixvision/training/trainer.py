"""Lightning's trainer with the settings that all engines share."""

from __future__ import annotations

import logging
import math
from typing import Any

import lightning
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import TQDMProgressBar

from mixvision.progress import Lines, is_in_terminal
from mixvision.training.checkpoints import SafeCheckpoints
from mixvision.training.config import Arithmetic
from mixvision.training.memory import keep_freed_memory

for library in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric"):
    logging.getLogger(library).setLevel(logging.WARNING)  # no device lists and tips for every training


class TrainingBar(TQDMProgressBar):
    """Lightning's progress bar, which says what is trained, or lines where no terminal shows it."""

    def __init__(self, what: str, refresh_rate: int = 1) -> None:
        super().__init__(refresh_rate)
        self.what = what

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        super().on_train_start(trainer)
        if math.isfinite(self.total_train_batches):  # Lightning sets it as an epoch starts: not if that is resumed
            self.train_progress_bar.total = int(self.total_train_batches)
        self._describe(trainer)

    def on_train_epoch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        super().on_train_epoch_start(trainer)
        self._describe(trainer)

    def _describe(self, trainer: lightning.Trainer) -> None:
        epochs = trainer.max_epochs or -1  # -1: the trainer counts steps
        epoch = f", epoch {trainer.current_epoch + 1} of {epochs}" if epochs > 0 else ""
        self.train_progress_bar.set_description(f"training {self.what}{epoch}")

    def init_train_tqdm(self) -> Any:
        return super().init_train_tqdm() if is_in_terminal() else Lines(unit="step", leave=False)

    def init_validation_tqdm(self) -> Any:
        return super().init_validation_tqdm() if is_in_terminal() else Lines(disable=True)


def trainer_for(
    module: lightning.LightningModule, arithmetic: Arithmetic, callbacks: list[lightning.Callback], **options: Any
) -> lightning.Trainer:
    """Make a trainer for the device and precision of ``arithmetic``; ``options`` are passed to Lightning."""
    if not arithmetic.on_gpu:
        keep_freed_memory()
    if arithmetic.precision == "64-true":
        module.double()  # Lightning would convert it only after restoring a checkpoint, which would round it
    precision: Any = arithmetic.precision  # one of Lightning's names
    return lightning.Trainer(
        accelerator="gpu" if arithmetic.on_gpu else "cpu",
        devices=1,
        precision=precision,
        logger=False,
        enable_model_summary=False,
        callbacks=callbacks,
        plugins=[SafeCheckpoints(), LightningEnvironment()],  # one process, whatever Slurm's variables say
        **options,
    )
