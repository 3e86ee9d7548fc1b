"""What models that were tested on the same images achieve, seed by seed, and how much that depends on the images."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mixvision.evaluation.image_variances import Images, Part
from mixvision.evaluation.metrics import performance
from mixvision.vocabulary import DOMAINS


@dataclass(frozen=True)
class Tested:
    """One measure of several models (settings, or procedures) on the same test images.

    Attributes:
        models: their labels, (M,).
        values: the measure by seed and model, fractions (S, M).
        influences: how much each component of test images moved it, (S, M, K).
        scales: the variance that a single image drawn at random would have, (M,): p (1 - p) of an accuracy p.
        smoothed: the means over the seeds, moved a little away from 0 and 1, (M,).
        parts: the domains, and what the models achieve there.
    """

    models: tuple[Hashable, ...]
    values: np.ndarray
    influences: np.ndarray
    scales: np.ndarray
    smoothed: np.ndarray
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        seeds, models = self.values.shape
        fits = self.influences.shape[:2] == (seeds, models) and self.scales.shape == (models,) == (len(self.models),)
        if not fits:
            raise ValueError(
                f"{len(self.models)} models have values {self.values.shape}, influences {self.influences.shape} and "
                f"scales {self.scales.shape}; give (S, M), (S, M, K) and (M,)."
            )


def measured_models(images: pd.DataFrame, trials: pd.DataFrame, by: str, top: str = "top1") -> dict[str, Tested]:
    """Measure every model on the test images: "nice", "real" and, where there are both, "performance".

    Only seeds that all models have count: each difference is one within a seed.

    Args:
        images: joined predictions of one split and one snapshot: trial, domain, id, component and ``top``.
        trials: one row per trial: ``trial``, ``seed`` and the column ``by``, whose values are the models' labels.
        by: as above.
        top: "top1" or "top3".

    Raises:
        ValueError: a trial lacks the prediction of an image, or no seed is common to all models.
    """
    table = common_seeds(trials[trials["trial"].isin(images["trial"])], by)
    if table.empty:
        raise ValueError("No seed was trained in every model, so that models cannot be compared seed by seed.")
    order = [trial for row in table.to_numpy() for trial in row]
    measured = {}
    for domain in DOMAINS:
        rows = images[images["domain"] == domain]
        if len(rows):
            hits, components = hits_of(rows, order, top)
            measured[domain] = (hits.reshape(*table.shape, -1), components)
    return measures_of(tuple(table.columns), measured)


def measured_trials(images: pd.DataFrame, trials: Sequence[str], top: str = "top1") -> Tested:
    """The accuracy of every trial as a model of its own, with one seed; over all images, whatever their domain."""
    hits, components = hits_of(images, trials, top)
    return accuracy_of(tuple(trials), hits[None], components)


def in_one_setting(images: pd.DataFrame, trials: Sequence[str], top: str = "top1") -> Tested:
    """The accuracy of trials that are the seeds of one model; over all images, whatever their domain."""
    hits, components = hits_of(images, trials, top)
    return accuracy_of(("",), hits[:, None], components)


def hits_of(images: pd.DataFrame, trials: Sequence[str], top: str = "top1") -> tuple[np.ndarray, pd.Index]:
    """Which trial was right where: 1 or 0, (trials, images), and the images' components.

    Raises:
        ValueError: a trial lacks the prediction of an image that another trial predicts.
    """
    hits = images.pivot(index=["component", "id"], columns="trial", values=top).reindex(columns=list(trials))
    if hits.isna().any(axis=None):
        trial = hits.columns[hits.isna().any()][0]
        image = hits.index[hits[trial].isna()][0][1]
        raise ValueError(
            f"trials must predict the same images to be compared, but {trial!r} lacks the prediction of {image!r}."
        )
    return hits.to_numpy("float64").T, hits.index.get_level_values("component")


def common_seeds(trials: pd.DataFrame, by: str) -> pd.DataFrame:
    """The trials of the seeds that all models have: a row per seed, a column per value of ``by``."""
    return trials.pivot(index="seed", columns=by, values="trial").dropna()


def measures_of(
    models: tuple[Hashable, ...], hits: dict[str, tuple[np.ndarray, Sequence[Hashable]]]
) -> dict[str, Tested]:
    """Accuracies and performance from which model was right where.

    Args:
        models: labels.
        hits: by domain, 1 where a model was right and 0 elsewhere, (S, M, images), and the images' components.
    """
    tested = {domain: accuracy_of(models, *of_domain) for domain, of_domain in hits.items()}
    if len(tested) < 2:
        return tested
    names = [pd.Index(pd.unique(np.asarray(hits[domain][1]))) for domain in DOMAINS]
    return tested | {"performance": _performance_of([tested[domain] for domain in DOMAINS], names)}


def accuracy_of(models: tuple[Hashable, ...], hits: np.ndarray, components: Sequence[Hashable]) -> Tested:
    """The accuracies of models on images, whose influences are ordered as the components first occur.

    Args:
        models: labels.
        hits: 1 where a model was right and 0 elsewhere, (S, M, images).
        components: of the images.
    """
    places, names = pd.factorize(np.asarray(components))
    images, hits = Images(np.bincount(places, minlength=len(names))), hits[..., np.argsort(places, kind="stable")]
    part = Part(images, hits, images.influences(hits), np.ones(len(models)))
    values = hits.mean(axis=2)
    means = values.mean(axis=0)
    return Tested(models, values, part.influences, means * (1 - means), part.smoothed, (part,))


def _performance_of(accuracies: Sequence[Tested], names: Sequence[pd.Index]) -> Tested:
    """The performance from the accuracies of nice and real images, and the names of their components."""
    nice, real = accuracies
    values, smoothed = performance(nice.values, real.values), performance(nice.smoothed, real.smoothed)
    components = names[0].union(names[1], sort=False)
    influences = np.zeros((*values.shape, len(components)))
    for one, own in zip(accuracies, names, strict=True):
        weights = np.divide(values, 2 * one.values, out=np.zeros_like(values), where=one.values > 0)
        influences[..., components.get_indexer(own)] += weights[..., None] * one.influences
    means = nice.values.mean(axis=0), real.values.mean(axis=0)
    scales = (means[0] + means[1] - 2 * means[0] * means[1]) / 4
    parts = tuple(replace(one.parts[0], weights=smoothed / (2 * one.smoothed)) for one in accuracies)
    return Tested(nice.models, values, influences, scales, smoothed, parts)
