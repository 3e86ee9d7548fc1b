"""Fits one stack with Lightning; the folder of its checkpoints is named by all that decides the result."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any, cast

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, Dataset

from mixvision.training.checkpoints import checkpoint_to_continue
from mixvision.training.config import Course, Training
from mixvision.training.fingerprints import fingerprint
from mixvision.training.pool import ImagePool
from mixvision.training.sweep.stack import Stack
from mixvision.training.trainer import TrainingBar, trainer_for


def fit_stack(stack: Stack, training: Training, folder: Path, past: list[dict]) -> float:
    """Train a stack, from the checkpoint in ``folder`` if there is one, and return the seconds it took.

    ``past`` holds the history rows that led to its first weights; the stack's history begins with them.
    """
    checkpoint = checkpoint_to_continue(folder)
    if checkpoint is None and past:
        stack.history = list(past)
        stack.events.evaluated(past)
    begin = time.perf_counter()
    checkpoints = ModelCheckpoint(
        folder,
        filename="last",
        every_n_train_steps=min(training.checkpoint_every, stack.steps.iterations),
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )
    names = list(stack.trials["trial"])
    bar = _Progress(names[0] if len(names) == 1 else f"{len(names)} models", refresh_rate=5)
    trainer = trainer_for(stack, training, [checkpoints, bar], max_steps=stack.steps.iterations)
    numbers = cast(Dataset, range(stack.steps.iterations))  # any sequence will do
    steps: DataLoader = DataLoader(numbers, batch_size=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's hints on manual optimisation and loaders do not apply here
        trainer.fit(stack, steps, ckpt_path=checkpoint, weights_only=True)
    for trial in stack.trials["trial"]:
        if trial not in stack.failures and trial not in stack.stopped:
            stack.events.finished(trial)
    return time.perf_counter() - begin


class _Progress(TrainingBar):
    """Shows the best performance up to the last evaluation; Lightning's own logging would wait for the device."""

    def get_metrics(self, _: lightning.Trainer, stack: Any) -> dict:
        return {"best on validation": f"{stack.best_performance:.3f}"} if stack.best_performance else {}


def fingerprint_shared(pool: ImagePool, training: Training, course: Course) -> str:
    """Fingerprint of what decides the results of all stacks: images, splits, evaluations, precision, course."""
    continuation, arithmetic = course.continuation, (training.precision, training.on_gpu)
    continued = (continuation.trainable, continuation.schedules) if continuation else None
    course_taken = continued, sorted(course.keep), course.prune is not None
    return fingerprint("sweep", pool, training.evaluate_every, arithmetic, course_taken)


def fingerprint_stack(stack: Stack, shared: str, past: list[dict]) -> str:
    """Fingerprint of all that decides a stack's result: what is shared, its trials, their images, history, weights."""
    weights = stack.network.state_dict()
    return fingerprint("sweep", shared, stack.steps.iterations, stack.trials, past, stack.batches, weights)
