"""Transfer learning: from pretrained backbones to heads, fine-tuned networks and ensembles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.datasets.reports import ABSENT, Absent
from mixvision.evaluation.classification import accuracies, accuracy_intervals, whole_confusion
from mixvision.evaluation.ensembles import combine, top_predictions
from mixvision.evaluation.feature_map import map_features
from mixvision.evaluation.metrics import join_predictions, mark_independent
from mixvision.evaluation.mistakes import confident_mistakes, select_predictions
from mixvision.evaluation.selection import best_model
from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.models.backbones import load_backbone
from mixvision.models.freezing import freeze
from mixvision.models.trained import TrainedNetwork
from mixvision.reporting import contact_sheets
from mixvision.reporting.published import Published
from mixvision.reporting.sections import missing_notes
from mixvision.reporting.ties import with_distances
from mixvision.schema.tables import EPOCHS_OUTCOMES, PREDICTIONS
from mixvision.studies.transfer import close_ups as transfer_close_ups
from mixvision.studies.transfer import figures as transfer_figures
from mixvision.studies.transfer.activations import hits_and_misses_sheet
from mixvision.studies.transfer.needs import transfer_needs
from mixvision.studies.transfer.page import TransferResults, transfer_page
from mixvision.studies.transfer.ratios import ratio_sentence, ratio_table
from mixvision.studies.transfer.ratios_training import main_backbone, mix_features, ratio_trials
from mixvision.studies.transfer.report_settings import TransferReport
from mixvision.studies.transfer.tables import summary_text, transfer_table
from mixvision.studies.transfer.training import train_transfer
from mixvision.studies.transfer.trials import Transfer, input_sizes, list_trials, shared_settings
from mixvision.training.config import EpochTraining
from mixvision.training.events import TrainingEvents
from mixvision.training.frozen.backbone import count_classes, count_parameters
from mixvision.training.frozen.features import feature_function, images_per_second
from mixvision.training.needs import warn_of_shortage
from mixvision.training.pool import ImagePool, pool_images, require_validation
from mixvision.transforms.augmentation import Augmentation
from mixvision.vocabulary import (
    BEST_VALIDATION,
    FINE_TUNED,
    HEAD,
    TEST_SPLITS,
    WHOLE,
    snapshot_name,
    split_snapshot_name,
)


def describe_backbones(study: Transfer, training: EpochTraining) -> pd.DataFrame:
    """One row per backbone and input size: its weights, their hash and source, sizes and speed.

    Loads every backbone, so that a wrong one is refused before any training.
    """
    training.require_available()
    rows = []
    for backbone in study.all_backbones():
        loaded = load_backbone(backbone, study.seed)
        for size in input_sizes(study, loaded):
            compute = feature_function(loaded, size, training)
            speed, features = images_per_second(compute, size, training)
            rows.append(
                {
                    "backbone": backbone.name,
                    "weights": backbone.weights,
                    "source": loaded.source,
                    "sha256": loaded.sha256,
                    "input_size": size,
                    "classes": count_classes(loaded),
                    "features": features,
                    "parameters": count_parameters(loaded),
                    "images_per_second": speed,
                }
            )
        for phase in (phase for plan in study.fine_tunings for phase in plan.phases):
            freeze(loaded.network, phase.trainable_blocks)
    return pd.DataFrame(rows)


def plan_trials(
    backbones: pd.DataFrame, manifest: pd.DataFrame, study: Transfer, training: EpochTraining
) -> pd.DataFrame:
    categories = sorted(manifest.loc[manifest["status"] == "kept", "category"].unique())
    return list_trials(study, backbones, categories, training)


def train(  # noqa: PLR0913 (wired by name)
    trials: pd.DataFrame,
    backbones: pd.DataFrame,
    manifest: pd.DataFrame,
    study: Transfer,
    augmentation: Augmentation,
    training: EpochTraining,
    features: Path,
    checkpoints: Path,
    events: TrainingEvents,
    **images: ImageStore,
) -> tuple[dict[str, TrainedNetwork], pd.DataFrame, pd.DataFrame, dict[str, pd.DataFrame]]:
    """Train every trial: its networks by "trial/snapshot", the history, the outcomes, and all probabilities."""
    side = images["real_images"].pixels.shape[1]
    needs = transfer_needs(trials, backbones, manifest, side, study, training)
    warn_of_shortage("Training", needs, training.device)
    pool = _all_images(manifest, **images)
    result = train_transfer(trials, pool, study, augmentation, training, features, checkpoints, events)
    return result.models, result.history, result.outcomes, result.probabilities


def predict(
    probabilities: Mapping[str, Callable[[], pd.DataFrame]],
    manifest: pd.DataFrame,
    trials: pd.DataFrame,
    study: Transfer,
    events: TrainingEvents,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The predictions of every trial and of all models derived from their probabilities, and a table of the latter."""
    tables = []
    for name, load in probabilities.items():
        trial, snapshot = split_snapshot_name(name)
        frame = load()
        tables.append(top_predictions(frame[frame["view"] == WHOLE].drop(columns="view"), trial, snapshot))
    derived, members = combine(probabilities, manifest, trials, study.ensemble)
    for name in members["trial"]:  # each is a run of its own in MLflow
        events.started(members[members["trial"] == name])
        events.finished(name)
    return pd.concat([*tables, *([derived] if len(derived) else [])], ignore_index=True), members


def train_by_ratio(
    manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    study: Transfer,
    training: EpochTraining,
    features: Path,
    events: TrainingEvents,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions and outcomes of linear heads on frozen features, one per mixing ratio, or none of both."""
    trained = manifest.loc[(manifest["status"] == "kept") & (manifest["split"] == "train"), "domain"].nunique()
    if trained < 2 or not study.ratios:
        return PREDICTIONS.empty(), EPOCHS_OUTCOMES.empty()
    pool = _all_images(manifest, nice_images, real_images)
    result = mix_features(manifest, pool, study, training, features, events)
    return result.predictions if len(result.predictions) else PREDICTIONS.empty(), result.outcomes


def join(predictions: pd.DataFrame, manifest: pd.DataFrame, report: TransferReport) -> pd.DataFrame:
    return join_predictions(predictions, mark_independent(manifest), report.tops)


def measure(
    joined: pd.DataFrame,
    trials: pd.DataFrame,
    members: pd.DataFrame,
    history: pd.DataFrame,
    outcomes: pd.DataFrame,
    backbones: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Accuracies of every model, and all its results in one table."""
    metrics = accuracies(joined)
    splits = [split for split in TEST_SPLITS if (joined["split"] == split).any()]
    intervals = {split: accuracy_intervals(joined, split=split) for split in splits}
    table = transfer_table(trials, members, metrics, intervals, history, outcomes, backbones, joined)
    return metrics, with_distances(table, joined, best_model(table))


def measure_ratios(ratio_predictions: pd.DataFrame, manifest: pd.DataFrame, study: Transfer) -> pd.DataFrame:
    """Accuracies by mixing ratio; no rows if there is nothing to mix."""
    joined = join_predictions(ratio_predictions, manifest)
    trials = ratio_trials(study) if len(joined) else pd.DataFrame(columns=["trial", "ratio"])
    return ratio_table(joined, trials)


def summarise(
    table: pd.DataFrame,
    ratios: pd.DataFrame,
    outcomes: pd.DataFrame,
    ratio_outcomes: pd.DataFrame,
    published: Published,
    report: TransferReport,
) -> str:
    """The results in short."""
    sentences = [ratio_sentence(ratios, published.mixing)] if len(ratios) else []
    return summary_text(report.title, table, [*sentences, *missing_notes(outcomes), *missing_notes(ratio_outcomes)])


def draw_figures(
    table: pd.DataFrame,
    history: pd.DataFrame,
    outcomes: pd.DataFrame,
    trials: pd.DataFrame,
    ratios: pd.DataFrame,
    published: Published,
) -> dict[str, go.Figure | Absent]:
    """Models compared, accuracy and loss by epoch, and by input size and mixing ratio if there are several."""
    sizes = transfer_figures.accuracy_by_input_size(table) if trials["input_size"].nunique() > 1 else ABSENT
    mixed = transfer_figures.frozen_ratios(ratios, published.mixing) if len(ratios) else ABSENT
    curves = transfer_figures.learning_curves(history, outcomes, trials)
    loss = transfer_figures.loss_across_switch(history, outcomes, trials)
    return {
        "models_figure": transfer_figures.model_comparison(table),
        "learning_curves_figure": curves if curves.data else ABSENT,  # untrained networks have none
        "loss_figure": loss if loss.data else ABSENT,
        "input_sizes_figure": sizes,
        "ratios_figure": mixed,
    }


def examine_best(
    table: pd.DataFrame, joined: pd.DataFrame, report: TransferReport
) -> dict[str, pd.DataFrame | go.Figure]:
    """The best model's confusion matrix and worst mistakes; the matrices and calibration of the best of each method."""
    best = select_predictions(joined, [best_model(table)])
    return {
        "best_confusion": whole_confusion(best, sorted(joined["category"].unique())),
        "mistakes": confident_mistakes(best, report.mistakes_shown),
        "confusion_figure": transfer_close_ups.confusion_matrices(joined, table),
        "reliability_figure": transfer_close_ups.reliability_diagram(joined, table),
    }


def map_images(
    manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    study: Transfer,
    training: EpochTraining,
    features: Path,
    report: TransferReport,
) -> tuple[pd.DataFrame, go.Figure]:
    """Positions of a sample of images on a map of the first backbone's features, and the map."""
    pool = _all_images(manifest, nice_images, real_images)
    frozen = main_backbone(study, pool, features, training)
    generator = np.random.default_rng(report.seed)
    rows = np.sort(generator.permutation(len(pool.ids))[: report.embedded_images])
    places = map_features(frozen.features()[rows].numpy(), report.seed)
    points = pd.DataFrame({"id": pool.ids[rows], "x": places[:, 0], "y": places[:, 1]})
    points = points.merge(manifest[["id", "category", "domain", "split"]], on="id", validate="one_to_one")
    subject = f"{frozen.backbone.name}, {frozen.input_size} pixels, frozen"
    return points, transfer_close_ups.embedding_map(points, subject)


def draw_sheets(
    manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    mistakes: pd.DataFrame,
    table: pd.DataFrame,
    joined: pd.DataFrame,
    models: dict[str, Callable[[], TrainedNetwork]],
    report: TransferReport,
) -> tuple[Image.Image, Image.Image, Image.Image, Image.Image | Absent]:
    """Contact sheets: samples, the most confident mistakes, the hardest images, and where the best network looks."""
    pixels, generator = pixels_by_domain(nice_images, real_images), np.random.default_rng(report.seed)
    samples = contact_sheets.sample_sheet(manifest, pixels, generator, report.images_per_category)
    best = best_model(table[table["method"].isin([HEAD, FINE_TUNED])])
    selected = select_predictions(joined, [best])
    model = models[snapshot_name(best, BEST_VALIDATION)]()
    looks = hits_and_misses_sheet(model, selected, pixels, report.activations_shown, generator)
    wrong = contact_sheets.sheets_of_mistakes(mistakes, joined, pixels, report.mistakes_shown)
    return samples, *wrong, looks or ABSENT


def write_page(
    published: Published, views: Augmentation, training: EpochTraining, report: TransferReport, **results: Any
) -> str:
    """Everything on one page that opens offline; ``results`` are the fields of :class:`TransferResults`."""
    shown = TransferResults(**results)
    settings = shared_settings(shown.trials, views, training)
    return transfer_page(
        report.title, replace(shown, trials=shown.trials.assign(**settings)), published, report.sources
    )


def _all_images(manifest: pd.DataFrame, nice_images: ImageStore, real_images: ImageStore) -> ImagePool:
    require_validation(manifest)
    train_ids = manifest.loc[manifest["split"] == "train", "id"]
    return pool_images(manifest, pixels_by_domain(nice_images, real_images), train_ids)
