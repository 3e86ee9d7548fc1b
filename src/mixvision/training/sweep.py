"""Trains any number of trials: splits them into stacks that fit, checkpoints each, and gathers what came out."""

from __future__ import annotations

import gc
import hashlib
import logging
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from torch import Tensor
from torch.utils.data import DataLoader

import mixvision
from mixvision.training.data import BATCHES_PER_EPOCH, ImagePool
from mixvision.training.observers import observers
from mixvision.training.stack import BuildNetwork, Stack

log = logging.getLogger(__name__)
for library in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric"):
    logging.getLogger(library).setLevel(logging.WARNING)  # no device lists and tips for every stack

# On a CPU a stack is fastest while its largest feature map stays in the cache (measured: docs/architecture.md).
CACHE_BYTES = 16 * 2**20
FIRST_MAP_CHANNELS = 8


@dataclass(frozen=True)
class Training:
    """How long and on what to train.

    Attributes:
        iterations: steps of gradient descent (the study: 3,000).
        evaluate_every: iterations between two evaluations on the validation and test images.
        checkpoint_every: iterations between two checkpoints; a killed run loses at most these.
        accelerator: "auto" (an NVIDIA or AMD GPU where there is one, else the CPU), "cpu" or "gpu".
        precision: Lightning's name of the arithmetic, "32-true", "64-true" or "bf16-mixed".
        stack_size: most trials trained together, or None to decide by the device.
    """

    iterations: int = 3000
    evaluate_every: int = 50
    checkpoint_every: int = 100
    accelerator: str = "auto"
    precision: str = "32-true"
    stack_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("iterations", "evaluate_every", "checkpoint_every", "stack_size"):
            value = getattr(self, name)
            if name == "stack_size" and value is None:
                continue
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} is {value!r}; give a whole number of 1 or more.")
        allowed = {"accelerator": ("auto", "cpu", "gpu"), "precision": ("32-true", "64-true", "bf16-mixed")}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(values)}.")


@dataclass(frozen=True)
class SweepResult:
    """What a sweep leaves behind.

    Attributes:
        history: one row a trial, evaluation and split: trial, iteration, split, loss, accuracies, performances.
        predictions: one row a trial, snapshot of its weights and held-out image.
        outcomes: one row a trial: trial, status ("finished" or "failed"), reason, and of its stack the size and the
            seconds of training in this process.
        weights: tensors by trial and snapshot ("last", "best_validation", "best_test").
    """

    history: pd.DataFrame
    predictions: pd.DataFrame
    outcomes: pd.DataFrame
    weights: dict[str, dict[str, dict[str, Tensor]]]


def train_sweep(
    build_network: BuildNetwork,
    trials: pd.DataFrame,
    training_sets: pd.DataFrame,
    pool: ImagePool,
    training: Training,
    checkpoints: Path,
) -> SweepResult:
    """Train every trial and predict every held-out image.

    Trials train together in stacks. Each stack checkpoints into its own folder, whose name is derived from all that
    decides the result, so calling again after a kill continues where it stopped and gives the same result.

    Args:
        build_network: makes a stacked network from K random generators.
        trials: one row a trial: trial, seed, learning_rate, l2 and anything else.
        training_sets: one row an image of a trial: trial, id.
        pool: all images of the sweep.
        training: how long and on what.
        checkpoints: folder for the checkpoints; the caller removes it when the results are safe.

    Raises:
        ValueError: a GPU is asked for and there is none, a training set has fewer than 20 images or holds others than
            training images, or every trial diverged.
    """
    if training.accelerator == "gpu" and not torch.cuda.is_available():
        raise ValueError("accelerator is 'gpu', but PyTorch finds none here: use auto or cpu.")
    sets = _positions(training_sets, trials, pool)
    for observer in observers:
        observer.started(trials)
    results, shared = [], _shared_digest(pool, training)
    pending = _stacks(trials, sets, pool, training)
    while pending:
        names = pending.pop(0)
        chosen = trials[trials["trial"].isin(names)]
        log.info("Training %d of %d models together: %s", len(names), len(trials), ", ".join(names))
        try:
            results.append(_train_stack(build_network, chosen, sets, pool, training, checkpoints, shared))
            continue
        except torch.OutOfMemoryError:
            if len(names) == 1:
                raise
        log.warning("%d models do not fit the device together; training them in two halves.", len(names))
        pending = [names[: len(names) // 2], names[len(names) // 2 :], *pending]
        gc.collect()  # only now, with the error gone, nothing holds the failed stack any more
        torch.cuda.empty_cache()
    if all(outcome == "failed" for result in results for outcome in result.outcomes["status"]):
        raise ValueError(f"Every trial diverged. {results[0].outcomes['reason'].iloc[0]}")
    return SweepResult(
        history=pd.concat([result.history for result in results], ignore_index=True),
        predictions=pd.concat([result.predictions for result in results], ignore_index=True),
        outcomes=pd.concat([result.outcomes for result in results], ignore_index=True),
        weights={trial: weights for result in results for trial, weights in result.weights.items()},
    )


def _positions(training_sets: pd.DataFrame, trials: pd.DataFrame, pool: ImagePool) -> dict[str, np.ndarray]:
    by_trial = {trial: _find(ids.to_numpy(), pool) for trial, ids in training_sets.groupby("trial")["id"]}
    for trial in trials["trial"]:
        count = len(by_trial.get(trial, ()))
        if count < BATCHES_PER_EPOCH:
            raise ValueError(
                f"{trial} has {count} training images, but a batch is a twentieth of the training set: "
                f"it needs {BATCHES_PER_EPOCH} or more. Add images or hold fewer out (parameter splits)."
            )
    return by_trial


def _find(ids: np.ndarray, pool: ImagePool) -> np.ndarray:
    positions = np.searchsorted(pool.ids, ids).clip(max=len(pool.ids) - 1)
    held_out = np.isin(positions, pool.all_held_out.numpy())
    wrong = ids[(pool.ids[positions] != ids) | held_out]
    if len(wrong):
        raise ValueError(
            f"{wrong[0]!r} and {len(wrong) - 1} more images of training_sets are not among the manifest's training "
            "images: the splits have changed since they were chosen. Run the pipeline from choose_images on."
        )
    return positions


def _stacks(trials: pd.DataFrame, sets: dict[str, np.ndarray], pool: ImagePool, training: Training) -> list[list[str]]:
    """Names of the trials that train together: their batches are equally large, and on a CPU they fit the cache."""
    batches = trials["trial"].map(lambda trial: len(sets[trial]) // BATCHES_PER_EPOCH)
    stacks = []
    for batch, names in trials.groupby(batches, sort=False)["trial"]:
        map_bytes = batch * pool.pixels[0, :, :, 0].numel() * FIRST_MAP_CHANNELS * 4
        fitting = len(names) if _trains_on_gpu(training) else max(1, CACHE_BYTES // map_bytes)
        count = -(-len(names) // (training.stack_size or fitting))
        stacks += [list(part) for part in np.array_split(names.to_numpy(), count)]
    return stacks


def _trains_on_gpu(training: Training) -> bool:
    return training.accelerator != "cpu" and torch.cuda.is_available()


def _train_stack(
    build_network: BuildNetwork,
    trials: pd.DataFrame,
    sets: dict[str, np.ndarray],
    pool: ImagePool,
    training: Training,
    checkpoints: Path,
    shared: hashlib._Hash,
) -> SweepResult:
    own_sets = [sets[trial] for trial in trials["trial"]]
    stack = Stack(build_network, trials, own_sets, pool, training.iterations, training.evaluate_every)
    folder = checkpoints / _fingerprint(stack, shared)
    checkpoint = folder / "last.ckpt"
    if checkpoint.exists():
        log.info("Continuing from the checkpoint %s.", checkpoint)
    begin = time.perf_counter()
    trainer = lightning.Trainer(
        max_steps=training.iterations,
        accelerator="gpu" if _trains_on_gpu(training) else "cpu",
        devices=1,
        precision=training.precision,
        logger=False,
        enable_model_summary=False,
        callbacks=[_checkpointing(folder, training), TQDMProgressBar(refresh_rate=5)],
    )
    steps = DataLoader(range(training.iterations), batch_size=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's hints on manual optimisation and loaders do not apply here
        trainer.fit(stack, steps, ckpt_path=checkpoint if checkpoint.exists() else None, weights_only=True)
    seconds = time.perf_counter() - begin
    for trial in trials["trial"]:
        if trial not in stack.failures:
            for observer in observers:
                observer.finished(trial)
    return _gather(stack, seconds)


def _checkpointing(folder: Path, training: Training) -> ModelCheckpoint:
    return ModelCheckpoint(
        folder,
        filename="last",
        every_n_train_steps=min(training.checkpoint_every, training.iterations),
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )


def _shared_digest(pool: ImagePool, training: Training) -> hashlib._Hash:
    """All that decides the result of every stack alike: images, splits, length, arithmetic; made once a sweep."""
    device = "gpu" if _trains_on_gpu(training) else "cpu"
    settings = (training.iterations, training.evaluate_every, training.precision, device)
    digest = hashlib.sha256(repr((*settings, torch.__version__, mixvision.__version__)).encode())
    digest.update("\n".join((*pool.categories, *pool.ids)).encode())
    for positions in (*pool.held_out.values(), pool.labels):
        digest.update(positions.numpy().tobytes())
    digest.update(pool.pixels.numpy())
    return digest


def _fingerprint(stack: Stack, shared: hashlib._Hash) -> str:
    """A name for all that decides a stack's result: what is shared, and its trials, their images and first weights."""
    digest = shared.copy()
    digest.update(stack.trials.to_json().encode())
    for positions in stack.training_sets:
        digest.update(positions.tobytes())
    for weight in stack.network.state_dict().values():
        digest.update(weight.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _gather(stack: Stack, seconds: float) -> SweepResult:
    names = list(stack.trials["trial"])
    predictions, weights = [], {name: {} for name in names}
    for snapshot_name, snapshot in stack.snapshots.items():
        top, probability = snapshot.top.cpu().numpy(), snapshot.probability.float().cpu().numpy()
        for k, trial in enumerate(names):
            if trial in stack.failures:
                continue
            weights[trial][snapshot_name] = {
                name: value[k].detach().cpu().contiguous() for name, value in snapshot.weights.items()
            }
            predictions.append(_predictions(stack, trial, snapshot_name, top[k], probability[k]))
    outcomes = pd.DataFrame(
        {
            "trial": names,
            "status": ["failed" if name in stack.failures else "finished" for name in names],
            "reason": [stack.failures.get(name, "") for name in names],
            "stack_size": len(names),
            "stack_seconds": seconds,
        }
    )
    return SweepResult(
        pd.DataFrame(stack.history),
        pd.concat(predictions, ignore_index=True) if predictions else pd.DataFrame(),
        outcomes,
        weights,
    )


def _predictions(stack: Stack, trial: str, weights: str, top: np.ndarray, probability: np.ndarray) -> pd.DataFrame:
    categories = np.array(stack.pool.categories)
    columns = {"trial": trial, "weights": weights, "id": stack.pool.ids[stack.pool.all_held_out.numpy()]}
    columns |= {f"prediction_{k + 1}": categories[top[:, k]] for k in range(top.shape[1])}
    columns |= {f"probability_{k + 1}": probability[:, k] for k in range(top.shape[1])}
    return pd.DataFrame(columns)
