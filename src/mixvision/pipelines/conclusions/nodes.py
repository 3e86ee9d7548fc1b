"""What the study concludes: from both approaches' predictions to verdicts, a law of mixing, and the report on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mixvision.datasets.reports import ABSENT, Absent
from mixvision.reporting.published import Published
from mixvision.reporting.sections import missing_notes
from mixvision.reporting.settings import ReportParameters
from mixvision.reporting.tables import published_rows
from mixvision.studies.conclusions import figures
from mixvision.studies.conclusions.hypotheses import (
    best_ratio_distribution,
    gather_evidence,
    judge_hypotheses,
    list_models,
)
from mixvision.studies.conclusions.mixing_law import Proxies, compare_predictions, fit_proxies
from mixvision.studies.conclusions.page import ConclusionsResults, conclusions_page, conclusions_summary


def judge(
    mixing_trials: pd.DataFrame,
    mixing_joined: pd.DataFrame,
    iterative_trials: pd.DataFrame,
    iterative_joined: pd.DataFrame,
    published: Published,
    report: ReportParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The verdicts, how often each ratio is best, and what every setting of both approaches achieves."""
    joined = pd.concat([mixing_joined, iterative_joined], ignore_index=True)
    models = list_models(mixing_trials, iterative_trials)
    generator = np.random.default_rng(report.seed)
    evidence = gather_evidence(joined, models, generator, report.bootstrap_draws)
    verdicts = judge_hypotheses(evidence, published_rows(published.mixing), _highest_iterative(published))
    return verdicts, best_ratio_distribution(evidence), evidence.settings.reset_index()


def fit_mixing_law(
    history: pd.DataFrame, trials: pd.DataFrame, outcomes: pd.DataFrame, metric_table: pd.DataFrame, proxies: Proxies
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The mixing law fitted to cheap runs: predicted against observed values, and the fitted curves.

    A model that diverged counts in neither, although it has a history.
    """
    finished = outcomes.loc[outcomes["status"] == "finished", "trial"]
    curves = fit_proxies(history, trials[trials["trial"].isin(finished)], proxies)
    honest = metric_table[metric_table["snapshot"] == "best_validation"]
    return compare_predictions(curves, honest), curves


def draw(
    verdicts: pd.DataFrame,
    best_ratios: pd.DataFrame,
    settings: pd.DataFrame,
    curves: pd.DataFrame,
    published: Published,
) -> dict[str, go.Figure | Absent]:
    """Differences, the best ratio, both approaches, and the law of mixing."""
    return {
        "differences_figure": figures.hypothesis_differences(verdicts),
        "best_ratios_figure": figures.best_ratio_shares(best_ratios, published.mixing),
        "approaches_figure": figures.approaches(settings, published.mixing, _highest_iterative(published)),
        "mixing_law_figure": figures.mixing_law_fits(curves) if len(curves) else ABSENT,
    }


def write_page(
    published: Published,
    report: ReportParameters,
    proxies: Proxies,
    mixing_outcomes: pd.DataFrame,
    iterative_outcomes: pd.DataFrame,
    **results: Any,
) -> tuple[str, str]:
    """Everything on one page that opens offline, and a summary; ``results`` are fields of `ConclusionsResults`."""
    settings = {**vars(proxies), "bootstrap_draws": report.bootstrap_draws, "seed": report.seed}
    shown = ConclusionsResults(**results, proxies=settings)
    missing = [*missing_notes(mixing_outcomes), *missing_notes(iterative_outcomes)]
    page = conclusions_page(report.title, shown, published, missing)
    summary = conclusions_summary(report.title, shown.verdicts, shown.settings, shown.law)
    return page, "\n\n".join([summary, *missing])


def _highest_iterative(published: Published) -> float | None:
    return published.iterative.highest_performance if published.iterative else None
