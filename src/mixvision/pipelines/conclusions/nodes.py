"""What the study concludes: from both approaches' predictions to verdicts, a law of mixing, and the report on them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from mixvision.datasets.reports import ABSENT, Absent
from mixvision.evaluation.comparisons import Claims
from mixvision.reporting.published import Published
from mixvision.reporting.sections import missing_notes
from mixvision.reporting.settings import ReportParameters
from mixvision.reporting.tables import published_rows
from mixvision.studies.conclusions import figures
from mixvision.studies.conclusions.hypotheses import (
    distances_of_ratios,
    gather_evidence,
    judge_hypotheses,
    list_models,
    variance_table,
)
from mixvision.studies.conclusions.mixing_law import Proxies, compare_predictions, fit_proxies
from mixvision.studies.conclusions.page import ConclusionsResults, conclusions_page, conclusions_summary


def judge(
    mixing_trials: pd.DataFrame,
    mixing_joined: pd.DataFrame,
    iterative_trials: pd.DataFrame,
    iterative_joined: pd.DataFrame,
    published: Published,
    claims: Claims,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The verdicts, how far each ratio is behind the best, what every setting achieves, and why that is uncertain."""
    joined = pd.concat([mixing_joined, iterative_joined], ignore_index=True)
    models = list_models(mixing_trials, iterative_trials)
    evidence = gather_evidence(joined, models)
    paper = published_rows(published.mixing), _highest_iterative(published)
    verdicts = judge_hypotheses(evidence, *paper, claims.margin)
    return verdicts, distances_of_ratios(evidence), evidence.settings.reset_index(), variance_table(evidence)


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
    ratios: pd.DataFrame,
    settings: pd.DataFrame,
    curves: pd.DataFrame,
    published: Published,
) -> dict[str, go.Figure | Absent]:
    """Differences, the best ratio, both approaches, and the law of mixing."""
    return {
        "differences_figure": figures.hypothesis_differences(verdicts),
        "ratios_figure": figures.behind_the_best(ratios, published.mixing),
        "approaches_figure": figures.approaches(settings, published.mixing, _highest_iterative(published)),
        "mixing_law_figure": figures.mixing_law_fits(curves) if len(curves) else ABSENT,
    }


def write_page(
    published: Published,
    report: ReportParameters,
    proxies: Proxies,
    claims: Claims,
    mixing_outcomes: pd.DataFrame,
    iterative_outcomes: pd.DataFrame,
    **results: Any,
) -> tuple[str, str]:
    """Everything on one page that opens offline, and a summary; ``results`` are fields of `ConclusionsResults`."""
    settings = {**vars(proxies), **vars(claims)}
    shown = ConclusionsResults(**results, proxies=settings)
    missing = [*missing_notes(mixing_outcomes), *missing_notes(iterative_outcomes)]
    page = conclusions_page(report.title, shown, published, missing)
    summary = conclusions_summary(report.title, shown.verdicts, shown.settings, shown.law)
    return page, "\n\n".join([summary, *missing])


def _highest_iterative(published: Published) -> float | None:
    return published.iterative.highest_performance if published.iterative else None
