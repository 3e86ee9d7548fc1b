"""Derived models, made of saved probabilities alone: means over views of an image, and ensembles of the best models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from mixvision.evaluation.selection import rank
from mixvision.schema.tables import MEMBERS, PREDICTIONS
from mixvision.vocabulary import BEST_VALIDATION, LAST, WHOLE, snapshot_name

FOLDS = 5
METHODS = ("head", "fine-tuned")  # whose models may enter an ensemble


_LEAST_PROBABILITY = 1e-6  # whose logarithm stands for that of anything smaller

Loadable: TypeAlias = pd.DataFrame | Callable[[], pd.DataFrame]


def combine(
    probabilities: Mapping[str, Loadable], manifest: pd.DataFrame, trials: pd.DataFrame, count: int = 3
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of all derived models: of every trial that was shown several views, and of two ensembles.

    The ensembles consist of the best trained trials by top-1 accuracy on validation images at the snapshot
    best_validation; a trial with several views enters with their mean only where that is more accurate on these images
    than the whole image alone. Without two trained trials, or without validation images, there is no ensemble. Every
    frame is loaded once; those of the best so far are kept in memory, no others.

    Args:
        probabilities: by "trial/snapshot" a frame, or what loads one: ``view``, ``id`` and one column a category.
        manifest: one row per image.
        trials: one row per trial: ``trial`` and ``method``. Probabilities of other trials are left alone.
        count: how many members an ensemble has at most.

    Returns:
        The predictions, see :func:`top_predictions`, of "<trial>+views" (both snapshots), "mean-of-<n>" and
        "stacked-<n>" (best_validation), and one row per derived model: ``trial`` (its name), ``method`` ("views",
        "ensemble, mean" or "ensemble, stacked"), ``members`` (their names joined by " + ") and
        ``views`` (how many are averaged, 1 for an ensemble).

    Raises:
        ValueError: an image lacks a view, or the members tell of different images or categories.
    """
    predictions, members = [], []
    best: list[tuple[float, str, pd.DataFrame]] = []
    truth = manifest[manifest["split"] == "validation"].set_index("id")["category"]
    for trial, method in trials[["trial", "method"]].itertuples(index=False):
        for snapshot in (s for s in (BEST_VALIDATION, LAST) if snapshot_name(trial, s) in probabilities):
            frame = _loaded(probabilities[snapshot_name(trial, snapshot)])
            views = frame["view"].nunique()
            ways = {trial: frame[frame["view"] == WHOLE].drop(columns="view")}
            if views > 1:
                name = f"{trial}+views"
                ways[name] = mean_of_views(frame)
                predictions.append(top_predictions(ways[name], name, snapshot))
                members.append((name, "views", trial, views))
            if snapshot == BEST_VALIDATION and method in METHODS and len(truth):
                ranked = [(_accuracy(way, truth), name, way) for name, way in ways.items()]
                best.append(_best(ranked)[0])  # the whole image where both are as good
                best = _best(best)[:count]  # the earlier of equals stays
    if len(best) > 1:
        names, frames = [name for _, name, _ in best], [frame for _, _, frame in best]
        for name, method, frame in (
            (f"mean-of-{len(best)}", "ensemble, mean", mean_of_models(frames)),
            (f"stacked-{len(best)}", "ensemble, stacked", stacked(frames, manifest)),
        ):
            predictions.append(top_predictions(frame, name, "best_validation"))
            members.append((name, method, " + ".join(names), 1))
    table = pd.DataFrame(members, columns=MEMBERS.names).drop_duplicates(ignore_index=True)
    return pd.concat(predictions, ignore_index=True) if predictions else PREDICTIONS.empty(), table


def top_predictions(frame: pd.DataFrame, trial: str, snapshot: str, count: int = 5) -> pd.DataFrame:
    """The most probable categories of every image.

    Args:
        frame: ``id`` and the probability of each category in a column of its name.
        trial, snapshot: whose they are.
        count: how many are given, or all where there are fewer categories.

    Returns:
        One row per image: ``trial``, ``snapshot``, ``id``, ``prediction_1``... and ``probability_1``..., most probable
        first, equally probable ones in the order of the columns.
    """
    categories = frame.columns.drop("id")
    probabilities = frame[categories].to_numpy("float32")
    top = np.argsort(-probabilities, axis=1, kind="stable")[:, :count]
    sorted_probabilities = np.take_along_axis(probabilities, top, axis=1)
    named = np.asarray(categories, dtype=object)[top]
    columns = {"trial": trial, "snapshot": snapshot, "id": frame["id"].to_numpy()}
    columns |= {f"prediction_{place + 1}": named[:, place] for place in range(top.shape[1])}
    columns |= {f"probability_{place + 1}": sorted_probabilities[:, place] for place in range(top.shape[1])}
    return pd.DataFrame(columns)


def mean_of_views(frame: pd.DataFrame) -> pd.DataFrame:
    """The mean of the probabilities over all views (``view``, ``id``, categories): ``id`` and the categories.

    Raises:
        ValueError: an image lacks a view, or has it twice.
    """
    views = frame.groupby("id", sort=False)["view"].agg(["size", "nunique"])
    uneven = views[(views["size"] != frame["view"].nunique()) | (views["nunique"] != views["size"])]
    if len(uneven):
        expected = ", ".join(frame["view"].unique())
        raise ValueError(
            f"Every image needs the views {expected}, each once; {uneven.index[0]!r} is one of {len(uneven)} images "
            "that have others."
        )
    return frame.drop(columns="view").groupby("id", sort=False).mean().reset_index()


def mean_of_models(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The mean of the probabilities (``id`` and categories) that several models give the same images.

    Raises:
        ValueError: the models tell of different images or categories.
    """
    aligned = _aligned(frames)
    mean = np.mean([frame.to_numpy("float64") for frame in aligned], axis=0)
    return pd.DataFrame(mean, aligned[0].index, aligned[0].columns, "float32").reset_index()


def stacked(frames: Sequence[pd.DataFrame], manifest: pd.DataFrame) -> pd.DataFrame:
    """Probabilities of a logistic stacker of several models, fitted on the validation images alone.

    One weight a model: a category's probability is proportional to the product of the models' probabilities, each to
    the power of its weight. The weights are a logistic regression (scikit-learn's, with its L2 penalty of one half) on
    the models' log-probabilities of the true category less those of every other one, so two hundred categories ask for
    no more images than two. The price: it cannot learn that a model errs on one category only.

    What it says of a validation image comes from weights fitted without that image and its near-duplicates, in
    :data:`FOLDS` folds or as many as there are clusters. Where no image is left to fit on, the models' mean stands.

    Args:
        frames: of each model ``id`` and the probability of each category.
        manifest: one row per image: ``id``, ``category``, ``split`` and ``cluster``.

    Returns:
        ``id`` and the probability of each category (float32), in the first frame's order.

    Raises:
        ValueError: the models tell of different images or categories, or of an image missing from the manifest.
    """
    aligned = _aligned(frames)
    ids, categories = aligned[0].index, aligned[0].columns
    images = manifest.set_index("id")
    if not ids.isin(images.index).all():
        raise ValueError(f"Image {ids[~ids.isin(images.index)][0]!r} has probabilities but is not in the manifest.")
    images = images.loc[ids]
    logarithms = np.stack([np.log(frame.clip(lower=_LEAST_PROBABILITY).to_numpy("float64")) for frame in aligned], -1)
    truth = categories.get_indexer(images["category"].astype("str"))
    validation = np.flatnonzero(images["split"] == "validation")
    result = mean_of_models(frames).set_index("id")
    others = np.setdiff1d(np.arange(len(ids)), validation)
    folds = [(validation, others), *_folds(validation, images["cluster"].to_numpy()[validation])]
    for fitted, predicted in folds:
        weights = _weights(logarithms[fitted], truth[fitted])
        if weights is not None:
            result.iloc[predicted] = softmax(logarithms[predicted] @ weights, axis=1).astype("float32")
    return result.reset_index()


def _weights(logarithms: np.ndarray, truth: np.ndarray) -> np.ndarray | None:
    """A weight a model from log-probabilities (images, categories, models), or None without anything to compare."""
    true = np.arange(logarithms.shape[1]) == truth[:, None]
    known = true.any(axis=1)  # an image of a category that the models do not know tells nothing
    margins = (np.where(true[..., None], logarithms, 0).sum(axis=1, keepdims=True) - logarithms)[known][~true[known]]
    if not len(margins):
        return None
    # Each comparison and its mirror image: which of the two categories comes first must make no difference.
    both, outcomes = np.concatenate([margins, -margins]), np.repeat([1, 0], len(margins))
    return LogisticRegression(fit_intercept=False).fit(both, outcomes).coef_[0]


def _folds(validation: np.ndarray, clusters: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions to fit on and to predict, near-duplicates always together; none where all are one cluster."""
    number = min(FOLDS, len(np.unique(clusters)))
    if number < 2:
        return []
    folds = GroupKFold(number, shuffle=True, random_state=0).split(validation, groups=clusters)
    return [(validation[fitted], validation[predicted]) for fitted, predicted in folds]


def _aligned(frames: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The frames by id, rows and columns in the first one's order."""
    indexed = [frame.set_index("id") for frame in frames]
    first = indexed[0]
    for place, frame in enumerate(indexed[1:], start=2):
        for kind, ours, theirs in (("images", first.index, frame.index), ("categories", first.columns, frame.columns)):
            if len(ours) != len(theirs) or set(ours) != set(theirs):
                raise ValueError(
                    f"The models of an ensemble must tell of the same {kind}; of the first one's {len(ours)} and "
                    f"number {place}'s {len(theirs)}, {len(set(ours) ^ set(theirs))} are not in both."
                )
    return [frame.loc[first.index, first.columns] for frame in indexed]


def _best(scored: Sequence[tuple[float, str, pd.DataFrame]]) -> list[tuple[float, str, pd.DataFrame]]:
    return [scored[place] for place in rank([score for score, *_ in scored])]


def _accuracy(frame: pd.DataFrame, truth: pd.Series) -> float:
    """Top-1 accuracy on the images of ``truth`` (categories by id)."""
    said = frame.set_index("id").idxmax(axis=1).reindex(truth.index)
    return float((said == truth.astype("str")).mean())


def _loaded(frame: Loadable) -> pd.DataFrame:
    return frame() if callable(frame) else frame
