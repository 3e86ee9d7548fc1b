"""Stand-ins for the results of the baselines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from stand_ins import make_manifest, make_predictions

from mixvision.evaluation.classification import accuracies, accuracy_intervals
from mixvision.evaluation.metrics import join_predictions
from mixvision.reporting.published import PublishedBaselines
from mixvision.studies.baselines.leak import leak_numbers
from mixvision.studies.baselines.tables import trial_table, with_honest_distances


@dataclass(frozen=True)
class Baselines:
    manifest: pd.DataFrame
    trials: pd.DataFrame
    joined: pd.DataFrame
    history: pd.DataFrame
    outcomes: pd.DataFrame
    table: pd.DataFrame
    leak: pd.DataFrame
    base: dict
    published: PublishedBaselines


def make_baselines(domains: tuple[str, ...]) -> Baselines:
    """Four models, one of them varied in three settings, one failure, two leaky splits; augmentation helps."""
    generator = np.random.default_rng(11)
    manifest = make_manifest(20).query("domain in @domains").assign(width=300, height=300, sha256="")
    base = {"learning_rate": 1e-4, "batch_size": 8, "dropout": True, "augmentation": "on the fly"}
    changes = {name: {"model": name} for name in ("random", "linear", "cnn", "basic_cnn")}
    changes["cnn-batch-size-64"] = {"model": "cnn", "batch_size": 64}
    changes["cnn-without-dropout"] = {"model": "cnn", "dropout": False}
    changes["cnn-augmentation-none"] = {"model": "cnn", "augmentation": "none"}
    changes["cnn-augmentation-expand"] = {"model": "cnn", "augmentation": "expand"}
    changes["cnn-leaky-split"] = {"model": "cnn", "augmentation": "expand", "split_first": False}
    leaky = {"model": "cnn", "augmentation": "expand", "split_first": False, "matched": True}
    changes["cnn-leaky-split-as-many-photos"] = leaky
    settings = {"seed": 0, **base, "split_first": True, "matched": False}
    trials = pd.DataFrame([{"trial": name, **settings, **change} for name, change in changes.items()])
    qualities = {"random": -25, "linear": 0, "cnn-augmentation-none": 10, "cnn-augmentation-expand": 60}
    parts = [
        make_predictions(manifest, trial, qualities.get(trial, 40), weights, generator)
        for trial in trials["trial"]
        if trial != "basic_cnn"
        for weights in ("best_validation", "last")
    ]
    joined = join_predictions(pd.concat(parts, ignore_index=True), manifest)
    joined = joined[~joined["trial"].str.contains("leaky") | (joined["split"] == "test")]
    history, outcomes = make_epochs(trials, generator)
    published = PublishedBaselines(
        source="Table 1 of a thesis",
        note="Accuracies on validation images.",
        image_size=300,
        training_images=4800,
        base=base,
        rows=[
            {"model": "cnn", "train": 0.921, "validation": 0.745},
            {"model": "cnn", "batch_size": 64, "train": 0.851, "validation": 0.717},
        ],
    )
    intervals = accuracy_intervals(joined)
    table = trial_table(trials, accuracies(joined), intervals, history, outcomes, published)
    leak = leak_numbers(table, joined)
    table = with_honest_distances(table, joined)
    return Baselines(manifest, trials, joined, history, outcomes, table, leak, base, published)


def make_epochs(trials: pd.DataFrame, generator: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Seven epochs each, the fourth the best; ``basic_cnn`` fails after one, ``random`` has none; three have views."""
    rows, outcomes = [], []
    for trial in trials["trial"]:
        epochs = {"random": 0, "basic_cnn": 1}.get(trial, 7)
        leaky = 0.1 * ("leaky" in trial)
        for epoch in range(1, epochs + 1):
            validated = 0.3 + 0.12 * min(epoch, 4) - 0.02 * max(0, epoch - 4) + leaky + generator.uniform(0, 0.01)
            rows.append((trial, 100 * epoch, epoch, "train", 1 / epoch, 0.3 + 0.09 * epoch, 12.5))
            rows.append((trial, 100 * epoch, epoch, "validation", 0.9, validated, np.nan))
        failed = trial == "basic_cnn"
        best = 4 if epochs == 7 else 0
        status = ("failed", "its loss was not a number.") if failed else ("finished", "")
        views = {"cnn-augmentation-expand": 0.7, "cnn-leaky-split": 0.9}
        views |= {"cnn-leaky-split-as-many-photos": 0.88}
        photos = (30, 26) if trial == "cnn-leaky-split" else (24, 6)
        parameters = 9_966_691 if epochs else 0
        numbers = (epochs, 100 * epochs, best, 12.5 * epochs, parameters, views.get(trial, np.nan), *photos)
        outcomes.append((trial, *status, *numbers))
    columns = ["trial", "iteration", "epoch", "split", "cross_entropy", "top1", "seconds"]
    kinds = ["trial", "status", "reason", "epochs", "iterations", "best_epoch", "seconds", "parameters", "views_top1"]
    kinds += ["train_photos", "validation_photos"]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(outcomes, columns=kinds)


@pytest.fixture(scope="session")
def baselines() -> Baselines:
    """Images of one domain only."""
    return make_baselines(("real",))


@pytest.fixture(scope="session")
def baselines_of_two_domains() -> Baselines:
    """The same models on images of both domains."""
    return make_baselines(("nice", "real"))
