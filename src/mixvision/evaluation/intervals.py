"""How far an accuracy measured on few images, with few seeds, can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from mixvision.evaluation.comparisons import Comparisons, Typical, compare, not_told_from_best
from mixvision.evaluation.image_variances import LEVEL, satterthwaite, variances_of_means
from mixvision.evaluation.tested import Tested, measured_models
from mixvision.vocabulary import BEST_VALIDATION, TEST

TWO_SIDED = 2  # bounds of an interval, of which both have to hold
_TOPS = ("top1", "top3")


def performance_intervals(
    joined: pd.DataFrame, trials: pd.DataFrame, by: str = "ratio", snapshot: str = BEST_VALIDATION
) -> pd.DataFrame:
    """Compute the interval of the test performance of every value of a setting; see :func:`score_intervals`.

    Args:
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns.
        trials: one row per trial with ``trial``, ``seed`` and the column ``by``.
        by: the setting.
        snapshot: which snapshot to use.

    Returns:
        One row per value of ``by``: ``performance_top1_low``, ``performance_top1_high`` and the same for top-3, the
        bounds of the central 95% (fractions, NaN without images of both domains).

    Raises:
        ValueError: a trial lacks the prediction of an image that another trial with the same setting predicts.
    """
    tested = joined[(joined["snapshot"] == snapshot) & (joined["split"] == TEST)]
    groups = dict(list(tested.merge(trials[["trial", by]], on="trial").groupby(by)))
    table = pd.DataFrame({by: pd.Series(list(groups), dtype=None if groups else trials[by].dtype)})
    for top in _TOPS:
        measured = [measured_models(group, trials, by, top).get("performance") for group in groups.values()]
        bounds = np.full((len(groups), 2), np.nan)
        known = [one is not None for one in measured]
        bounds[known] = score_intervals([one for one in measured if one is not None])
        table[[f"performance_{top}_low", f"performance_{top}_high"]] = bounds
    return table


def score_intervals(settings: Sequence[Tested]) -> np.ndarray:
    """The 95% intervals of the settings' means over seeds, which cover the test images and, with several, the seeds.

    They are score intervals (Wilson, 1927): the number of images is the one that would give the same variance if all
    were independent (Korn and Graubard, Survey Methodology 24, 1998, 193), the quantile is Student's. A setting's
    variance between seeds is shrunk towards that of the others, as in `evaluation.comparisons`.

    Args:
        settings: one measure of each.

    Returns:
        Lower and upper bounds (n, 2), fractions, of all models of the first setting, of the second and so on.
    """
    if not settings:
        return np.empty((0, 2))
    counts = [len(tested.models) for tested in settings]
    seeds = np.repeat([len(tested.values) for tested in settings], counts)
    means = np.concatenate([tested.values.mean(axis=0) for tested in settings])
    smoothed = np.concatenate([tested.smoothed for tested in settings])
    by_images = [variances_of_means(tested.influences, tested.parts) for tested in settings]
    images, known = (np.concatenate([getattr(one, name) for one in by_images]) for name in ("variances", "freedom"))
    of_seeds, freedom = _seed_variances(settings, seeds)
    assumed = np.where((means > 0) & (means < 1), means, smoothed)
    effective = assumed * (1 - assumed) / (images + of_seeds)
    quantile = student.ppf((1 + LEVEL) / 2, satterthwaite((images, known), (of_seeds, freedom)))
    return np.stack(wilson_interval(means, effective, quantile), axis=1)


def behind_best(joined: pd.DataFrame, trials: pd.DataFrame, best: Any, by: str = "ratio") -> pd.DataFrame:
    """How far each value of a setting is behind the best one, on the same test images and, with several, seed by seed.

    Args:
        joined, trials, by: as for :func:`performance_intervals`.
        best: the value that was chosen on validation images.

    Returns:
        What :func:`distances_to_best` does, of the performance at the snapshot best_validation.
    """
    tested = joined[(joined["snapshot"] == BEST_VALIDATION) & (joined["split"] == TEST)]
    return distances_to_best(compare(measured_models(tested, trials, by)["performance"]), best, by)


def distances_to_best(compared: Comparisons, best: Any, by: str) -> pd.DataFrame:
    """How far each model, or setting, is behind the best one, and whether it may be the best itself.

    Args:
        compared: what :func:`mixvision.evaluation.comparisons.compare` returns.
        best: the one that was chosen on validation images.
        by: what the models are called.

    Returns:
        One row per model: its name in ``by``, ``behind_low`` and ``behind_high``, the bounds of the central 95% of the
        best one's measure minus its own, of this pair alone; and ``is_beaten``, whether any other one is certainly
        better (:func:`mixvision.evaluation.comparisons.not_told_from_best`, which looks at all pairs at once).
    """
    place = compared.models.index(best)
    behind, margins = compared.differences[place], compared.margins(TWO_SIDED)[place]
    held = not_told_from_best(compared)
    return pd.DataFrame(
        {
            by: compared.models,
            "behind_low": behind - margins,
            "behind_high": behind + margins,
            "is_beaten": [model not in held for model in compared.models],
        }
    )


def difference_of_independent(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95% intervals of differences of accuracies on independent images (Newcombe, Stat. in Medicine 17, 1998, 873).

    Args:
        one, other: accuracies with the lower and upper bounds of their intervals, (n, 3) each.

    Returns:
        Lower and upper bounds of the first minus the second, (n,) each.
    """
    difference = one[:, 0] - other[:, 0]
    down, up = np.abs(one[:, 1:] - one[:, :1]).T
    other_down, other_up = np.abs(other[:, 1:] - other[:, :1]).T
    return difference - np.hypot(down, other_up), difference + np.hypot(up, other_down)


def wilson_interval(
    accuracy: np.ndarray, images: np.ndarray, quantile: float | np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Compute 95% score intervals (Wilson, 1927) of accuracies.

    Args:
        accuracy: fractions ``(n,)``.
        images: number of images that each was measured on ``(n,)``, at least 1; or an effective number.
        quantile: how many standard errors wide on each side; None: that of the normal distribution.

    Returns:
        Lower and upper bounds, fractions ``(n,)`` each.
    """
    z = norm.ppf((1 + LEVEL) / 2) if quantile is None else quantile
    centre = (accuracy + z**2 / (2 * images)) / (1 + z**2 / images)
    half = z / (1 + z**2 / images) * np.sqrt(accuracy * (1 - accuracy) / images + (z / (2 * images)) ** 2)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def _seed_variances(settings: Sequence[Tested], seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the means over so many seeds (n,): variances by the seeds, 0 with one, and their degrees of freedom."""
    scales = np.concatenate([tested.scales for tested in settings])
    means = [tested.values - tested.values.mean(axis=0) for tested in settings]
    freedom = np.maximum(seeds - 1, 1)
    observed = np.concatenate([np.square(residuals).sum(axis=0) for residuals in means]) / freedom
    known = (seeds > 1) & (scales > 0)
    typical = Typical.of(observed[known], scales[known], freedom[known])
    shrunk = typical.shrink(observed, scales, freedom)
    return np.where(seeds > 1, shrunk, 0) / seeds, freedom + typical.prior
