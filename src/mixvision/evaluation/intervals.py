"""How far an accuracy measured on few images can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from mixvision.evaluation.comparisons import (
    Tested,
    Typical,
    common_seeds,
    compare,
    measured_models,
    shared_covariances,
)
from mixvision.evaluation.metrics import performance
from mixvision.progress import progress
from mixvision.vocabulary import DOMAINS

LEVEL = 0.95
TWO_SIDED = 2  # bounds of an interval, of which both have to hold
DRAWS_AT_ONCE = 100  # few enough for the memory and for a bar that moves


def performance_intervals(
    joined: pd.DataFrame,
    trials: pd.DataFrame,
    generator: np.random.Generator,
    by: str = "ratio",
    snapshot: str = "best_validation",
    draws: int = 2000,
) -> pd.DataFrame:
    """Compute the interval of the test performance of every value of a setting.

    With one seed it is the bootstrap interval over test images (:func:`performance_interval`). With several it covers
    the seeds, too: a score interval (Wilson, 1927) whose number of images is the effective one and whose quantile is
    Student's; the variance over seeds is shrunk towards that of the other values, as in `evaluation.comparisons`.

    Args:
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns.
        trials: one row per trial with ``trial``, the column ``by`` and, where there are several of a value, ``seed``.
        generator: source of the resampling.
        by: the setting.
        snapshot: which snapshot to use.
        draws: number of resampled test sets.

    Returns:
        One row per value of ``by``: ``performance_top1_low``, ``performance_top1_high`` and the same for top-3, the
        bounds of the central 95% (fractions, NaN without images of both domains).

    Raises:
        ValueError: a trial lacks the prediction of an image that another trial with the same setting predicts.
    """
    tested = joined[(joined["snapshot"] == snapshot) & (joined["split"] == "test")]
    tested = tested.merge(trials[["trial", by]], on="trial")
    tops = ("top1", "top3")
    rows: dict[Any, dict[str, tuple[float, float]]] = {}
    repeated: dict[str, dict[Any, Tested]] = {top: {} for top in tops}
    settings = tested.groupby(by)
    for value, group in progress(settings, "computing intervals", len(settings), unit="setting", delay=1):
        rows[value] = {}
        for top in tops:
            measured = measured_models(group, trials, by, top) if group["trial"].nunique() > 1 else {}
            if "performance" in measured:
                repeated[top][value] = measured["performance"]
            else:
                rows[value][top] = performance_interval(group, generator, top, draws)
    for top, measured in repeated.items():
        for value, interval in zip(measured, intervals_over_seeds(list(measured.values())), strict=True):
            rows[value][top] = interval
    columns = [by, *(f"performance_{top}_{end}" for top in tops for end in ("low", "high"))]
    return pd.DataFrame([(value, *row["top1"], *row["top3"]) for value, row in rows.items()], columns=columns)


def intervals_over_seeds(settings: Sequence[Tested]) -> list[tuple[float, float]]:
    """The 95% interval of each setting's mean over seeds; see :func:`performance_intervals`.

    Args:
        settings: one measure of one setting each, of two seeds or more.
    """
    scales = np.array([tested.scales[0] for tested in settings])
    observed = np.array([tested.values.var(ddof=1) for tested in settings])
    freedom = np.array([len(tested.values) - 1 for tested in settings])
    known = scales > 0
    typical = Typical.of(observed[known], scales[known], freedom[known])
    found = []
    for tested, scale, measured, free in zip(settings, scales, observed, freedom, strict=True):
        seeds, mean = len(tested.values), tested.values.mean()
        of_seed = typical.shrink(measured, scale, free)
        variance = max(shared_covariances(tested.influences)[0, 0], 0) + of_seed / seeds
        degrees = (free + typical.prior) * (variance * seeds / of_seed) ** 2 if of_seed > 0 else np.inf
        images = mean * (1 - mean) / variance if variance > 0 and 0 < mean < 1 else tested.influences.shape[2]
        quantile = student.ppf((1 + LEVEL) / 2, degrees)
        low, high = wilson_interval(np.array([mean]), np.array([images]), quantile)
        found.append((float(low[0]), float(high[0])))
    return found


def performance_interval(
    group: pd.DataFrame, generator: np.random.Generator, top: str = "top1", draws: int = 2000
) -> tuple[float, float]:
    """Compute the percentile bootstrap interval (Efron, 1979) of the mean performance of the trials in ``group``.

    Each draw resamples the images of each domain, the same ones for all trials. Near-duplicates are not independent
    evidence, nor are images of one group, so whole components of them are drawn. Without any this is the ordinary
    bootstrap over images.

    Args:
        group: joined predictions of one split and one snapshot, of one or more trials.
        generator: source of the resampling.
        top: ``"top1"`` or ``"top3"``.
        draws: number of resampled test sets.

    Returns:
        Lower and upper bound of the central 95% (fractions), NaN if a domain has no image.

    Raises:
        ValueError: a trial lacks the prediction of an image that another trial predicts.
    """
    accuracies = [resampled_accuracies(group[group["domain"] == domain], generator, draws, top) for domain in DOMAINS]
    performances = performance(*accuracies).mean(axis=1)
    low, high = np.quantile(performances, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def behind_best(
    joined: pd.DataFrame,
    trials: pd.DataFrame,
    best: int,
    generator: np.random.Generator,
    by: str = "ratio",
    draws: int = 2000,
) -> pd.DataFrame:
    """How far each value of a setting is behind the best one, both on the same test images.

    With one seed both are resampled together (a bootstrap). With several the difference is taken seed by seed, and its
    interval covers the seeds; see `evaluation.comparisons`.

    Args:
        joined, trials, generator, by, draws: as for :func:`performance_intervals`; trials have a ``seed``, too.
        best: the value that was chosen on validation images.

    Returns:
        One row per value of ``by``: ``behind_low`` and ``behind_high``, the bounds of the central 95% of the best one's
        performance minus the value's, at the snapshot best_validation. 0 or less: it cannot be told to be worse.
    """
    tested = joined[(joined["snapshot"] == "best_validation") & (joined["split"] == "test")]
    known = trials[trials["trial"].isin(tested["trial"])]
    if len(common_seeds(known, by)) > 1:
        compared = compare(measured_models(tested, known, by)["performance"])
        row, margins = compared.models.index(best), compared.margins(TWO_SIDED)
        behind, margin = compared.differences[row], margins[row]
        return pd.DataFrame({by: compared.models, "behind_low": behind - margin, "behind_high": behind + margin})
    drawn = resampled_settings(tested, known, [by], generator, draws)["performance"]
    drawn.columns = drawn.columns.get_level_values(by)
    return distances_to_best(drawn, best, by)


def distances_to_best(drawn: pd.DataFrame, best: Any, by: str) -> pd.DataFrame:
    """Bounds of how far each column is behind the best one, draw by draw.

    Args:
        drawn: a measure on resampled test images, one row per draw and one column per model, or setting.
        best: the column that was chosen on validation images.
        by: what the columns are called.

    Returns:
        One row per column: its name in ``by``, ``behind_low`` and ``behind_high``, see :func:`behind_best`.
    """
    behind = drawn.rsub(drawn[best], axis=0)
    ends = {"behind_low": (1 - LEVEL) / 2, "behind_high": (1 + LEVEL) / 2}
    return pd.DataFrame({name: behind.quantile(end) for name, end in ends.items()}).rename_axis(by).reset_index()


def wilson_interval(
    accuracy: np.ndarray, images: np.ndarray, quantile: float | None = None
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


def resampled_accuracies(
    images: pd.DataFrame, generator: np.random.Generator, draws: int, top: str = "top1"
) -> pd.DataFrame:
    """Resample components of these images with replacement and compute each trial's accuracy: (draws, trials).

    Every draw is the same set of images for all trials, so their accuracies can be compared draw by draw.

    Args:
        images: joined predictions of one split and one snapshot.
        generator: source of the resampling.
        draws: number of resampled sets of images.
        top: ``"top1"`` or ``"top3"``.

    Raises:
        ValueError: a trial lacks the prediction of an image that another trial predicts.
    """
    if images.empty:
        return pd.DataFrame(index=range(draws))
    hits = images.pivot(index=["component", "id"], columns="trial", values=top)
    if hits.isna().any(axis=None):
        trial = hits.columns[hits.isna().any()][0]
        image = hits.index[hits[trial].isna()][0][1]
        raise ValueError(
            f"trials must predict the same images to be compared, but {trial!r} lacks the prediction of {image!r}."
        )
    components = hits.astype("int64").assign(images=1).groupby("component").sum()
    # Components with equal hits and size are interchangeable: draw how often each kind occurs, not each component.
    kinds, counts = np.unique(components.to_numpy(), axis=0, return_counts=True)
    measured = np.empty((draws, len(hits.columns)))
    with progress(desc="resampling test images", total=draws, unit="draw", delay=1, leave=False) as bar:
        for start in range(0, draws, DRAWS_AT_ONCE):
            block = slice(start, min(start + DRAWS_AT_ONCE, draws))
            drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=block.stop - block.start)
            right = drawn.astype("float64") @ kinds.astype("float64")  # exact, and faster than with whole numbers
            measured[block] = right[:, :-1] / right[:, -1:]
            bar.update(block.stop - block.start)
    return pd.DataFrame(measured, columns=hits.columns)


def resampled_settings(
    images: pd.DataFrame, trials: pd.DataFrame, by: list[str], generator: np.random.Generator, draws: int
) -> dict[str, pd.DataFrame]:
    """Bootstrap every setting over test images and seeds together, paired across the settings.

    Each draw resamples the images of each domain as in :func:`performance_interval`, and the seeds of each setting;
    settings with the same seeds share the drawn ones. With one seed per setting only the images vary.

    Args:
        images: joined predictions of one split and one snapshot.
        trials: one row per trial with ``trial``, ``seed`` and the columns ``by``.
        by: the columns that define a setting.
        generator: source of the resampling.
        draws: number of resampled test sets.

    Returns:
        Top-1 ``"nice"``, ``"real"`` and ``"performance"`` (fractions), each a frame (draws, settings) of means over the
        drawn seeds.

    Raises:
        ValueError: a trial lacks the prediction of an image that another trial predicts.
    """
    measures = {
        domain: resampled_accuracies(images[images["domain"] == domain], generator, draws) for domain in DOMAINS
    }
    measures["performance"] = performance(measures["nice"], measures["real"])
    means: dict[str, dict] = {measure: {} for measure in measures}
    picks: dict[tuple, np.ndarray] = {}
    for setting, group in trials.sort_values("seed").groupby(by):
        seeds = tuple(group["seed"])
        if seeds not in picks:
            picks[seeds] = generator.integers(len(seeds), size=(draws, len(seeds)))
        for measure, values in measures.items():
            drawn = np.take_along_axis(values[group["trial"]].to_numpy(), picks[seeds], axis=1)
            means[measure][setting] = drawn.mean(axis=1)
    return {measure: pd.DataFrame(columns).rename_axis(columns=by) for measure, columns in means.items()}
