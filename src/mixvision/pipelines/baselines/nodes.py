"""Baselines: from the manifest to plain networks trained one by one, their predictions, and the report on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.evaluation.classification import accuracies, accuracy_intervals, whole_confusion
from mixvision.evaluation.mistakes import confident_mistakes, select_predictions
from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.models.summary import layer_table
from mixvision.models.trained import TrainedNetwork
from mixvision.reporting import charts, contact_sheets
from mixvision.reporting.formatting import view_settings
from mixvision.reporting.published import Published
from mixvision.reporting.sections import missing_notes
from mixvision.reporting.settings import ReportParameters
from mixvision.studies.baselines import figures as baselines_figures
from mixvision.studies.baselines.leak import leak_numbers
from mixvision.studies.baselines.needs import baselines_needs
from mixvision.studies.baselines.page import BaselinesResults, baselines_page
from mixvision.studies.baselines.settings import SETTINGS
from mixvision.studies.baselines.tables import best_trial, summary_text, trial_table, with_honest_distances
from mixvision.studies.baselines.training import Baselines, list_trials, train_baselines
from mixvision.training.config import EpochTraining
from mixvision.training.events import TrainingEvents
from mixvision.training.needs import warn_of_shortage
from mixvision.training.pool import pool_images, require_validation
from mixvision.training.results import trained_networks
from mixvision.transforms.augmentation import Augmentation
from mixvision.vocabulary import split_snapshot_name


def plan_trials(study: Baselines) -> pd.DataFrame:
    return list_trials(study)


def train(
    trials: pd.DataFrame,
    manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    augmentation: Augmentation,
    training: EpochTraining,
    checkpoints: Path,
    events: TrainingEvents,
) -> tuple[dict[str, TrainedNetwork], pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train every trial on all domains: networks by "trial/snapshot", the history, the predictions, the outcomes."""
    require_validation(manifest)
    train_ids = manifest.loc[manifest["split"] == "train", "id"]
    needs = baselines_needs(trials, manifest, real_images.pixels.shape[1], training)
    warn_of_shortage("Training", needs, training.device)
    pool = pool_images(manifest, pixels_by_domain(nice_images, real_images), train_ids)
    result = train_baselines(trials, pool, augmentation, training, checkpoints, events)
    architectures = dict(zip(trials["trial"], trials["model"], strict=True))
    return trained_networks(result.weights, pool, architectures), result.history, result.predictions, result.outcomes


def describe_networks(trials: pd.DataFrame, models: dict[str, Any]) -> pd.DataFrame:
    """The layers of every model, one row per layer: model, layer, type, output, parameters, megabytes."""
    loaded = {split_snapshot_name(name)[0]: load for name, load in models.items()}
    tables = []
    for model, names in trials.groupby("model", sort=False)["trial"]:
        name = next((name for name in names if name in loaded), None)  # random guessing has no network
        if name:
            network = loaded[name]()
            tables.append(layer_table(network.build(), network.image_size).assign(model=model))
    layers = pd.concat(tables, ignore_index=True)
    return layers[["model", *layers.columns.drop("model")]]


def measure(
    joined: pd.DataFrame,
    trials: pd.DataFrame,
    history: pd.DataFrame,
    outcomes: pd.DataFrame,
    published: Published,
    study: Baselines,
    report: ReportParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, str]:
    """Accuracies of every trial, all its results beside the published ones, the gain from the leak, and a summary."""
    metrics = accuracies(joined)
    table = trial_table(trials, metrics, accuracy_intervals(joined), history, outcomes, published.baselines)
    leak = leak_numbers(table, joined)
    table = with_honest_distances(table, joined)
    summary = summary_text(report.title, table, leak, study.base, study.ablated)
    return metrics, table, leak, "\n".join([summary, *missing_notes(outcomes)])


def draw_figures(
    table: pd.DataFrame, trials: pd.DataFrame, history: pd.DataFrame, outcomes: pd.DataFrame, study: Baselines
) -> dict[str, go.Figure]:
    """The models compared, the learning curves, and a figure for each setting."""
    return {
        "models_figure": baselines_figures.model_comparison(table),
        "learning_curves_figure": baselines_figures.learning_curves(history, outcomes, trials),
        **{
            f"{setting}_figure": baselines_figures.ablation(table, study.base, study.ablated, setting)
            for setting in SETTINGS
        },
    }


def examine_best(
    table: pd.DataFrame, joined: pd.DataFrame, report: ReportParameters
) -> tuple[pd.DataFrame, pd.DataFrame, go.Figure]:
    """The best model's confusion matrix on the test images, its worst mistakes, and a figure of all matrices."""
    best = best_trial(table)
    trained = table[(table["trial"] == table["model"]) & (table["epochs"] > 0) & (table["status"] == "finished")]
    categories = sorted(joined["category"].unique())
    matrices = {
        trial: whole_confusion(select_predictions(joined, [trial]), categories)
        for trial in dict.fromkeys([*trained["trial"], best])
    }
    mistakes = confident_mistakes(select_predictions(joined, [best]), report.mistakes_shown)
    return matrices[best], mistakes, charts.confusion_matrices(matrices, best)


def draw_sheets(
    manifest: pd.DataFrame,
    mistakes: pd.DataFrame,
    joined: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    report: ReportParameters,
) -> tuple[Image.Image, Image.Image, Image.Image, Image.Image]:
    """Contact sheets: sample images, the most confident mistakes, the hardest images, and those that were excluded."""
    pixels = pixels_by_domain(nice_images, real_images)
    generator = np.random.default_rng(report.seed)
    samples = contact_sheets.sample_sheet(manifest, pixels, generator, report.images_per_category)
    wrong = contact_sheets.sheets_of_mistakes(mistakes, joined, pixels, report.mistakes_shown)
    return samples, *wrong, contact_sheets.excluded_sheet(manifest, pixels)


def write_page(
    published: Published,
    real_images: ImageStore,
    study: Baselines,
    views: Augmentation,
    training: EpochTraining,
    report: ReportParameters,
    **results: Any,
) -> str:
    """Everything on one page that opens offline; ``results`` are the fields of :class:`BaselinesResults`."""
    shown = BaselinesResults(**results)
    shown = replace(shown, trials=shown.trials.assign(**vars(training), **view_settings("views", vars(views))))
    image_size = real_images.pixels.shape[1]
    return baselines_page(report.title, shown, study.base, study.ablated, published.baselines, image_size)
