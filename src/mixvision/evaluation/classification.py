"""Accuracy over all images of a split, whatever their domain, and the mistakes of one model among them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd
from sklearn.metrics import precision_recall_fscore_support

from mixvision.evaluation.by_category import category_metrics
from mixvision.evaluation.comparisons import compare
from mixvision.evaluation.intervals import distances_to_best, score_intervals
from mixvision.evaluation.mistakes import confusion_counts, select_predictions
from mixvision.evaluation.tested import measured_trials
from mixvision.schema.metrics import OVERALL_METRICS
from mixvision.vocabulary import DOMAINS

_KEYS = list(OVERALL_METRICS.key)


def accuracies(joined: pd.DataFrame) -> pd.DataFrame:
    """Compute the accuracy of every trial, for each of its snapshots and each held-out split.

    Args:
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns.

    Returns:
        One row per ``trial``, ``snapshot`` and ``split``: ``images`` (how many), each ``top<k>`` of ``joined``
        (fractions; ``top1`` and ``top3`` by default), ``nice_top1`` and ``real_top1`` if any split has images of both
        domains, and what :func:`mixvision.evaluation.by_category.category_metrics` returns for domains with images.
    """
    groups = joined.groupby(_KEYS)
    tops = [column for column in joined if re.fullmatch(r"top\d+", column)]
    table = groups.agg(images=("id", "size"), **{top: (top, "mean") for top in tops})
    if (joined.groupby("split")["domain"].nunique() == len(DOMAINS)).any():
        for domain in DOMAINS:
            table[f"{domain}_top1"] = joined[joined["domain"] == domain].groupby(_KEYS)["top1"].mean()
    return table.join(category_metrics(joined).dropna(axis="columns", how="all")).reset_index()


def accuracy_intervals(joined: pd.DataFrame, snapshot: str = "best_validation", split: str = "test") -> pd.DataFrame:
    """Compute the interval of every trial's top-1 accuracy; see :func:`mixvision.evaluation.intervals.score_intervals`.

    Near-duplicates and images of one group count together.

    Args:
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns.
        snapshot: which snapshot to use.
        split: which split to use.

    Returns:
        One row per ``trial``: ``low`` and ``high``, the bounds of the central 95% (fractions).

    Raises:
        ValueError: a trial lacks the prediction of an image that another trial predicts.
    """
    chosen = joined[(joined["snapshot"] == snapshot) & (joined["split"] == split)]
    trials = sorted(set(chosen["trial"]))
    bounds = score_intervals([measured_trials(chosen, trials)] if trials else [])
    return pd.DataFrame({"trial": trials, "low": bounds[:, 0], "high": bounds[:, 1]})


def accuracies_behind_best(
    joined: pd.DataFrame, best: str, snapshot: str = "best_validation", split: str = "test"
) -> pd.DataFrame:
    """How far every trial's top-1 accuracy is behind the best one's, on the same images.

    Arguments as for :func:`accuracy_intervals`; ``best`` is the trial that was chosen on validation images.

    Returns:
        What :func:`mixvision.evaluation.intervals.distances_to_best` does, one row per ``trial``; no rows without
        predictions of the best.
    """
    chosen = joined[(joined["snapshot"] == snapshot) & (joined["split"] == split)]
    trials = sorted(set(chosen["trial"]))
    if best not in trials:
        return pd.DataFrame(columns=["trial", "behind_low", "behind_high", "is_beaten"])
    return distances_to_best(compare(measured_trials(chosen, trials)), best, "trial")


def paired_difference(
    joined: pd.DataFrame, first: str, second: str, snapshot: str = "best_validation", split: str = "test"
) -> tuple[float, float, float]:
    """Compare two trials' top-1 accuracies, paired by image.

    Arguments as for :func:`accuracy_intervals`.

    Returns:
        The first accuracy minus the second (fractions), and the lower and upper bound of the difference's 95% interval.

    Raises:
        ValueError: a trial has no such predictions, or the two predict different images.
    """
    rows = {trial: select_predictions(joined, [trial], snapshot, split) for trial in (first, second)}
    compared = compare(measured_trials(pd.concat(rows.values()), list(rows)))
    difference = float(rows[first]["top1"].mean() - rows[second]["top1"].mean())
    (bounds,) = distances_to_best(compared, first, "trial").query("trial == @second").itertuples()
    return difference, float(bounds.behind_low), float(bounds.behind_high)


def category_scores(selected: pd.DataFrame) -> pd.DataFrame:
    """Compute precision, recall and F1 of every category.

    Args:
        selected: what :func:`mixvision.evaluation.mistakes.select_predictions` returns for one trial.

    Returns:
        One row per ``category`` that occurs or is predicted, sorted by name: ``images`` (how many are of it),
        ``precision``, ``recall`` and ``f1`` (fractions; 0 if the denominator is 0).
    """
    truth, said = selected["category"].astype("str"), selected["prediction_1"].astype("str")
    categories = sorted({*truth, *said})
    scores = precision_recall_fscore_support(truth, said, labels=categories, zero_division=0)
    precision, recall, f1, images = scores
    return pd.DataFrame({"category": categories, "images": images, "precision": precision, "recall": recall, "f1": f1})


def confused_pairs(selected: pd.DataFrame, count: int = 10) -> pd.DataFrame:
    """List the most frequent mistakes.

    Args:
        selected: what :func:`mixvision.evaluation.mistakes.select_predictions` returns for one trial.
        count: maximum number of pairs.

    Returns:
        One row per pair, most frequent first, ties by name: ``category`` (the truth), ``prediction``, ``images``
        (number of such mistakes) and ``share`` (fraction of the category's images).
    """
    named = selected[["category", "prediction_1"]].astype("str").rename(columns={"prediction_1": "prediction"})
    wrong = named[named["category"] != named["prediction"]]
    pairs = wrong.groupby(["category", "prediction"]).size().rename("images").reset_index()
    pairs["share"] = pairs["images"] / named["category"].value_counts().reindex(pairs["category"]).to_numpy()
    return (
        pairs.sort_values(["images", "category", "prediction"], ascending=[False, True, True])
        .head(count)
        .reset_index(drop=True)
    )


def whole_confusion(selected: pd.DataFrame, categories: Sequence[str]) -> pd.DataFrame:
    """Confusion matrix of all domains together: counts, with true categories as rows and predicted ones as columns."""
    return confusion_counts(selected.assign(domain="all"), "all", categories)
