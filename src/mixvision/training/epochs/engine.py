"""Trains trials one by one, by epochs, and gathers their results; the trials of a sweep train together instead."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from mixvision.models.heads import StackedBatchNorm
from mixvision.training.attempts import train_in_groups
from mixvision.training.checkpoints import checkpoint_to_continue
from mixvision.training.config import EpochTraining
from mixvision.training.epochs.classifier import Classifier, DivergedError
from mixvision.training.epochs.examples import TrainingData
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.fingerprints import fingerprint
from mixvision.training.pool import ImagePool, require_batches
from mixvision.training.predictions import predict, prediction_table
from mixvision.training.results import NO_EPOCHS, SweepResult, join_results, outcome, require_success
from mixvision.training.trainer import TrainingBar, trainer_for
from mixvision.vocabulary import BEST_VALIDATION, LAST

log = logging.getLogger(__name__)

Trial = Mapping[str, Any]
LOWER = "batch_size, or image_size (in fine-tuning input_sizes or trainable_blocks)"
CHECKPOINTS = {BEST_VALIDATION: "best", LAST: "last"}  # name of each snapshot's file


def train_by_epochs(
    build_network: Callable[[Trial], nn.Module],
    prepare: Callable[[Trial], TrainingData],
    trials: pd.DataFrame,
    pool: ImagePool,
    training: EpochTraining,
    checkpoints: Path,
    events: TrainingListener = SILENT,
) -> SweepResult:
    """Train every trial, one after the other, and predict the held-out images with its best and its last weights.

    After every epoch a checkpoint is saved in a folder whose name is derived from all that decides the trial's result,
    so calling again after a kill continues with the interrupted epoch. A trial that diverges, runs out of memory or is
    cancelled does not cost the others: its outcome says why it is missing. Predictions are made in float32 (in float64
    with "64-true"), whatever the precision of training.

    Args:
        build_network: makes a trial's network with its first weights.
        prepare: returns a trial's training data.
        trials: one row per trial: trial, seed, learning_rate, batch_size and anything else.
        pool: all images.
        training: duration, device and precision.
        checkpoints: folder for the checkpoints; the caller removes it once the results are saved.
        events: told of the trials' progress; after a kill, of what happened before it, too.

    Returns:
        history: trial, iteration (steps so far), epoch (from 1), split ("train": the running mean over the epoch's
        augmented batches, with dropout; "validation": after the epoch), cross_entropy, top1, seconds (of training, in
        rows of "train"). predictions: of all held-out images. outcomes: trial, status, reason, epochs, iterations,
        best_epoch (0 if failed), seconds, parameters. weights: "best_validation" and "last".

    Raises:
        ValueError: a GPU is requested but not available, a batch is larger than a training set or too small for the
            network, images are too small for it, or no trial finished.
    """
    result = train_each(build_network, prepare, trials, pool, training, checkpoints, events)
    require_success(result)
    return result


def train_each(
    build_network: Callable[[Trial], nn.Module],
    prepare: Callable[[Trial], TrainingData],
    trials: pd.DataFrame,
    pool: ImagePool,
    training: EpochTraining,
    checkpoints: Path,
    events: TrainingListener = SILENT,
    make_classifier: Callable[..., Classifier] = Classifier,
) -> SweepResult:
    """As :func:`train_by_epochs`, but if no trial finishes, return no weights and no predictions instead of raising.

    Args:
        make_classifier: makes the module that trains a network, from the arguments of ``Classifier``.
    """
    training.require_available()
    records = trials.to_dict("records")
    data = {trial["trial"]: prepare(trial) for trial in records}
    for trial in records:  # check all of them before the first is trained
        with torch.device("meta"):
            network = build_network(trial)
        normalises = any(isinstance(module, nn.BatchNorm1d | StackedBatchNorm) for module in network.modules())
        require_batches(trial, len(data[trial["trial"]].train), normalises)
    shared = fingerprint("epochs", pool, training.epochs, training.patience, training.precision, training.on_gpu)
    on_device, by_name = pool.to(training.device), {trial["trial"]: trial for trial in records}

    def train(names: list[str]) -> SweepResult:
        trial = by_name[names[0]]
        log.info("Training %s.", trial["trial"])
        classifier = make_classifier(
            build_network(trial), trial, on_device, data[trial["trial"]], training.patience, events
        )
        return _train(classifier, training, checkpoints / _fingerprint(shared, classifier))

    results = []
    for name in by_name:
        events.started(trials[trials["trial"] == name])
        results.append(train_in_groups(train, [[name]], events, LOWER, NO_EPOCHS | {"parameters": 0}))
    return join_results(results)


def _train(classifier: Classifier, training: EpochTraining, folder: Path) -> SweepResult:
    """Train one trial, from its checkpoint if there is one, and predict; a trial that diverges has no predictions."""
    name, reason = classifier.trial["trial"], ""
    weights, predictions = {}, pd.DataFrame()
    try:
        weights[name] = _fit(classifier, training, folder)
        predictions = _predict(classifier, weights[name])
    except DivergedError as error:
        reason = str(error)
    if reason:
        classifier.events.failed(name, reason)
    else:
        classifier.events.finished(name)
    outcomes = pd.DataFrame([_outcome(classifier, reason)])
    return SweepResult(pd.DataFrame(classifier.history), predictions, outcomes, weights)


def _fit(classifier: Classifier, training: EpochTraining, folder: Path) -> dict[str, dict[str, Tensor]]:
    """Train one network, from its checkpoint if there is one, and return its weights by snapshot, on the CPU."""
    checkpoint = checkpoint_to_continue(folder, "best.ckpt")
    keeping: dict[str, Any] = {"dirpath": folder, "enable_version_counter": False, "save_on_train_epoch_end": True}
    best = ModelCheckpoint(
        filename="best", monitor="validation_top1", mode="max", save_weights_only=True, **keeping
    )  # the first if several are equal
    trainer = trainer_for(
        classifier,
        training,
        [best, ModelCheckpoint(filename="last", **keeping), TrainingBar(classifier.trial["trial"])],
        max_epochs=training.epochs,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's hints on loaders do not apply: batches are positions in memory
        trainer.fit(classifier, ckpt_path=checkpoint, weights_only=True)
    files = {snapshot: folder / f"{name}.ckpt" for snapshot, name in CHECKPOINTS.items()}
    return {snapshot: _read_weights(file, f"{classifier.judged}.") for snapshot, file in files.items()}


def _read_weights(checkpoint: Path, prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with the prefix, without it."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    return {name.removeprefix(prefix): tensor.contiguous() for name, tensor in state.items() if name.startswith(prefix)}


@torch.no_grad()
def _predict(classifier: Classifier, weights: Mapping[str, Mapping[str, Tensor]]) -> pd.DataFrame:
    """Predict the held-out images with the weights of each snapshot."""
    held_out = {split: classifier.pool.held_out[split] for split in classifier.data.held_out}
    pool = replace(classifier.pool, held_out=held_out)
    classifier.to(pool.pixels.device)
    tables = []
    for snapshot, tensors in weights.items():
        classifier.network.load_state_dict(tensors)
        top, probability = predict(classifier, pool.gather, pool.all_held_out, classifier.evaluation_batch)
        tables.append(prediction_table(classifier.trial["trial"], snapshot, pool, top[0], probability[0]))
    return pd.concat(tables, ignore_index=True)


def _outcome(classifier: Classifier, reason: str) -> dict[str, Any]:
    trained = [row for row in classifier.history if row["split"] == "train"]
    return outcome(
        classifier.trial["trial"],
        reason,
        epochs=len(trained),
        iterations=trained[-1]["iteration"] if trained else 0,
        best_epoch=0 if reason else classifier.best_epoch,
        seconds=sum(row["seconds"] for row in trained),
        parameters=sum(weights.numel() for weights in classifier.network.parameters()),
    )


def _fingerprint(shared: str, classifier: Classifier) -> str:
    """Fingerprint of all that decides a trial's result: what is shared, its settings, examples and first weights."""
    weights = classifier.network.state_dict()
    return fingerprint(classifier.engine, shared, classifier.trial, classifier.settings, classifier.data, weights)
