"""Tuning: the study's grids and an adaptive search, what they choose, and the report that compares them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.evaluation.metrics import join_predictions
from mixvision.images.store import ImageStore, pixels_by_domain
from mixvision.pipelines import mistakes
from mixvision.reporting.published import Published
from mixvision.studies.tuning import adaptive, figures
from mixvision.studies.tuning import grid as tuning
from mixvision.studies.tuning import page as report
from mixvision.studies.tuning.adaptive import AdaptiveSearch
from mixvision.studies.tuning.grid import Grid
from mixvision.training.config import Training
from mixvision.training.events import TrainingEvents
from mixvision.vocabulary import VALIDATION


def search_grid(
    manifest: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    grid: Grid,
    training: Training,
    checkpoints: Path,
    events: TrainingEvents,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The grid's trials, history and outcomes, and its predictions for the validation images."""
    sweeps = _sweeps(manifest, grid, training, checkpoints, nice_images, real_images)
    return tuning.search_grid(grid, sweeps, events)


def search_adaptively(
    manifest: pd.DataFrame,
    grid: Grid,
    search: AdaptiveSearch,
    training: Training,
    checkpoints: Path,
    studies: Path,
    events: TrainingEvents,
    **images: ImageStore,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The adaptive search's trials, history and outcomes."""
    sweeps = _sweeps(manifest, grid, training, checkpoints, **images)
    return adaptive.search_adaptively(search, grid, sweeps, studies, events)


def _sweeps(
    manifest: pd.DataFrame,
    grid: Grid,
    training: Training,
    checkpoints: Path,
    nice_images: ImageStore,
    real_images: ImageStore,
) -> tuning.ValidationSweeps:
    pixels = pixels_by_domain(nice_images, real_images)
    return tuning.validation_sweeps(manifest, pixels, grid, training, checkpoints)


def choose(
    grid_trials: pd.DataFrame,
    grid_history: pd.DataFrame,
    grid_outcomes: pd.DataFrame,
    adaptive_trials: pd.DataFrame,
    adaptive_history: pd.DataFrame,
    adaptive_outcomes: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """The scores of all trials, the progress of both searches, and the grid's choice."""
    grid = tuning.score_trials(grid_trials, grid_history, grid_outcomes)
    adaptive = tuning.score_trials(adaptive_trials, adaptive_history, adaptive_outcomes)
    progress = [
        report.search_progress(grid, grid_history).assign(search="grid"),
        report.search_progress(adaptive, adaptive_history).assign(search="adaptive"),
    ]
    return grid, adaptive, pd.concat(progress, ignore_index=True), tuning.choose_setting(grid)


def draw(
    grid: pd.DataFrame, adaptive: pd.DataFrame, progress: pd.DataFrame, chosen: dict[str, Any]
) -> dict[str, go.Figure]:
    """The grid's three steps; progress, best of every ratio, and trials of the adaptive search."""
    steps = {f"{step}_figure": figures.settings_against_ratio(grid, step, text) for step, text in report.STEPS.items()}
    return steps | {
        "progress_figure": figures.progress_curves(progress, grid),
        "best_by_ratio_figure": figures.best_against_ratio(grid, adaptive),
        "adaptive_trials_figure": figures.adaptive_trials(adaptive, chosen["learning_rate"], chosen["l2"]),
    }


def draw_mistakes(
    predictions: pd.DataFrame,
    manifest: pd.DataFrame,
    scores: pd.DataFrame,
    chosen: dict[str, Any],
    nice_images: ImageStore,
    real_images: ImageStore,
) -> tuple[pd.DataFrame, Image.Image, Image.Image]:
    """The most confident mistakes with the chosen setting, also as pictures, and the grid's hardest images."""
    joined, best = join_predictions(predictions, manifest), tuning.chosen_trials(scores, chosen)
    return mistakes.draw_mistakes(joined, best, nice_images, real_images, split=VALIDATION)


def write_page(
    published: Published, grid: Grid, search: AdaptiveSearch, training: Training, title: str, **results: Any
) -> tuple[str, str]:
    """The summary, and everything on one page that opens offline; ``results`` are fields of `TuningResults`."""
    shown = report.TuningResults(**results)
    paper = published.tuning
    settings = {
        **{f"grid, {name}": value for name, value in asdict(grid).items()},
        **{f"adaptive search, {name}": value for name, value in asdict(search).items()},
        **{f"training, {name}": value for name, value in asdict(training).items() if name != "iterations"},
    }
    title = f"{title}: learning rate and L2 factor"
    page = report.tuning_page(title, shown, settings, paper)
    summary = report.tuning_summary(title, shown.chosen, shown.grid_scores, shown.adaptive_scores, paper)
    return summary, page
