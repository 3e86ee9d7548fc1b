"""Accuracy of every trial on both domains, from the manifest and the predictions alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from mixvision.evaluation.by_category import category_metrics
from mixvision.schema.metrics import METRICS as METRICS_TABLE
from mixvision.vocabulary import CATEGORY_METRICS, DOMAINS, METRICS, TEST, TEST_SPLITS

Accuracy = TypeVar("Accuracy", float, np.ndarray, pd.Series)

_FACTS = ["id", "domain", "category", "split", "leaks", "component", "pixel_row"]
CHANGED = " The images or their splits are others than when these models were trained: train them again."
_KEYS = list(METRICS_TABLE.key)


def join_predictions(predictions: pd.DataFrame, manifest: pd.DataFrame, tops: Sequence[int] = (1, 3)) -> pd.DataFrame:
    """Join predictions with the manifest, and mark which of them are right.

    Args:
        predictions: one row per trial, snapshot and image (``trial``, ``snapshot``, ``id``, ``prediction_1``...
            ``prediction_k``, ``probability_1``... ``probability_k``, most probable first).
        manifest: one row per image.
        tops: each k for which top-k hits are computed; 1 is always included.

    Returns:
        The predictions with ``domain``, ``category``, ``split``, ``leaks``, ``component`` and ``pixel_row`` of
        the image, and the booleans ``top1`` and ``top<k>`` for each k of ``tops``: whether the category is among the
        first k predictions. With k categories or fewer ``top<k>`` is always true.

    Raises:
        ValueError: an image is missing from the manifest, is not held out, or is predicted twice by one
            model. Images of the split "independent" (see :func:`mark_independent`) are held out, too.
    """
    joined = predictions.merge(manifest[_FACTS], on="id", how="left", validate="many_to_one")
    held_out = joined["split"].isin(["validation", *TEST_SPLITS])
    _refuse(joined[joined["domain"].isna()], "are of images that are not in the manifest", CHANGED)
    _refuse(joined[~held_out], "are of images that are not held out for validation or test", CHANGED)
    _refuse(joined[joined.duplicated(["trial", "snapshot", "id"])], "appear twice for one trial and snapshot")
    truth = joined["category"].astype("str")
    places = [place for place in range(1, max(tops) + 1) if f"prediction_{place}" in joined]
    hits = [joined[f"prediction_{place}"].astype("str") == truth for place in places]
    for top in dict.fromkeys((1, *tops)):
        joined[f"top{top}"] = np.logical_or.reduce(hits[:top])
    return joined


def mark_independent(manifest: pd.DataFrame) -> pd.DataFrame:
    """Move an independent test set to the split "independent", so that it is measured separately.

    An independent test set is a domain that has only test images while the other domain is trained on. Without one, the
    manifest is returned unchanged.
    """
    splits = manifest[manifest["split"] != ""].groupby("domain")["split"].agg(set)
    trained = splits.map(lambda names: "train" in names).any()
    domains = [domain for domain, names in splits.items() if trained and names == {"test"}]
    independent = manifest["domain"].isin(domains) & (manifest["split"] != "")
    return manifest.assign(split=manifest["split"].mask(independent, "independent"))


def trial_metrics(joined: pd.DataFrame, without_leaks: bool = False) -> pd.DataFrame:
    """Compute the accuracies of every trial, for each of its snapshots and each held-out split.

    Args:
        joined: what :func:`join_predictions` returns.
        without_leaks: leave out held-out images whose component is also in training, and test images whose component is
            also in validation.

    Returns:
        One row per ``trial``, ``snapshot`` and ``split``, with :data:`METRICS` and :data:`CATEGORY_METRICS` (fractions,
        NaN if a domain has no image) and the numbers of images ``nice_images`` and ``real_images``.
    """
    counted = joined[~joined["leaks"].astype(bool)] if without_leaks else joined
    groups = counted.groupby([*_KEYS, "domain"])
    accuracies = groups[["top1", "top3"]].mean().unstack("domain")
    images = groups.size().unstack("domain")
    table = pd.DataFrame(index=accuracies.index)
    for top in ("top1", "top3"):
        for domain in DOMAINS:
            table[f"{domain}_{top}"] = accuracies.get((top, domain), np.nan)
        table[f"performance_{top}"] = performance(table[f"nice_{top}"], table[f"real_{top}"])
    for domain in DOMAINS:
        table[f"{domain}_images"] = pd.Series(images.get(domain, 0), index=table.index).fillna(0).astype("int64")
    table = table.join(category_metrics(counted)).reset_index()
    return table[[*_KEYS, *METRICS, *CATEGORY_METRICS, "nice_images", "real_images"]]


def performance(nice: Accuracy, real: Accuracy) -> Accuracy:
    """The study's measure of a model on both domains: the geometric mean of the two accuracies (fractions)."""
    return (nice * real) ** 0.5


def summarise(metrics: pd.DataFrame, trials: pd.DataFrame, by: str = "ratio") -> pd.DataFrame:
    """Compute mean and standard deviation over the trials that share a setting (the seeds of one ratio).

    Args:
        metrics: what :func:`trial_metrics` returns.
        trials: one row per trial with ``trial`` and the column ``by``.
        by: the setting.

    Returns:
        One row per value of ``by``, ``snapshot`` and ``split``: ``trials`` (how many), the mean of each of
        :data:`METRICS` and, if measured, :data:`CATEGORY_METRICS`, and its sample standard deviation in
        ``<metric>_std`` (NaN for a single trial).

    Raises:
        ValueError: a trial that made predictions is not in ``trials``.
    """
    unknown = sorted(set(metrics["trial"]) - set(trials["trial"]))
    if unknown:
        raise ValueError(
            f"The table of trials lacks {unknown[0]!r}, the first of {len(unknown)} trials with metrics that are "
            "missing from it."
        )
    groups = metrics.merge(trials[["trial", by]], on="trial", validate="many_to_one").groupby([by, "snapshot", "split"])
    columns = [*METRICS, *(name for name in CATEGORY_METRICS if name in metrics)]
    spread = groups[columns].std(ddof=1).add_suffix("_std")
    return pd.concat([groups.size().rename("trials"), groups[columns].mean(), spread], axis=1).reset_index()


def highest_on_test(history: pd.DataFrame, trials: pd.DataFrame, by: str = "ratio") -> pd.DataFrame:
    """The highest accuracy on the test images of each domain over all evaluations, each for itself.

    A table that gives the best iteration of every column separately has these numbers; no single network reaches all
    of them.

    Args:
        history: ``trial``, ``split``, ``nice_top1`` and ``real_top1``, one row per evaluation.
        trials: one row per trial with ``trial`` and the column ``by``.
        by: the setting.

    Returns:
        One row per value of ``by``: ``highest_nice_top1`` and ``highest_real_top1`` (fractions, means over the trials).
    """
    columns = [f"{domain}_top1" for domain in DOMAINS]
    highest = history[history["split"] == TEST].groupby("trial")[columns].max()
    of_setting = highest.join(trials.set_index("trial")[by], how="inner").groupby(by)
    return of_setting.mean().add_prefix("highest_").reset_index()


def _refuse(rows: pd.DataFrame, complaint: str, why: str = "") -> None:
    if len(rows):
        raise ValueError(f"{len(rows)} predictions {complaint}, the first of them {rows['id'].iloc[0]!r}.{why}")
