"""Comparisons of models that were trained with several seeds and tested on the same images, and verdicts on claims.

A difference between two models varies with the test images and with the training seeds. The image part is what the
seeds have in common, so that it is not counted twice; the seed part is the spread of the paired differences, shrunk
towards what is typical of the study, because three or five seeds measure a variance poorly (after Smyth, Statistical
Applications in Genetics and Molecular Biology 3, 2004, article 3). Quantiles are Student's, with Satterthwaite's
degrees of freedom (Biometrics Bulletin 2, 1946, 110). ``benchmarks/verdicts.py`` measures the error rates.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from mixvision.evaluation.image_variances import (
    LEVEL,
    ImageVariance,
    of_pairs,
    satterthwaite,
    variances_of_differences,
)
from mixvision.evaluation.tested import Tested
from mixvision.parameter_types import require_types

FEWEST_SEEDS = 3
NOT_ENOUGH = "not enough seeds"
MOST_SEEDS = 100  # that are worth naming
PRIOR = 4  # degrees of freedom that the typical seed variance counts as


@dataclass(frozen=True)
class Claims:
    """How claims about the best models are judged.

    Args:
        seeds: each model is trained once for each; with fewer than three nothing is judged.
        margin: models that are certainly less apart than this are tied (a fraction of 1).
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    margin: float = 0.02

    def __post_init__(self) -> None:
        require_types(self)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds is {list(self.seeds)}; give a list of different whole numbers of 0 or more.")
        if not 0 <= self.margin < 1:
            raise ValueError(f"margin is {self.margin}; give a fraction of 0 or more and below 1, such as 0.02.")
        object.__setattr__(self, "seeds", tuple(self.seeds))


@dataclass(frozen=True)
class Comparisons:
    """All pairs of models: row minus column, (M, M) each.

    Attributes:
        models: their labels.
        seeds: S.
        differences: means over the seeds.
        images: variances of a difference by the test images.
        seed_variances: of a difference, by a single seed; 0 if there is only one, whose luck cannot be told.
        prior: degrees of freedom that they have from other pairs, besides S - 1 of their own.
    """

    models: tuple[Hashable, ...]
    seeds: int
    differences: np.ndarray
    images: ImageVariance
    seed_variances: np.ndarray
    prior: int = PRIOR

    def margins(self, comparisons: int, seeds: int | None = None) -> np.ndarray:
        """How far each difference may be from the truth, one-sided, in ``comparisons`` at once (Sidak): (M, M).

        Args:
            comparisons: number of differences of which each has to hold.
            seeds: as if so many had been trained; None: those that were.
        """
        seeds = seeds or self.seeds
        by_seeds = self.seed_variances / seeds
        freedom = satterthwaite((self.images.variances, self.images.freedom), (by_seeds, float(seeds - 1 + self.prior)))
        return student.ppf(LEVEL ** (1 / comparisons), freedom) * np.sqrt(self.images.variances + by_seeds)


@dataclass(frozen=True)
class Verdict:
    """What a study says to the claim that the best model is one of some.

    Attributes:
        verdict: "supported", "refuted", "tied", "undecided" or "not enough seeds".
        low, high: bounds of the best of these models minus the best of all others; each is wrong in 5% at most.
        seeds_needed: how many would settle an undecided claim if all differences stay as they are; None: over 100.
    """

    verdict: str
    low: float
    high: float
    seeds_needed: int | None = None


def compare(tested: Tested) -> Comparisons:
    """Compare all models with each other, seed by seed."""
    seeds, models = tested.values.shape
    means = tested.values.mean(axis=0)
    differences = means[:, None] - means
    images = variances_of_differences(tested.influences, tested.parts)
    if seeds == 1:
        return Comparisons(tested.models, 1, differences, images, np.zeros((models, models)))
    observed = of_pairs(np.atleast_2d(np.cov(tested.values, rowvar=False)))
    scales = tested.scales[:, None] + tested.scales
    np.fill_diagonal(scales, 0)
    known = np.triu(scales > 0, 1)
    typical = Typical.of(observed[known], scales[known], np.full(known.sum(), seeds - 1))
    shrunk = np.maximum(typical.shrink(observed, scales, seeds - 1), 0)
    return Comparisons(tested.models, seeds, differences, images, shrunk, typical.prior)


@dataclass(frozen=True)
class Typical:
    """The variance between seeds that is typical of a study, in units of the scales; measured ones are shrunk to it.

    Attributes:
        ratio: of variance to scale.
        prior: degrees of freedom that it counts as; 0 where there is nothing to borrow from.
    """

    ratio: float
    prior: int

    @classmethod
    def of(cls, variances: np.ndarray, scales: np.ndarray, freedom: np.ndarray) -> Typical:
        """From variances with so many degrees of freedom, all (n,); the median of a chi-square is below its mean."""
        if len(variances) < 2:
            return cls(0.0, 0)
        medians = (1 - 2 / (9 * freedom)) ** 3  # Wilson and Hilferty, 1931
        return cls(float(np.median(variances / scales / medians)), PRIOR)

    def shrink(self, variances: np.ndarray, scales: np.ndarray, freedom: int) -> np.ndarray:
        return (self.prior * self.ratio * scales + freedom * variances) / (self.prior + freedom)


def judge(compared: Comparisons, claimed: Sequence[Hashable], margin: float = 0.02) -> Verdict:
    """Judge the claim that the best model is a claimed one, whatever the others are (intersection-union tests).

    "A claimed model beats all others" is wrong only if one beats the best of the others, so its level is shared by the
    claimed models and not by all pairs.

    Args:
        compared: what :func:`compare` returns.
        claimed: labels of one or more models, but not of all.
        margin: models that are certainly less apart than this are tied.

    Raises:
        ValueError: all models are claimed, or none.
    """
    inside = np.isin(np.arange(len(compared.models)), [compared.models.index(model) for model in claimed])
    if inside.all() or not inside.any():
        raise ValueError(f"The claim must be about some of the models {compared.models}, not all or none.")
    if compared.seeds < FEWEST_SEEDS:
        return Verdict(NOT_ENOUGH, np.nan, np.nan, FEWEST_SEEDS)
    low, high = _bounds(compared, inside, compared.seeds)
    verdict = _verdict(low, high, margin)
    needed = None
    if verdict == "undecided":
        more = range(compared.seeds + 1, MOST_SEEDS + 1)
        needed = next((seeds for seeds in more if _verdict(*_bounds(compared, inside, seeds), margin) != verdict), None)
    return Verdict(verdict, low, high, needed)


def not_told_from_best(compared: Comparisons) -> list[Hashable]:
    """The models that no other one certainly beats: with 95% probability the best one is among them."""
    models = len(compared.models)
    if models == 1:
        return list(compared.models)
    beaten = np.any(compared.differences > compared.margins(models - 1), axis=0).tolist()
    return [model for model, is_beaten in zip(compared.models, beaten, strict=True) if not is_beaten]


def _bounds(compared: Comparisons, inside: np.ndarray, seeds: int) -> tuple[float, float]:
    differences = compared.differences[np.ix_(inside, ~inside)]
    beaten, beating = (
        compared.margins(int(number), seeds)[np.ix_(inside, ~inside)] for number in (inside.sum(), (~inside).sum())
    )
    return float((differences - beaten).min(axis=1).max()), float((differences + beating).max(axis=0).min())


def _verdict(low: float, high: float, margin: float) -> str:
    if low > 0:
        return "supported"
    if high < 0:
        return "refuted"
    return "tied" if -margin < low and high < margin else "undecided"
