"""Leakage: the trials of mixed training once more on a plain random split, and the report that compares both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.evaluation.metrics import trial_metrics
from mixvision.images.splits import Splits
from mixvision.images.store import ImageStore
from mixvision.pipelines import mistakes
from mixvision.reporting.sections import missing_notes, snapshot_note
from mixvision.reporting.settings import ReportParameters
from mixvision.studies.leakage import comparison, figures
from mixvision.studies.leakage.page import LeakageResults, best_on_plain_split, leakage_page, leakage_summary
from mixvision.training.config import Training


def check_splits(splits: Splits) -> None:
    comparison.require_other_splits(splits)


def split_plainly(unsplit: pd.DataFrame, splits: Splits) -> pd.DataFrame:
    return comparison.split_plainly(unsplit, splits)


def plan_trials(mixing_trials: pd.DataFrame) -> pd.DataFrame:
    return comparison.plain_trials(mixing_trials)


def compare(
    manifest: pd.DataFrame,
    mixing_trials: pd.DataFrame,
    mixing_joined: pd.DataFrame,
    plain_manifest: pd.DataFrame,
    trials: pd.DataFrame,
    joined: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Metrics of every trial on the plain split, and the accuracies under both splits."""
    used = comparison.SplitResults(manifest, mixing_trials, mixing_joined)
    plain = comparison.SplitResults(plain_manifest, trials, joined)
    return trial_metrics(joined), comparison.compare_accuracies(used, plain)


def draw(table: pd.DataFrame, splits: Splits) -> go.Figure:
    return figures.accuracy_under_both_splits(table, splits.method)


def draw_mistakes(
    table: pd.DataFrame,
    joined: pd.DataFrame,
    trials: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    report: ReportParameters,
) -> tuple[pd.DataFrame, Image.Image, Image.Image]:
    """The most confident mistakes of the plain split's best ratio, also as pictures, and its hardest images."""
    best = trials.loc[trials["ratio"] == best_on_plain_split(table), "trial"]
    return mistakes.draw_mistakes(joined, best, nice_images, real_images, report.mistakes_shown)


def write_page(
    splits: Splits,
    training: Training,
    report: ReportParameters,
    mixing_outcomes: pd.DataFrame,
    **results: Any,
) -> tuple[str, str]:
    """Everything on one page that opens offline, and a summary; ``results`` are fields of `LeakageResults`."""
    shown = LeakageResults(method=splits.method, **results)
    notes = [snapshot_note(shown.plain_manifest, training.evaluate_every, "training on the plain split")]
    missing = [*missing_notes(mixing_outcomes), *missing_notes(shown.outcomes)]
    shown = replace(shown, trials=shown.trials.assign(**vars(training)))
    summary = "\n\n".join([leakage_summary(report.title, shown), *missing])
    return leakage_page(report.title, shown, [*notes, *missing]), summary
