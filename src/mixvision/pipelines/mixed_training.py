"""Nodes of the pipelines that train on mixtures of both domains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.models.trained import TrainedNetwork
from mixvision.training.config import Training
from mixvision.training.events import TrainingEvents
from mixvision.training.mixtures import Mixtures, choose_training_sets
from mixvision.training.needs import warn_of_shortage
from mixvision.training.pool import pool_images
from mixvision.training.results import SweepResult, trained_networks
from mixvision.training.sweep.engine import resnet25_builder, train_sweep
from mixvision.training.sweep.needs import sweep_needs


def choose_images(manifest: pd.DataFrame, trials: pd.DataFrame, mixtures: Mixtures) -> pd.DataFrame:
    return choose_training_sets(manifest, trials, mixtures.balance)


def train(  # noqa: PLR0913 (what a training of mixtures needs, and the engine)
    trials: pd.DataFrame,
    training_sets: pd.DataFrame,
    manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    training: Training,
    checkpoints: Path,
    events: TrainingEvents,
    engine: Callable[..., SweepResult] | None = None,
) -> tuple[dict[str, TrainedNetwork], pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train every trial: its networks by "trial/snapshot", the history, the predictions and the outcomes.

    ``engine`` takes the arguments of ``train_sweep``, which it is by default.
    """
    needs = sweep_needs(manifest, training_sets, nice_images.pixels.shape[1], training)
    warn_of_shortage("Training", needs, training.device)
    pool = pool_images(manifest, pixels_by_domain(nice_images, real_images), training_sets["id"])
    build, train_trials = resnet25_builder(pool), engine or train_sweep
    result = train_trials(build, trials, training_sets, pool, training, checkpoints, events=events)
    return trained_networks(result.weights, pool), result.history, result.predictions, result.outcomes
