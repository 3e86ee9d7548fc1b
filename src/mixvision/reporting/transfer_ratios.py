"""Mixing ratios with a frozen backbone: which is best, and whether it is the one of a network trained from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mixvision.evaluation.intervals import performance_intervals
from mixvision.evaluation.metrics import summarise, trial_metrics
from mixvision.reporting.tables import best_ratio, interval, metric_table, number, published_rows

_COLUMNS = ["ratio", "trials", "nice_top1", "real_top1", "performance_top1", "low", "high"]
_VALIDATED = "validation_performance_top1"


def ratio_table(
    joined: pd.DataFrame, trials: pd.DataFrame, generator: np.random.Generator, draws: int = 2000
) -> pd.DataFrame:
    """Accuracies of heads on frozen features by the share of real images they were trained on.

    Args:
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns, tops 1 and 3.
        trials: one row per head: ``trial`` and ``ratio`` (per cent real).
        generator: source of the resampling.
        draws: number of resampled test sets.

    Returns:
        One row per ``ratio``, weights best_validation: ``trials`` (seeds, whose accuracies are averaged),
        ``nice_top1``, ``real_top1`` and ``performance_top1`` on test images, the bounds of its 95% interval ``low`` and
        ``high``, and ``validation_performance_top1``, by which the best ratio is picked.
    """
    summary = summarise(trial_metrics(joined), trials)
    intervals = performance_intervals(joined, trials, generator, draws=draws)
    table = metric_table(summary, intervals, None)
    bounds = {"performance_top1_low": "low", "performance_top1_high": "high"}
    table = table[table["figure"] == "best_validation"].rename(columns=bounds)
    return table[[*_COLUMNS, _VALIDATED]].reset_index(drop=True)


def best_frozen_ratio(ratios: pd.DataFrame) -> int:
    """The ratio of :func:`ratio_table` that performs best on the validation images; the test has no say.

    Raises:
        ValueError: none was measured on validation images of both domains.
    """
    return best_ratio(ratios.assign(figure="best_validation"))


def best_published_ratio(published: Mapping[str, Any] | None) -> tuple[int, float] | None:
    """The published ratio of the highest performance, as a share in per cent and that performance, if there is one."""
    paper = published_rows(published)
    if paper is None or paper.get("performance_top1", pd.Series(dtype=float)).isna().all():
        return None
    row = paper.loc[paper["performance_top1"].idxmax()]
    return int(row["ratio"]), float(row["performance_top1"])


def ratio_sentence(ratios: pd.DataFrame, published: Mapping[str, Any] | None) -> str:
    """Whether the best ratio moves when the backbone is pretrained and frozen.

    Args:
        ratios: what :func:`ratio_table` returns.
        published: the published numbers of mixing with a network trained from scratch, or None.
    """
    best, rows = best_frozen_ratio(ratios), ratios.set_index("ratio")
    row = rows.loc[best]
    sentence = (
        f"With heads on frozen features {best}% real is best on the validation images, with a test performance of "
        f"{number(row['performance_top1'])} (95% interval {interval(row['low'], row['high'])})"
    )
    paper = best_published_ratio(published)
    if paper is None:
        return f"{sentence}."
    sentence = f"{sentence}; trained from scratch the published best is {paper[0]}% ({number(paper[1])})"
    if paper[0] == best:
        return f"{sentence}: the best ratio does not move."
    if paper[0] not in rows.index:
        return f"{sentence}, which was not tried here."
    there = rows.loc[paper[0], "performance_top1"]
    if row["low"] <= there <= row["high"]:
        verdict = "within that interval: whether the best ratio moves, these test images cannot tell"
    else:
        verdict = "outside that interval: the best ratio moves"
    return f"{sentence}. Here {paper[0]}% gives {number(there)}, {verdict}."
