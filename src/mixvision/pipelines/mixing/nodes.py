"""Mixed training: from the manifest to trained models and their predictions."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd

from mixvision.images.store import ImageStore
from mixvision.models.resnet25 import ResNet25
from mixvision.models.trained import TrainedNetwork
from mixvision.training.data import pool_images
from mixvision.training.mixtures import Mixtures, choose_training_sets, list_trials
from mixvision.training.sweep import Training, train_sweep


def plan_trials(mixtures: Mixtures) -> pd.DataFrame:
    return list_trials(mixtures)


def choose_images(manifest: pd.DataFrame, trials: pd.DataFrame, mixtures: Mixtures) -> pd.DataFrame:
    return choose_training_sets(manifest, trials, mixtures.thin)


def train(
    trials: pd.DataFrame,
    training_sets: pd.DataFrame,
    manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    training: Training,
    checkpoints: Path,
) -> tuple[dict[str, TrainedNetwork], pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train every trial: its networks by "trial/weights", the history, the predictions and the outcomes."""
    pixels = {"nice": nice_images.pixels, "real": real_images.pixels}
    pool = pool_images(manifest, pixels, training_sets["id"])
    image_size = pool.pixels.shape[1]
    build_network = partial(ResNet25, len(pool.categories), image_size)
    result = train_sweep(build_network, trials, training_sets, pool, training, checkpoints)
    models = {
        f"{trial}/{name}": TrainedNetwork("resnet25", pool.categories, image_size, tensors)
        for trial, snapshots in result.weights.items()
        for name, tensors in snapshots.items()
    }
    return models, result.history, result.predictions, result.outcomes
