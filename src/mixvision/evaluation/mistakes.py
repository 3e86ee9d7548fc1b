"""A model's mistakes: accuracy by category, confusion matrices, and the most confident mistakes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from mixvision.evaluation.intervals import score_intervals
from mixvision.evaluation.tested import in_one_setting


def select_predictions(
    joined: pd.DataFrame, trials: Collection[str], snapshot: str = "best_validation", split: str = "test"
) -> pd.DataFrame:
    """Select the joined predictions of some trials at one snapshot on one split.

    Raises:
        ValueError: there are none.
    """
    chosen = joined["trial"].isin(list(trials)) & (joined["snapshot"] == snapshot) & (joined["split"] == split)
    if not chosen.any():
        raise ValueError(f"No predictions of {list(trials)} at snapshot {snapshot!r} on split {split!r}.")
    return joined[chosen]


def category_accuracy(selected: pd.DataFrame) -> pd.DataFrame:
    """Compute top-1 accuracy by domain and category.

    Args:
        selected: joined predictions of one or more trials (seeds), whose accuracies are averaged.

    Returns:
        One row per ``domain`` and ``category``: ``images`` (each counted once), ``accuracy``, and its 95% interval
        ``low`` to ``high`` (fractions; :func:`mixvision.evaluation.intervals.score_intervals`), for which the
        categories of a domain are each other's typical ones.

    Raises:
        ValueError: a trial lacks the prediction of an image that another trial predicts.
    """
    trials = sorted(set(selected["trial"]))
    tables = []
    for _, rows in selected.groupby("domain", observed=True):
        groups = rows.groupby(["domain", "category"], observed=True)
        tested = [in_one_setting(images, trials) for _, images in groups]
        table = groups.agg(images=("id", "nunique"), accuracy=("top1", "mean"))
        tables.append(table.assign(**dict(zip(("low", "high"), score_intervals(tested).T, strict=True))))
    return pd.concat(tables).reset_index()


def confusion_counts(selected: pd.DataFrame, domain: str, categories: Sequence[str]) -> pd.DataFrame:
    """Confusion matrix of one domain: counts, with true categories as rows and predicted ones as columns."""
    rows = selected[selected["domain"] == domain]
    counts = np.zeros((len(categories), len(categories)), dtype="int64")
    if len(rows):
        truth, said = rows["category"].astype("str"), rows["prediction_1"].astype("str")
        counts = confusion_matrix(truth, said, labels=list(categories))
    return pd.DataFrame(
        counts, index=pd.Index(categories, name="category"), columns=pd.Index(categories, name="prediction")
    )


def confident_mistakes(selected: pd.DataFrame, count: int = 24) -> pd.DataFrame:
    """List the most confident wrong predictions, each image once.

    Returns:
        At most ``count`` rows, most probable first: ``id``, ``domain``, ``category`` (the truth),
        ``prediction``, ``probability``, ``pixel_row``.
    """
    wrong = selected[~selected["top1"]].sort_values(["probability_1", "id"], ascending=[False, True])
    return _for_a_sheet(wrong.drop_duplicates("id").head(count))


def hardest_images(joined: pd.DataFrame, count: int = 24, split: str = "test") -> pd.DataFrame:
    """List the images of a split that most models get wrong at best_validation, each once.

    Returns:
        At most ``count`` rows, hardest first, of equals that with the surest mistakes: ``id``, ``domain``, ``category``
        (the truth), ``prediction`` (the most frequent wrong one), ``wrong`` and ``models`` (how many), ``pixel_row``.
    """
    tested = joined[(joined["snapshot"] == "best_validation") & (joined["split"] == split)]
    wrong = tested[~tested["top1"]].assign(prediction=lambda rows: rows["prediction_1"].astype("str"))
    images = wrong.groupby("id").agg(
        domain=("domain", "first"),
        category=("category", "first"),
        prediction=("prediction", lambda said: said.mode().iloc[0]),
        wrong=("trial", "nunique"),
        sureness=("probability_1", "mean"),
        pixel_row=("pixel_row", "first"),
    )
    ordered = images.reset_index().sort_values(["wrong", "sureness", "id"], ascending=[False, False, True])
    table = ordered.head(count).drop(columns="sureness").assign(models=tested["trial"].nunique())
    return table.reset_index(drop=True)


def hits_and_misses(selected: pd.DataFrame, count: int, generator: np.random.Generator) -> pd.DataFrame:
    """Sample one trial's right and wrong predictions at random, half of each if there are enough.

    Returns:
        At most ``count`` rows, right ones first, with the columns of :func:`confident_mistakes`.
    """
    hits, misses = selected[selected["top1"]], selected[~selected["top1"]]
    wrong = min(len(misses), max(count // 2, count - len(hits)))
    chosen = [
        rows.sort_values("id").iloc[generator.permutation(len(rows))[:size]]
        for rows, size in ((hits, count - wrong), (misses, wrong))
    ]
    return _for_a_sheet(pd.concat(chosen))


def _for_a_sheet(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.rename(columns={"prediction_1": "prediction", "probability_1": "probability"})
    return rows[["id", "domain", "category", "prediction", "probability", "pixel_row"]].reset_index(drop=True)
