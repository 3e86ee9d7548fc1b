"""Alternatives to mixing: from the manifest to trained arms, their predictions, and the report on them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.evaluation.comparisons import Claims
from mixvision.evaluation.metrics import trial_metrics
from mixvision.images.store import ImageStore
from mixvision.models.trained import TrainedNetwork
from mixvision.pipelines import mistakes, mixed_training
from mixvision.reporting.sections import missing_notes, snapshot_note, untested_notes
from mixvision.reporting.settings import ReportParameters
from mixvision.studies.alternatives import arms, figures, tables
from mixvision.studies.alternatives.page import AlternativesResults, alternatives_page, alternatives_summary
from mixvision.studies.alternatives.training import train_arms
from mixvision.training.config import Training


def plan_arms(study: arms.Alternatives, claims: Claims, training: Training) -> pd.DataFrame:
    return arms.list_arms(study, claims.seeds, training.iterations)


def choose_images(manifest: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    return arms.choose_images(manifest, trials)


def train(
    trials: pd.DataFrame, manifest: pd.DataFrame, **others: Any
) -> tuple[dict[str, TrainedNetwork], pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train every arm with equally large batches; ``others`` and what is returned as in the training of mixtures."""
    equal = trials.assign(batch_size=arms.batch_size(manifest))
    return mixed_training.train(equal, manifest=manifest, **others, engine=train_arms)


def measure(
    joined: pd.DataFrame,
    training_sets: pd.DataFrame,
    manifest: pd.DataFrame,
    trials: pd.DataFrame,
    outcomes: pd.DataFrame,
    claims: Claims,
    report: ReportParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, str]:
    """Metrics of every model; the table of all arms; what the second training forgets; and a summary.

    Test images that leak are left out of the table of arms.
    """
    honest = joined[~joined["leaks"].astype(bool)]
    counts = arms.count_images(training_sets, trials, manifest)
    table = tables.arms_table(honest, trials, counts)
    claim = tables.judge_claim(honest, trials, claims.margin)
    summary = "\n\n".join([alternatives_summary(report.title, table, claim), *missing_notes(outcomes)])
    return trial_metrics(joined), table, tables.forgetting_table(honest, trials), summary


def draw(table: pd.DataFrame, forgetting: pd.DataFrame, trials: pd.DataFrame) -> dict[str, go.Figure]:
    """Every arm's performance; accuracy by the number of real images; accuracy by replay."""
    return {
        "performance_figure": figures.performance_of_arms(table),
        "real_images_figure": figures.performance_by_real_images(table),
        "replay_figure": figures.replay_curve(forgetting, trials),
    }


def draw_mistakes(
    table: pd.DataFrame,
    joined: pd.DataFrame,
    trials: pd.DataFrame,
    nice_images: ImageStore,
    real_images: ImageStore,
    report: ReportParameters,
) -> tuple[pd.DataFrame, Image.Image, Image.Image]:
    """The best arm's most confident mistakes, also as pictures, and the images that are hardest for all arms."""
    best = trials.loc[trials["arm"] == tables.best_arm(table)["arm"], "trial"]
    return mistakes.draw_mistakes(joined, best, nice_images, real_images, report.mistakes_shown)


def write_page(
    joined: pd.DataFrame, claims: Claims, training: Training, report: ReportParameters, **results: Any
) -> str:
    """Everything on one page that opens offline; ``results`` are fields of `AlternativesResults`."""
    honest = joined[~joined["leaks"].astype(bool)]
    trials = results.pop("trials")
    shared = {name: value for name, value in vars(training).items() if name not in trials}
    claim = tables.judge_claim(honest, trials, claims.margin)
    shown = AlternativesResults(**results, trials=trials.assign(**shared), claim=claim)
    chosen = snapshot_note(shown.manifest, training.evaluate_every, "training (of the second one, where there are two)")
    notes = [chosen, *untested_notes(shown.split_audit), *missing_notes(shown.outcomes)]
    return alternatives_page(report.title, shown, notes)
