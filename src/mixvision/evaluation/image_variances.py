"""How much accuracies, and differences of them, depend on which images are in the test set.

Near-duplicates and images of one group are not independent evidence, so images are counted by components of them.
`decisions/0009` has the coverage of the intervals that are made from these variances, as
``benchmarks/intervals.py`` measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

LEVEL = 0.95  # of all intervals and claims
UNKNOWN = 0.5  # components that the worst case counts as, beside those that tell something


@dataclass(frozen=True)
class ImageVariance:
    """Variances by the choice of test images, and how well they are known.

    Attributes:
        variances: of fractions, (M,) of the models' accuracies or (M, M) of their differences.
        freedom: degrees of freedom of each, the same shape; infinite where it is an upper bound.
    """

    variances: np.ndarray
    freedom: np.ndarray


@dataclass(frozen=True)
class Images:
    """The test images of one domain, ordered by component.

    Attributes:
        sizes: the numbers of images in the components, (K,).
    """

    sizes: np.ndarray

    @property
    def number(self) -> int:
        return int(self.sizes.sum())

    @property
    def shares(self) -> np.ndarray:
        return self.sizes / self.number

    @property
    def worst(self) -> float:
        """Variance of an accuracy p, in units of p (1 - p), if the images of a component are all right or all wrong."""
        return float(np.square(self.shares).sum())

    @property
    def freedom(self) -> float:
        """Degrees of freedom of a variance between components: how many there are, less 1, if all have one size.

        From the eigenvalues of the variance as a quadratic form, if components are all right or all wrong (Bell and
        McCaffrey, Survey Methodology 28, 2002, 169); 0 of a single component.
        """
        if len(self.sizes) == 1:
            return 0.0
        shares, worst = self.shares, self.worst
        weights = shares**2 / (1 - shares)
        sums = [float((weights * shares**power).sum()) for power in range(3)]
        own = (weights**2 * ((1 - 2 * shares + worst) ** 2 - (worst - 2 * shares) ** 2)).sum()
        pairs = (sums[0] * worst) ** 2 + 2 * sums[0] * sums[2] + 2 * sums[1] ** 2 - 4 * worst * sums[0] * sums[1]
        return float((weights * (1 - 2 * shares + worst)).sum() ** 2 / (own + pairs))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Sums over the images of each component, (..., images) to (..., K)."""
        return np.add.reduceat(values, np.cumsum(self.sizes) - self.sizes, axis=-1)

    def influences(self, hits: np.ndarray) -> np.ndarray:
        """How much each component moves the mean of the hits, (..., images) to (..., K).

        A component pulls the mean towards itself, by its share, so it is divided by sqrt(1 - share): the sum of the
        squares is then the variance of the mean, without bias if all components vary alike.
        """
        pulled = np.where(len(self.sizes) > 1, 1 - self.shares, 1)
        return self.sums(hits - hits.mean(axis=-1, keepdims=True)) / (self.number * np.sqrt(pulled))


@dataclass(frozen=True)
class Part:
    """What models achieve in one domain, as a part of a measure.

    Attributes:
        images: of the domain.
        hits: 1 where a model was right, in their order, (S, M, images).
        influences: of the components, (S, M, K).
        weights: how much the measure changes with each model's accuracy, (M,).
    """

    images: Images
    hits: np.ndarray
    influences: np.ndarray
    weights: np.ndarray

    @property
    def smoothed(self) -> np.ndarray:
        """The models' mean accuracies, moved a little away from 0 and 1, (M,)."""
        return _smoothed(self.hits.mean(axis=(0, 2)), self.images.worst)

    def of_means(self, seen: np.ndarray) -> ImageVariance:
        """The variances of the models' mean accuracies (M,), of which components show so much."""
        right, sizes = self.images.sums(self.hits.mean(axis=0)), self.images.sizes
        telling = np.minimum((right > 0).sum(axis=1), (right < sizes).sum(axis=1))
        single = self.smoothed * (1 - self.smoothed)
        least = single / self.images.number if len(self.hits) == 1 else 0.0
        return _bounded(self.images, np.maximum(seen, least), single, telling)

    def of_differences(self, seen: np.ndarray) -> ImageVariance:
        """The variances of the differences of two models (M, M), of which components show so much.

        With several seeds it is what they show: chance flips already show in the spread over seeds.
        """
        if len(self.hits) > 1:
            return ImageVariance(seen, np.full_like(seen, self.images.freedom))
        telling, disagreeing = np.zeros((2, *seen.shape))
        for place, own in enumerate(self.hits[0]):
            differ = self.images.sums(np.abs(self.hits[0] - own))
            telling[place], disagreeing[place] = (differ > 0).sum(axis=1), differ.sum(axis=1) / self.images.number
        single = np.where(disagreeing > 0, disagreeing, _smoothed(np.zeros(1), self.images.worst))
        found = _bounded(self.images, seen, single, telling)
        # One more image on either side (Bonett and Price, J. of Educational and Behavioral Statistics 37, 2012, 479).
        variances = found.variances + 2 / self.images.number**2
        return ImageVariance(variances * (1 - np.eye(len(seen))), found.freedom)  # a model is as good as itself


def variances_of_means(influences: np.ndarray, parts: Sequence[Part]) -> ImageVariance:
    """Of the models' means over the seeds, (M,).

    Args:
        influences: of components on the measure, (S, M, K).
        parts: of the measure; components may be in both domains.
    """
    seen = [_seen_of_means(part.influences) for part in parts]
    found = [part.of_means(of_part) for part, of_part in zip(parts, seen, strict=True)]
    return _sum(_seen_of_means(influences), found, seen, [part.weights**2 for part in parts])


def variances_of_differences(influences: np.ndarray, parts: Sequence[Part]) -> ImageVariance:
    """Of the differences of two models' means, (M, M); arguments as for :func:`variances_of_means`."""
    seen = [_seen_of_differences(part.influences) for part in parts]
    found = [part.of_differences(of_part) for part, of_part in zip(parts, seen, strict=True)]
    weights = [np.outer(part.weights, part.weights) for part in parts]
    return _sum(_seen_of_differences(influences), found, seen, weights)


def shared_covariances(influences: np.ndarray) -> np.ndarray:
    """The covariances of models (M, M) by the test images: what different seeds have in common, or one seed's own.

    Args:
        influences: (S, M, K), see :class:`mixvision.evaluation.tested.Tested`.
    """
    seeds = len(influences)
    own = np.einsum("sak,sbk->ab", influences, influences, optimize=True)
    if seeds == 1:
        return own
    total = influences.sum(axis=0)
    return (total @ total.T - own) / (seeds * (seeds - 1))


def of_pairs(covariances: np.ndarray) -> np.ndarray:
    """Variances of all differences, (M, M), from covariances (M, M)."""
    own = np.diag(covariances)
    return own[:, None] + own - covariances - covariances.T


def satterthwaite(*parts: tuple[np.ndarray, np.ndarray | float]) -> np.ndarray:
    """Degrees of freedom of a sum of variances (Biometrics Bulletin 2, 1946, 110); infinite if all are known or 0.

    Args:
        parts: variances and their degrees of freedom, of shapes that fit each other.
    """
    total = np.sum([variances for variances, _ in parts], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        unknown = np.sum([np.where(variances > 0, variances**2 / freedom, 0) for variances, freedom in parts], axis=0)
        return np.where(unknown > 0, total**2 / unknown, np.inf)


def _bounded(images: Images, seen: np.ndarray, single: np.ndarray, telling: np.ndarray) -> ImageVariance:
    """Variances that do not vanish where hardly any component tells how alike its images are.

    The worst case counts as half a component, beside those that hold a right and those that hold a wrong image,
    whichever are fewer (of a difference: beside those on which the models disagree). Where the worst case gives the
    narrower interval, it is taken alone, as it is an upper bound.

    Args:
        images: on which the models were tested.
        seen: the variances by components.
        single: the variances of a single image, as that of an accuracy p is p (1 - p).
        telling: the numbers of components that tell something.
    """
    worst = single * images.worst
    blended = (telling * seen + UNKNOWN * worst) / (telling + UNKNOWN)
    end, freedom = (1 + LEVEL) / 2, images.freedom
    quantile = student.ppf(end, freedom) if freedom > 0 else np.inf
    is_bound = norm.ppf(end) ** 2 * worst <= quantile**2 * blended
    return ImageVariance(np.where(is_bound, worst, blended), np.where(is_bound, np.inf, freedom))


def _smoothed(fractions: np.ndarray, worst: float) -> np.ndarray:
    """Fractions of 0 or 1 as if two more components were right, and two wrong (Agresti and Coull, 1998)."""
    return np.where((fractions > 0) & (fractions < 1), fractions, (fractions + 2 * worst) / (1 + 4 * worst))


def _seen_of_means(influences: np.ndarray) -> np.ndarray:
    squares, seeds = np.square(influences).sum(axis=(0, 2)), len(influences)
    if seeds == 1:
        return squares
    return np.maximum((np.square(influences.sum(axis=0)).sum(axis=1) - squares) / (seeds * (seeds - 1)), 0)


def _seen_of_differences(influences: np.ndarray) -> np.ndarray:
    return np.maximum(of_pairs(shared_covariances(influences)), 0)


def _sum(
    seen: np.ndarray, found: Sequence[ImageVariance], of_parts: Sequence[np.ndarray], weights: Sequence[np.ndarray]
) -> ImageVariance:
    """What components show of a measure, and of its parts what they do not show."""
    weighted = [weight * part.variances for part, weight in zip(found, weights, strict=True)]
    hidden = np.sum(
        [own - weight * part for own, part, weight in zip(weighted, of_parts, weights, strict=True)], axis=0
    )
    freedom = satterthwaite(*((own, part.freedom) for own, part in zip(weighted, found, strict=True)))
    return ImageVariance(np.maximum(seen + hidden, 0), freedom)
