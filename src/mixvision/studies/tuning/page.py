"""The page of the tuning: which learning rate and L2 factor, and does an adaptive search find better ones?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.evaluation.selection import best_first, best_of_each
from mixvision.reporting.formatting import DASH, markdown_table, number
from mixvision.reporting.page import Page, Section, Table, render_page
from mixvision.reporting.published import PublishedTuning
from mixvision.reporting.sections import missing_notes, mistake_pictures, settings_table
from mixvision.studies.tuning.grid import UNLUCKY, rank_settings
from mixvision.vocabulary import FAILED, MISSING

QUESTION = "Which learning rate and which L2 factor should the models of all ratios be trained with?"
STEPS = {
    "rates": "First step: learning rates",
    "factors": "Second step: L2 factors with the two best rates",
    "final": "Last step: the final set",
}


def step_table(scores: pd.DataFrame, step: str) -> pd.DataFrame:
    """One row per setting of a step, best mean first.

    Args:
        scores: trials with step, ratio, learning_rate, l2, iterations, performance_top1 (the best on validation images
            during training, missing where the trial diverged).
        step: "rates", "factors" or "final".

    Returns:
        ``learning rate``, ``L2``, ``iterations``, ``mean`` over the ratios by which settings are ranked
        (:func:`mixvision.studies.tuning.grid.rank_settings`), and a column for each ratio.
    """
    rows = scores[scores["step"] == step]
    keys = ["learning_rate", "l2", "iterations"]
    wide = rows.pivot(index=keys, columns="ratio", values="performance_top1")
    table = wide.rename(columns="{}% real".format)
    ranked = rank_settings(rows).set_index(["learning_rate", "l2"])["performance_top1"]
    table.insert(0, "mean", ranked.reindex(wide.index.droplevel("iterations")).to_numpy())
    table = best_first(table, "mean").reset_index()
    table[["learning_rate", "l2"]] = table[["learning_rate", "l2"]].map("{:g}".format)
    return table.rename(columns={"learning_rate": "learning rate", "l2": "L2"}).rename_axis(columns=None)


def best_by_ratio(scores: pd.DataFrame) -> pd.DataFrame:
    """The best trial of every ratio: ratio, performance_top1, learning_rate, l2; ratios without one are left out."""
    best = best_of_each(scores, "ratio", "performance_top1")
    return best[["ratio", "performance_top1", "learning_rate", "l2"]].reset_index(drop=True)


def mean_of_best(scores: pd.DataFrame) -> float:
    """Mean over the ratios of the best performance; a ratio at which every trial diverged counts as 0."""
    return best_by_ratio(scores)["performance_top1"].sum() / scores["ratio"].nunique()


def search_progress(scores: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """The best performance of a search so far, by what it had spent.

    The trials of a round train side by side, the rounds one after the other. A diverged trial adds cost but no result.

    Args:
        scores: trials with round, ratio, status and trained_iterations.
        history: trial, iteration, split, performance_top1.

    Returns:
        spent (model-iterations) and performance_top1: the best validation performance so far, averaged over the
        ratios. A ratio that has none yet counts as 0.
    """
    usable = scores.loc[~scores["status"].isin(MISSING), ["trial", "round", "ratio"]]
    rows = history[history["split"] == "validation"].merge(usable, on="trial")
    best = rows.groupby(["round", "iteration", "ratio"])["performance_top1"].max().unstack("ratio")
    best = best.reindex(columns=scores["ratio"].unique()).sort_index().ffill().cummax().fillna(0)
    spent = [
        scores.loc[scores["round"] < turn, "trained_iterations"].sum()
        + scores.loc[scores["round"] == turn, "trained_iterations"].clip(upper=iteration).sum()
        for turn, iteration in best.index
    ]
    return pd.DataFrame({"spent": spent, "performance_top1": best.mean(axis=1).to_numpy()})


def searches_table(grid: pd.DataFrame, adaptive: pd.DataFrame) -> pd.DataFrame:
    """Both searches compared: trials, how they ended, model-iterations, mean of the best by ratio."""
    rows = []
    unlucky = [status for status in UNLUCKY if (pd.concat([grid, adaptive])["status"] == status).any()]
    for name, scores in (("grid", grid), ("adaptive", adaptive)):
        ended = scores["status"].value_counts()
        rows.append(
            {
                "search": name,
                "trials": len(scores),
                "pruned": int(ended.get("pruned", 0)),
                "diverged": int(ended.get(FAILED, 0)),
                **{status: int(ended.get(status, 0)) for status in unlucky},
                "model-iterations": f"{scores['trained_iterations'].sum():,}",
                "mean of the best": number(mean_of_best(scores)),
            }
        )
    return pd.DataFrame(rows)


def ratios_table(grid: pd.DataFrame, adaptive: pd.DataFrame) -> pd.DataFrame:
    """For each ratio, the best performance of both searches and its setting."""
    parts = []
    for name, scores in (("grid", grid), ("adaptive", adaptive)):
        best = best_by_ratio(scores).set_index("ratio")
        setting = [f"{rate:.3g}, {l2:.3g}" for rate, l2 in zip(best["learning_rate"], best["l2"], strict=True)]
        parts.append(pd.DataFrame({name: best["performance_top1"].map(number), f"{name}: rate, L2": setting}))
    return pd.concat(parts, axis=1).sort_index().fillna(DASH).rename_axis("% real").reset_index()


def tuning_answer(
    chosen: Mapping[str, Any], grid: pd.DataFrame, adaptive: pd.DataFrame, published: PublishedTuning | None
) -> str:
    """The outcome in a few sentences."""
    means = [mean_of_best(scores) for scores in (grid, adaptive)]
    paper = f" (published: {published.learning_rate:g} and {published.l2:g})" if published else ""
    return (
        f"Chosen: learning rate {chosen['learning_rate']:g} with L2 {chosen['l2']:g}{paper}, with mean performance "
        f"{number(chosen['performance_top1'])} on the validation images. With a separate setting for every ratio, "
        f"the grid reached {number(means[0])} and the adaptive search, on the same budget, {number(means[1])}."
    )


def tuning_summary(
    title: str,
    chosen: Mapping[str, Any],
    grid: pd.DataFrame,
    adaptive: pd.DataFrame,
    published: PublishedTuning | None,
) -> str:
    """The outcome as Markdown: the chosen setting, the steps, both searches."""
    parts = [f"{title}, by the best performance on the validation images", QUESTION]
    for step, heading in STEPS.items():
        table = step_table(grid, step).iloc[:, :4]
        parts += [heading, markdown_table(table.assign(mean=table["mean"].map(number)))]
    parts += ["Both searches", markdown_table(searches_table(grid, adaptive))]
    parts += [tuning_answer(chosen, grid, adaptive, published), *missing_notes(pd.concat([grid, adaptive]))]
    return "\n\n".join(parts)


@dataclass(frozen=True, kw_only=True)
class TuningResults:
    """What the page of the tuning shows.

    Attributes:
        grid_scores, adaptive_scores: of both searches' trials, see :func:`step_table` and :func:`search_progress`.
        chosen: learning_rate, l2, performance_top1 and source.
        rates, factors, final: figures of the grid's steps.
        progress, best_by_ratio, adaptive_trials: figures that compare the searches.
        mistakes, hardest: contact sheets of validation images; the mistakes are those with the chosen setting.
    """

    grid_scores: pd.DataFrame
    adaptive_scores: pd.DataFrame
    chosen: Mapping[str, Any]
    rates: go.Figure
    factors: go.Figure
    final: go.Figure
    progress: go.Figure
    best_by_ratio: go.Figure
    adaptive_trials: go.Figure
    mistakes: Image.Image
    hardest: Image.Image


def tuning_page(
    title: str, results: TuningResults, settings: Mapping[str, Any], published: PublishedTuning | None
) -> str:
    """The whole report as one HTML page.

    Args:
        title: heading.
        results: all that it shows.
        settings: of the grid, the adaptive search and the training, by name.
        published: the paper's learning_rate, l2 and source, or None.
    """
    grid, adaptive, chosen = results.grid_scores, results.adaptive_scores, results.chosen
    step_figures = results.rates, results.factors, results.final
    search_figures = [results.progress, results.best_by_ratio, results.adaptive_trials]
    steps = [
        Section(
            heading, tables=[Table("Best validation performance", step_table(grid, step), 200, 0)], figures=[figure]
        )
        for (step, heading), figure in zip(STEPS.items(), step_figures, strict=True)
    ]
    tables = [
        Table("Both searches", searches_table(grid, adaptive)),
        Table("Best performance and setting of every ratio", ratios_table(grid, adaptive)),
    ]
    trials = [Table("Grid", _shown(grid)), Table("Adaptive search", _shown(adaptive))]
    evidence = [
        *steps,
        Section("Comparison of grid and adaptive search", tables=tables, figures=search_figures),
        Section(
            "A closer look at the chosen setting",
            [
                "Validation images, snapshot chosen on them. The mistakes are those of the last step's models with the "
                "chosen setting, of all ratios; the hardest images are those of all models of the grid."
            ],
            pictures=mistake_pictures(results.mistakes, results.hardest, "Validation images"),
        ),
    ]
    data = [
        Section("Every trial", tables=trials),
        Section("Settings", tables=[settings_table("Of the searches and the training", settings)]),
    ]
    numbers = [
        (f"{chosen['learning_rate']:g}", "learning rate, chosen"),
        (f"{chosen['l2']:g}", "L2 factor, chosen"),
        (number(chosen["performance_top1"]), "its mean validation performance"),
        (str(len(grid)), "trials of the grid"),
        (str(len(adaptive)), "trials of the adaptive search"),
    ]
    answer = tuning_answer(chosen, grid, adaptive, published)
    notes = [*missing_notes(pd.concat([grid, adaptive])), *_footnotes(published)]
    return render_page(Page(f"{title}: tuning", QUESTION, answer, numbers, evidence, data, notes))


def _shown(scores: pd.DataFrame) -> pd.DataFrame:
    settings = scores[["learning_rate", "l2"]].map("{:.4g}".format)
    return scores.assign(**settings).drop(columns=["round", "seed"])


def _footnotes(published: PublishedTuning | None) -> list[str]:
    notes = [
        "All performances are the best during training on the validation images. Test images are not used.",
        "The chosen setting has the best mean over the ratios in the last step. A diverged trial counts as 0, and so "
        "does a ratio at which all trials of a search diverged. A ratio at which a trial was cancelled or ran out of "
        "memory counts for no setting of that step, unless it is the only one left.",
        "The best of many trials on the same images is too high as an estimate. Use it to compare settings; small "
        "differences between settings or searches are due to chance.",
        "The adaptive search has the grid's budget, counted in model-iterations, and ends when its next round might "
        "exceed it. Each ratio has an Optuna study of its own, whereas the grid's steps use all ratios together.",
    ]
    return [*notes, f"Published: {published.source}."] if published else notes
