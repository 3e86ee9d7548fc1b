"""Mixing ratios with a frozen backbone: which is best, and is it that of a network trained from scratch?"""

from __future__ import annotations

import pandas as pd

from mixvision.evaluation.intervals import behind_best, performance_intervals
from mixvision.evaluation.metrics import summarise, trial_metrics
from mixvision.reporting.formatting import interval, number
from mixvision.reporting.published import PublishedMixing
from mixvision.reporting.tables import best_published, best_ratio, inseparable, metric_table
from mixvision.vocabulary import CATEGORY_METRICS

_COLUMNS = ["ratio", "trials", "nice_top1", "real_top1", "performance_top1", "low", "high"]
_BEHIND = ["behind_low", "behind_high"]
_VALIDATED = "validation_performance_top1"


def ratio_table(joined: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Accuracies of heads on frozen features by the share of real images they were trained on.

    Args:
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns, tops 1 and 3.
        trials: one row per head: ``trial``, ``ratio`` (per cent real) and ``seed``.

    Returns:
        One row per ``ratio``, at the snapshot best_validation: ``trials`` (seeds, whose accuracies are averaged),
        ``nice_top1``, ``real_top1`` and ``performance_top1`` on test images, the bounds of its 95% interval ``low`` and
        ``high``, :data:`CATEGORY_METRICS`, ``validation_performance_top1``, by which the best ratio is picked, and
        ``behind_low`` and ``behind_high``, the bounds of the 95% interval of how far the ratio's performance is below
        the best one's: both on the same test images, and ``is_beaten``, whether any other ratio is certainly better.

    Raises:
        ValueError: none was measured on validation images of both domains.
    """
    summary = summarise(trial_metrics(joined), trials)
    intervals = performance_intervals(joined, trials)
    table = metric_table(summary, intervals, None)
    bounds = {"performance_top1_low": "low", "performance_top1_high": "high"}
    table = table[table["snapshot"] == "best_validation"].rename(columns=bounds)
    table = table[[*_COLUMNS, *CATEGORY_METRICS, _VALIDATED]].reset_index(drop=True)
    if table.empty:
        return table.reindex(columns=[*table, *_BEHIND, "is_beaten"])
    return table.merge(behind_best(joined, trials, best_frozen_ratio(table)), how="left")


def best_frozen_ratio(ratios: pd.DataFrame) -> int:
    """The ratio of :func:`ratio_table` that performs best on the validation images; test images play no part.

    Raises:
        ValueError: none was measured on validation images of both domains.
    """
    return best_ratio(ratios.assign(snapshot="best_validation"))


def tied_ratios(ratios: pd.DataFrame) -> list[int]:
    """The ratios of :func:`ratio_table` that the test images cannot tell from the best one, which is among them."""
    return inseparable(ratios.assign(snapshot="best_validation"))


def ratio_sentence(ratios: pd.DataFrame, published: PublishedMixing | None) -> str:
    """Say whether the best ratio moves when the backbone is pretrained and frozen.

    Args:
        ratios: what :func:`ratio_table` returns.
        published: the published numbers of mixing with a network trained from scratch, or None.
    """
    best, rows = best_frozen_ratio(ratios), ratios.set_index("ratio")
    row = rows.loc[best]
    sentence = (
        f"With heads on frozen features, {best}% real is best on the validation images, with a test performance of "
        f"{number(row['performance_top1'])} (95% interval {interval(row['low'], row['high'])})"
    )
    paper = best_published(published)
    if paper is None:
        return f"{sentence}."
    sentence = f"{sentence}; the published best for training from scratch is {paper[0]}% ({number(paper[1])})"
    if paper[0] == best:
        return f"{sentence}: the best ratio does not move."
    if paper[0] not in rows.index:
        return f"{sentence}, which was not tried here."
    there = rows.loc[paper[0]]
    if there["behind_low"] > 0:
        verdict = "the best ratio moves"
    elif there["behind_high"] < 0:
        verdict = "that ratio is better on the test images, so they do not show that the best ratio moves"
    else:
        verdict = "these test images cannot tell whether the best ratio moves"
    difference, bounds = row["performance_top1"] - there["performance_top1"], there[_BEHIND]
    return (
        f"{sentence}. Here {paper[0]}% gives {number(there['performance_top1'])}, a difference of {number(difference)} "
        f"(95% interval on the same images {interval(*bounds)}): {verdict}."
    )
