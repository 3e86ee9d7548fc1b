"""Models derived from saved probabilities alone: means over views of an image, and ensembles of the best models."""

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
METHODS = ("head", "fine-tuned")  # models of these methods may join an ensemble


_LEAST_PROBABILITY = 1e-6  # smaller ones are raised to this before the logarithm is taken

Loadable: TypeAlias = pd.DataFrame | Callable[[], pd.DataFrame]


def combine(
    probabilities: Mapping[str, Loadable], manifest: pd.DataFrame, trials: pd.DataFrame, count: int = 3
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict with all derived models: the mean over views of every trial with several views, and two ensembles.

    The ensembles consist of the best trained trials by top-1 accuracy on validation images at the snapshot
    best_validation. A trial with several views joins with their mean only if that is more accurate on these images than
    the whole image alone. Without two trained trials, or without validation images, there is no ensemble. Every frame
    is loaded once; only those of the best trials so far are kept in memory.

    Args:
        probabilities: by "trial/snapshot" a frame, or a function that loads one: ``view``, ``id`` and one column per
            category.
        manifest: one row per image.
        trials: one row per trial: ``trial`` and ``method``. Probabilities of other trials are ignored.
        count: maximum number of members of an ensemble.

    Returns:
        The predictions (see :func:`top_predictions`) of "<trial>+views" at both snapshots, and of "mean-of-<n>" and
        "stacked-<n>" at best_validation; and a table with one row per derived model: ``trial`` (its name), ``method``
        ("views", "ensemble, mean" or "ensemble, stacked"), ``members`` (their names joined by " + ") and ``views`` (how
        many are averaged, 1 for an ensemble).

    Raises:
        ValueError: an image lacks a view, or the members predict different images or categories.
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
                best.append(_best(ranked)[0])  # the whole image if both are equally good
                best = _best(best)[:count]  # the earlier one of two equal ones stays
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
    """Find the most probable categories of every image.

    Args:
        frame: ``id`` and the probability of each category in a column of its name.
        trial, snapshot: the model that predicted them.
        count: number of categories to keep, or all if there are fewer.

    Returns:
        One row per image: ``trial``, ``snapshot``, ``id``, ``prediction_1``... and ``probability_1``..., most probable
        first; equally probable ones are in the order of the columns.
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
    """Average probabilities over all views.

    Args:
        frame: ``view``, ``id`` and the probability of each category, one row per view and image.

    Returns:
        ``id`` and the mean probability of each category, one row per image in the order of first occurrence.

    Raises:
        ValueError: an image lacks a view, or has one twice.
    """
    views = frame.groupby("id", sort=False)["view"].agg(["size", "nunique"])
    uneven = views[(views["size"] != frame["view"].nunique()) | (views["nunique"] != views["size"])]
    if len(uneven):
        expected = ", ".join(frame["view"].unique())
        raise ValueError(
            f"Every image needs each of the views {expected} exactly once; {uneven.index[0]!r} is one of "
            f"{len(uneven)} images that lack a view or have one twice."
        )
    return frame.drop(columns="view").groupby("id", sort=False).mean().reset_index()


def mean_of_models(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Average the probabilities of several models for the same images.

    Args:
        frames: one per model: ``id`` and the probability of each category.

    Returns:
        ``id`` and the mean probability of each category (float32), in the first frame's order.

    Raises:
        ValueError: the models predict different images or categories.
    """
    aligned = _aligned(frames)
    mean = np.mean([frame.to_numpy("float64") for frame in aligned], axis=0)
    return pd.DataFrame(mean, aligned[0].index, aligned[0].columns, "float32").reset_index()


def stacked(frames: Sequence[pd.DataFrame], manifest: pd.DataFrame) -> pd.DataFrame:
    """Combine several models by stacking, with weights fitted on validation images alone.

    There is one weight per model: a category's probability is proportional to the product of the models' probabilities,
    each raised to the power of its weight. The weights are those of a logistic regression (scikit-learn's, with its
    default L2 penalty of one half) on the models' log-probabilities of the true category minus those of each other
    category, so two hundred categories need no more images than two. The price: it cannot learn that a model is weak
    on one category only.

    A validation image is predicted with weights fitted without that image and its component, in :data:`FOLDS` folds, or
    fewer if there are fewer components. If no image is left to fit on, the mean of the models is used.

    Args:
        frames: one per model: ``id`` and the probability of each category.
        manifest: one row per image: ``id``, ``category``, ``split`` and ``component``.

    Returns:
        ``id`` and the probability of each category (float32), in the first frame's order.

    Raises:
        ValueError: the models predict different images or categories, or an image missing from the manifest.
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
    folds = [(validation, others), *_folds(validation, images["component"].to_numpy()[validation])]
    for fitted, predicted in folds:
        weights = _weights(logarithms[fitted], truth[fitted])
        if weights is not None:
            result.iloc[predicted] = softmax(logarithms[predicted] @ weights, axis=1).astype("float32")
    return result.reset_index()


def _weights(logarithms: np.ndarray, truth: np.ndarray) -> np.ndarray | None:
    """Fit one weight per model to log-probabilities (images, categories, models); None if there is nothing to fit."""
    true = np.arange(logarithms.shape[1]) == truth[:, None]
    known = true.any(axis=1)  # leaves out images of categories that the models do not know
    margins = (np.where(true[..., None], logarithms, 0).sum(axis=1, keepdims=True) - logarithms)[known][~true[known]]
    if not len(margins):
        return None
    # Each comparison and its mirror image, so that the order of the two categories makes no difference.
    both, outcomes = np.concatenate([margins, -margins]), np.repeat([1, 0], len(margins))
    return LogisticRegression(fit_intercept=False).fit(both, outcomes).coef_[0]


def _folds(validation: np.ndarray, components: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions to fit on and to predict, components always whole; no folds if there is only one."""
    number = min(FOLDS, len(np.unique(components)))
    if number < 2:
        return []
    folds = GroupKFold(number, shuffle=True, random_state=0).split(validation, groups=components)
    return [(validation[fitted], validation[predicted]) for fitted, predicted in folds]


def _aligned(frames: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The frames indexed by id, with rows and columns in the first frame's order."""
    indexed = [frame.set_index("id") for frame in frames]
    first = indexed[0]
    for place, frame in enumerate(indexed[1:], start=2):
        for kind, ours, theirs in (("images", first.index, frame.index), ("categories", first.columns, frame.columns)):
            if len(ours) != len(theirs) or set(ours) != set(theirs):
                raise ValueError(
                    f"The models of an ensemble must predict the same {kind}; model 1 has {len(ours)}, model {place} "
                    f"has {len(theirs)}, and {len(set(ours) ^ set(theirs))} are not in both."
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
