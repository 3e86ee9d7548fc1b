"""Mixed training: from the manifest to trained models, their predictions, and the report on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.evaluation.comparisons import Claims
from mixvision.evaluation.intervals import behind_best, performance_intervals
from mixvision.evaluation.metrics import highest_on_test, summarise, trial_metrics
from mixvision.evaluation.mistakes import (
    category_accuracy,
    confident_mistakes,
    confusion_counts,
    select_predictions,
)
from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.reporting import contact_sheets
from mixvision.reporting.formatting import markdown_table
from mixvision.reporting.published import Published
from mixvision.reporting.sections import missing_notes, snapshot_note, untested_notes
from mixvision.reporting.settings import ReportParameters
from mixvision.reporting.tables import best_ratio, comparison_table, metric_markdown, metric_table, with_distances
from mixvision.studies.mixing import figures
from mixvision.studies.mixing.page import QUESTION, MixingResults, answer, mixing_page
from mixvision.training.config import Training
from mixvision.training.mixtures import Mixtures, list_trials
from mixvision.vocabulary import DOMAINS


def plan_trials(mixtures: Mixtures) -> pd.DataFrame:
    return list_trials(mixtures)


def plan_several_seeds(mixtures: Mixtures, claims: Claims) -> pd.DataFrame:
    """The same models with the seeds on which claims are judged."""
    return list_trials(replace(mixtures, seeds=claims.seeds))


def plan_tuned_trials(mixtures: Mixtures, chosen: dict[str, Any]) -> pd.DataFrame:
    """The same models, with the learning rate and L2 factor that the tuning chose."""
    trials = list_trials(replace(mixtures, learning_rate=chosen["learning_rate"], l2=chosen["l2"]))
    return trials.assign(tuned_by=chosen["source"])


def measure(
    joined: pd.DataFrame,
    history: pd.DataFrame,
    trials: pd.DataFrame,
    outcomes: pd.DataFrame,
    published: Published,
    report: ReportParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, str, str]:
    """Metrics of every trial, the table by ratio on all and on leak-free test images, the former as text, a summary.

    Both texts say which trials are missing.
    """
    metrics = trial_metrics(joined)
    finished = history[history["trial"].isin(metrics["trial"])]

    def table(measured: pd.DataFrame, images: pd.DataFrame, highest: pd.DataFrame | None = None) -> pd.DataFrame:
        intervals = performance_intervals(images, trials)
        made = metric_table(summarise(measured, trials), intervals, published.mixing, highest=highest)
        return with_distances(made, behind_best(images, trials, best_ratio(made)))

    whole = table(metrics, joined, highest_on_test(finished, trials))
    without_leaks = table(trial_metrics(joined, without_leaks=True), joined[~joined["leaks"]])
    clean = without_leaks if joined["leaks"].any() else None
    summary = f"{report.title}: performance by share of real training images\n\n{QUESTION}\n\n"
    missing = missing_notes(outcomes)
    summary += "\n\n".join([markdown_table(comparison_table(whole, clean)), answer(whole, clean), *missing])
    return metrics, whole, without_leaks, "\n".join([metric_markdown(whole, published.mixing), *missing]), summary


def draw_curves(
    metrics: pd.DataFrame, table: pd.DataFrame, history: pd.DataFrame, trials: pd.DataFrame, published: Published
) -> dict[str, go.Figure]:
    """Accuracy and performance against the ratio, and the learning curves."""
    summary = summarise(metrics, trials)
    return {
        "accuracy_figure": figures.accuracy_against_ratio(summary, published.mixing),
        "performance_figure": figures.performance_against_ratio(summary, published.mixing, table=table),
        "learning_curves_figure": figures.learning_curves(history, trials),
    }


def examine_best(
    table: pd.DataFrame, joined: pd.DataFrame, trials: pd.DataFrame, report: ReportParameters
) -> dict[str, pd.DataFrame | go.Figure]:
    """A close look at the best ratio: accuracy by category, both confusion matrices, worst mistakes, two figures."""
    ratio = best_ratio(table)
    chosen = trials.loc[trials["ratio"] == ratio, "trial"]
    selected = select_predictions(joined, chosen)
    accuracies = category_accuracy(selected)
    categories = sorted(accuracies["category"].unique())
    nice, real = (confusion_counts(selected, domain, categories) for domain in DOMAINS)
    subject = f"{ratio}% real, chosen on validation"
    return {
        "category_accuracies": accuracies,
        "nice_confusion": nice,
        "real_confusion": real,
        "mistakes": confident_mistakes(selected, report.mistakes_shown),
        "category_accuracies_figure": figures.category_accuracies(accuracies, subject),
        "confusion_figure": figures.confusion_matrices(nice, real, subject),
    }


def draw_sheets(
    manifest: pd.DataFrame,
    mistakes: pd.DataFrame,
    joined: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    report: ReportParameters,
) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Contact sheets of sample images of both domains, of the most confident mistakes, and of the hardest images."""
    pixels = pixels_by_domain(nice_images, real_images)
    generator = np.random.default_rng(report.seed)
    samples = contact_sheets.sample_sheet(manifest, pixels, generator, report.images_per_category)
    wrong = contact_sheets.sheets_of_mistakes(mistakes, joined, pixels, report.mistakes_shown)
    return samples, *wrong


def write_page(
    published: Published, mixtures: Mixtures, training: Training, report: ReportParameters, **results: Any
) -> str:
    """Everything on one page that opens offline; ``results`` are the fields of :class:`MixingResults`."""
    shown = MixingResults(**results)
    chosen = snapshot_note(shown.manifest, training.evaluate_every, "training")
    notes = [chosen, *untested_notes(shown.split_audit), *_notes(mixtures, shown.trials, shown.outcomes)]
    clean = shown.table_without_leaks if shown.leaks else None
    shown = replace(shown, trials=shown.trials.assign(**vars(training)), table_without_leaks=clean)
    return mixing_page(report.title, shown, published.mixing, notes)


def _notes(mixtures: Mixtures, trials: pd.DataFrame, outcomes: pd.DataFrame) -> list[str]:
    thinned = (
        "In each category the larger domain's training images were reduced to the number of the smaller one's, so that "
        "the ratio changes the mixture and not the amount of training data."
    )
    whole = (
        "The domains were not reduced to one size: a ratio of x takes x% of the real training images and (100 - x)% of "
        "the nice ones. It also changes the amount of training data, and x is not the share of real images in the set."
    )
    notes = [thinned if mixtures.balance else whole]
    if "tuned_by" in trials:
        notes.append(f"Learning rate and L2 factor were tuned by {trials['tuned_by'].iloc[0]}.")
    return [*notes, *missing_notes(outcomes)]
