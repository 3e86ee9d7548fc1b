"""Iterative training: the study's models, trained through both phases, and networks interpolated between the phases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mixvision.evaluation.comparisons import Claims
from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.models.trained import TrainedNetwork
from mixvision.studies.iterative.interpolation import interpolate
from mixvision.studies.iterative.training import Phases, choose_phases, list_iterative_trials, train_iteratively
from mixvision.training.config import Training
from mixvision.training.events import TrainingEvents
from mixvision.training.needs import warn_of_shortage
from mixvision.training.pool import ImagePool, pool_images
from mixvision.training.results import trained_networks
from mixvision.training.sweep.engine import resnet25_builder
from mixvision.training.sweep.needs import sweep_needs
from mixvision.vocabulary import AFTER_INITIAL, LAST, snapshot_name, split_snapshot_name


def plan_trials(phases: Phases, training: Training) -> pd.DataFrame:
    return list_iterative_trials(phases, training.iterations)


def plan_several_seeds(phases: Phases, training: Training, claims: Claims) -> pd.DataFrame:
    """The same models with the seeds on which claims are judged."""
    return list_iterative_trials(replace(phases, seeds=claims.seeds), training.iterations)


def choose_images(manifest: pd.DataFrame, trials: pd.DataFrame, phases: Phases) -> pd.DataFrame:
    return choose_phases(manifest, trials, phases)


def train(
    trials: pd.DataFrame,
    training_sets: pd.DataFrame,
    manifest: pd.DataFrame,
    phases: Phases,
    training: Training,
    checkpoints: Path,
    events: TrainingEvents,
    **images: ImageStore,
) -> tuple[dict[str, TrainedNetwork], pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train every model: its networks by "trial/snapshot", the history, the predictions and the outcomes."""
    needs = sweep_needs(manifest, training_sets, images["nice_images"].pixels.shape[1], training)
    warn_of_shortage("Training", needs, training.device)
    pool = _pool(manifest, training_sets["id"], **images)
    build = resnet25_builder(pool)
    result = train_iteratively(build, trials, training_sets, pool, phases, training, checkpoints, events)
    return trained_networks(result.weights, pool), result.history, result.predictions, result.outcomes


def interpolate_networks(
    models: dict[str, Callable[[], TrainedNetwork]],
    manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    training: Training,
) -> pd.DataFrame:
    """Predictions for held-out images by networks interpolated between the ends of the two trainings."""
    ends = {
        trial: (models[snapshot_name(trial, AFTER_INITIAL)]().tensors, models[snapshot_name(trial, LAST)]().tensors)
        for trial in sorted({split_snapshot_name(name)[0] for name in models})
    }
    pool = _pool(manifest, manifest["id"].head(0), nice_images, real_images)
    return interpolate(resnet25_builder(pool), ends, pool, training)


def _pool(manifest: pd.DataFrame, train: pd.Series, nice_images: ImageStore, real_images: ImageStore) -> ImagePool:
    return pool_images(manifest, pixels_by_domain(nice_images, real_images), train)
