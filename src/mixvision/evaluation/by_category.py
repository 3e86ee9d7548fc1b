"""How single categories fare: the worst one's accuracy, and means over categories instead of images."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixvision.vocabulary import BEST_VALIDATION, CATEGORY_MEASURES, DOMAINS, category_metric

_KEYS = ["trial", "snapshot", "split"]


def category_metrics(joined: pd.DataFrame) -> pd.DataFrame:
    """Compute the three measures in which every category counts alike, of every trial in each domain.

    A category counts in a domain, snapshot and split if it has images there; what is wrongly said to be of another
    category lowers the recall of the true one. The recall of a category is its top-1 accuracy.

    Args:
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns.

    Returns:
        Indexed by ``trial``, ``snapshot`` and ``split``, fractions, NaN if a domain has no image:
        ``<domain>_worst_category``, the lowest recall; ``<domain>_balanced_accuracy``, the mean recall (Brodersen et
        al., 2010); ``<domain>_macro_f1``, the mean of the categories' F1, the harmonic mean of precision and recall.
    """
    key = [*_KEYS, "domain"]
    named = joined.astype({"category": "str", "prediction_1": "str"})
    truth = named.groupby([*key, "category"])["top1"].agg(["size", "sum"])
    said = named.groupby([*key, "prediction_1"]).size().rename_axis(index={"prediction_1": "category"})
    assigned = said.reindex(truth.index, fill_value=0)
    recall, f1 = truth["sum"] / truth["size"], 2 * truth["sum"] / (truth["size"] + assigned)
    found = {
        "worst_category": recall.groupby(key).min(),
        "balanced_accuracy": recall.groupby(key).mean(),
        "macro_f1": f1.groupby(key).mean(),
    }
    wide = pd.DataFrame(found).unstack("domain")
    columns = {
        category_metric(domain, measure): wide.get((measure, domain), np.nan)
        for domain in DOMAINS
        for measure in CATEGORY_MEASURES
    }
    return pd.DataFrame(columns, index=wide.index, dtype="float64")


def category_columns(metrics: pd.DataFrame, split: str) -> pd.DataFrame:
    """The measures of :func:`category_metrics` on one split, for a table with columns of several splits.

    Args:
        metrics: one row per ``trial``, ``snapshot`` and ``split``, with what :func:`category_metrics` returns.
        split: which one.

    Returns:
        Indexed by ``trial``, at best_validation: ``<domain>_<split>_<measure>`` for each domain with images.
    """
    chosen = metrics[(metrics["snapshot"] == BEST_VALIDATION) & (metrics["split"] == split)].set_index("trial")
    pairs = [(domain, measure) for domain in DOMAINS for measure in CATEGORY_MEASURES]
    names = {category_metric(*pair): category_metric(*pair, split) for pair in pairs}
    return chosen[[name for name in names if name in chosen]].rename(columns=names).dropna(axis="columns", how="all")
