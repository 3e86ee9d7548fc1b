"""Lightning's trainer as every engine uses it."""

from __future__ import annotations

import logging
from typing import Any

import lightning

from mixvision.training.config import Arithmetic
from mixvision.training.memory import keep_freed_memory

for library in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric"):
    logging.getLogger(library).setLevel(logging.WARNING)  # no device lists and tips for every training


def trainer_for(
    module: lightning.LightningModule, arithmetic: Arithmetic, callbacks: list[lightning.Callback], **options: Any
) -> lightning.Trainer:
    """A trainer on the device and in the precision that are asked for; ``options`` are Lightning's own."""
    if not arithmetic.on_gpu:
        keep_freed_memory()
    if arithmetic.precision == "64-true":
        module.double()  # Lightning would do so only after it has restored (and rounded) a checkpoint
    precision: Any = arithmetic.precision  # one of Lightning's names
    return lightning.Trainer(
        accelerator="gpu" if arithmetic.on_gpu else "cpu",
        devices=1,
        precision=precision,
        logger=False,
        enable_model_summary=False,
        callbacks=callbacks,
        **options,
    )
