"""Iterative training, second half: from predictions and history to the tables, the figures and the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.evaluation.intervals import behind_best, performance_intervals
from mixvision.evaluation.metrics import join_predictions, summarise, trial_metrics
from mixvision.images.store import ImageStore
from mixvision.pipelines import mistakes
from mixvision.reporting.formatting import markdown_table
from mixvision.reporting.published import Published
from mixvision.reporting.sections import missing_notes, snapshot_note, untested_notes
from mixvision.reporting.settings import ReportParameters
from mixvision.reporting.tables import best_ratio, metric_table, with_distances
from mixvision.studies.iterative import figures, forgetting
from mixvision.studies.iterative.page import (
    IterativeReport,
    IterativeResults,
    answer,
    iterative_page,
    question,
    shares_table,
)
from mixvision.studies.iterative.training import Phases
from mixvision.training.config import Training


def measure(  # noqa: PLR0913 (a node of many tables)
    joined: pd.DataFrame,
    interpolations: pd.DataFrame,
    history: pd.DataFrame,
    manifest: pd.DataFrame,
    trials: pd.DataFrame,
    outcomes: pd.DataFrame,
    published: Published,
    phases: Phases,
    report: ReportParameters,
) -> dict[str, pd.DataFrame | str]:
    """Metrics of every trial; the table by share on all and on leak-free test images; the accuracy matrix, the
    measures of forgetting, its speed, and accuracy by alpha; and a summary."""
    first, metrics = phases.first, trial_metrics(joined)
    table = _table(metrics, joined, trials)
    without_leaks = _table(trial_metrics(joined, without_leaks=True), joined[~joined["leaks"]], trials)
    measures = forgetting.continual_measures(metrics, trials, first)
    speed = forgetting.forgetting_speed(_finished(history, metrics), trials, first)
    between = trial_metrics(join_predictions(interpolations, manifest))
    by_alpha = forgetting.interpolation_summary(between, trials)
    clean = without_leaks if joined["leaks"].any() else None
    results = IterativeResults(first, table, clean, measures, speed, by_alpha, published.iterative)
    summary = f"{report.title}: performance by share of the iterations for the initial training on {first} images\n\n"
    summary += "\n\n".join(
        [question(first), markdown_table(shares_table(results)), answer(results), *missing_notes(outcomes)]
    )
    matrix = forgetting.accuracy_matrix(metrics, trials, first)
    return {
        "metrics": metrics,
        "metric_table": table,
        "metric_table_without_leaks": without_leaks,
        "accuracy_matrix": matrix,
        "continual_measures": measures,
        "forgetting_speed": speed,
        "interpolation_table": by_alpha,
        "summary": summary,
    }


def draw_curves(
    history: pd.DataFrame,
    metrics: pd.DataFrame,
    trials: pd.DataFrame,
    table: pd.DataFrame,
    matrix: pd.DataFrame,
    interpolation_table: pd.DataFrame,
    published: Published,
    phases: Phases,
) -> dict[str, go.Figure]:
    """Performance by share, the forgetting curves, their first iterations, the matrices, and accuracy by alpha."""
    history = _finished(history, metrics)
    return {
        "performance_figure": figures.performance_against_share(table, published.iterative),
        "forgetting_figure": figures.forgetting_curves(history, trials),
        "forgetting_zoom_figure": figures.forgetting_zoom(history, trials, phases.first, published.iterative),
        "accuracy_matrices_figure": figures.accuracy_matrices(matrix, phases.first),
        "interpolation_figure": figures.interpolation_curves(interpolation_table),
    }


def draw_mistakes(
    table: pd.DataFrame,
    joined: pd.DataFrame,
    trials: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    report: ReportParameters,
) -> tuple[pd.DataFrame, Image.Image, Image.Image]:
    """The best share's most confident mistakes, also as pictures, and the images that are hardest for all shares."""
    best = trials.loc[trials["share"] == best_ratio(table, "share"), "trial"]
    return mistakes.draw_mistakes(joined, best, nice_images, real_images, report.mistakes_shown)


def write_page(
    published: Published, phases: Phases, training: Training, report: ReportParameters, **results: Any
) -> str:
    """Everything on one page that opens offline; ``results`` are the fields of :class:`IterativeReport`."""
    shown = IterativeReport(**results)
    clean = shown.table_without_leaks if shown.leaks else None
    notes = [*untested_notes(shown.split_audit), *_notes(phases, shown.outcomes)]
    measured = shown.measures, shown.speed, shown.interpolations
    return iterative_page(
        report.title,
        IterativeResults(phases.first, shown.table, clean, *measured, published.iterative),
        replace(shown, trials=_settings(shown.trials, phases, training)),
        [snapshot_note(shown.manifest, phases.evaluate_restricted_every, "the restricted training"), *notes],
    )


def _finished(history: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """The history without trials that diverged."""
    return history[history["trial"].isin(metrics["trial"])]


def _table(metrics: pd.DataFrame, joined: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    intervals = performance_intervals(joined, trials, by="share")
    table = metric_table(summarise(metrics, trials, by="share"), intervals, None, by="share")
    return with_distances(table, behind_best(joined, trials, best_ratio(table, "share"), "share"), "share")


def _settings(trials: pd.DataFrame, phases: Phases, training: Training) -> pd.DataFrame:
    """Every setting of every trial; each of the two trainings has its own evaluation interval."""
    shared = {name: value for name, value in vars(training).items() if name not in trials}
    second = {name: getattr(phases, name) for name in ("first", "trainable", "replay", "schedules")}
    return trials.assign(**shared, **second, evaluate_restricted_every=phases.evaluate_restricted_every)


def _notes(phases: Phases, outcomes: pd.DataFrame) -> list[str]:
    trained = {"head": "only the two fully connected layers", "all": "all layers"}[phases.trainable]
    note = f"The two trainings use the two halves of the 50% mixed set. The restricted one trains {trained}"
    note += f"; {phases.replay}% of its images are replayed from the initial one." if phases.replay else "."
    return [note, *missing_notes(outcomes)]
