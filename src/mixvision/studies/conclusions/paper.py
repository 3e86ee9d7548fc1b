"""What the published numbers say to the hypotheses: by their estimates alone, as their spread is not known."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mixvision.evaluation.selection import best_label
from mixvision.studies.conclusions.statements import PURE, is_near


def pure_in_paper(published: pd.DataFrame | None, domain: str) -> dict[str, Any]:
    """The lead of a domain's pure ratio over the best other one, and the verdict; empty if the paper has not both."""
    accuracies = _published(published, f"{domain}_top1")
    if PURE[domain] not in accuracies or len(accuracies) < 2:
        return {}
    return _by_sign(accuracies[PURE[domain]] - accuracies.drop(PURE[domain]).max())


def best_in_paper(published: pd.DataFrame | None) -> dict[str, Any]:
    """The best ratio, and whether it is near the centre; empty if the paper has no ratio to compare with."""
    performances = _published(published, "performance_top1")
    near = is_near(performances.index)
    if near.all() or not near.any():
        return {}
    best = best_label(performances)
    return {"published_estimate": best, "published_verdict": "supported" if is_near(best) else "refuted"}


def iterative_in_paper(published: pd.DataFrame | None, highest: float | None) -> dict[str, Any]:
    """The lead of iterative over mixed training, and the verdict; empty if the paper has not both."""
    performances = _published(published, "performance_top1")
    return {} if highest is None or performances.empty else _by_sign(highest - performances.max())


def _published(published: pd.DataFrame | None, metric: str) -> pd.Series:
    if published is None or metric not in published:
        return pd.Series(dtype="float64")
    return published.set_index("ratio")[metric].dropna()


def _by_sign(difference: float) -> dict[str, Any]:
    verdict = "supported" if difference > 0 else "refuted" if difference < 0 else "undecided"
    return {"published_estimate": difference, "published_verdict": verdict}
