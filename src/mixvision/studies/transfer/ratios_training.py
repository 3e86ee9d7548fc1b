"""Heads for mixing ratios on frozen features, as the study of mixing leaves open which ratio is best for these."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mixvision.models.backbones import load_backbone
from mixvision.studies.transfer.trials import Transfer, input_sizes
from mixvision.training.config import Arithmetic, EpochTraining
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.frozen.backbone import FrozenBackbone
from mixvision.training.frozen.heads import train_heads
from mixvision.training.mixtures import Mixtures, choose_training_sets, list_trials
from mixvision.training.pool import ImagePool
from mixvision.training.results import SweepResult


def main_backbone(study: Transfer, pool: ImagePool, folder: Path, arithmetic: Arithmetic) -> FrozenBackbone:
    """The study's first backbone at its largest input size."""
    backbone = study.all_backbones()[0]
    loaded = load_backbone(backbone, study.seed)
    return FrozenBackbone(backbone, loaded, max(input_sizes(study, loaded)), pool, folder, arithmetic)


def ratio_trials(study: Transfer) -> pd.DataFrame:
    """One row per ratio: trial, ratio, head, and the settings of its training."""
    mixtures = Mixtures(study.ratios, (study.seed,), learning_rate=study.learning_rate, l2=study.weight_decay)
    settings = {name: getattr(study, name) for name in ("optimizer", "weight_decay", "batch_size")}
    return list_trials(mixtures).drop(columns="l2").assign(head="linear", **settings)


def mix_features(
    manifest: pd.DataFrame,
    pool: ImagePool,
    study: Transfer,
    training: EpochTraining,
    features: Path,
    events: TrainingListener = SILENT,
) -> SweepResult:
    """Train one linear head a ratio, all together, on features of the study's first backbone.

    Every training set is as large as the smaller domain's, category by category, as in the study of mixing. The batch
    size is lowered if a training set is smaller.
    """
    frozen = main_backbone(study, pool, features, training)
    trials = ratio_trials(study)
    sets = choose_training_sets(manifest, trials, balance=True)
    trials["batch_size"] = trials["batch_size"].clip(upper=int(sets.groupby("trial").size().min()))
    return train_heads(trials, frozen.features(), pool, sets, training, events)
