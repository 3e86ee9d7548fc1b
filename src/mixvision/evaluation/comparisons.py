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
import pandas as pd
from scipy.stats import t as student

from mixvision.evaluation.metrics import performance
from mixvision.parameter_types import require_types
from mixvision.vocabulary import DOMAINS

LEVEL = 0.95  # each claim is right with this probability, over test images and seeds
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
class Tested:
    """One measure of several models (settings, or procedures) on the same test images.

    Attributes:
        models: their labels, (M,).
        values: the measure by seed and model, fractions (S, M).
        influences: how much each component of test images moved it, (S, M, K); they sum to 0 over a domain's images.
        scales: the variance that a single image drawn at random would have, (M,): p (1 - p) of an accuracy p.
    """

    models: tuple[Hashable, ...]
    values: np.ndarray
    influences: np.ndarray
    scales: np.ndarray

    def __post_init__(self) -> None:
        seeds, models = self.values.shape
        fits = self.influences.shape[:2] == (seeds, models) and self.scales.shape == (models,) == (len(self.models),)
        if not fits:
            raise ValueError(
                f"{len(self.models)} models have values {self.values.shape}, influences {self.influences.shape} and "
                f"scales {self.scales.shape}; give (S, M), (S, M, K) and (M,)."
            )

    def only(self, *models: Hashable) -> Tested:
        """The same of some of the models."""
        places = [self.models.index(model) for model in models]
        return Tested(models, self.values[:, places], self.influences[:, places], self.scales[places])


@dataclass(frozen=True)
class Comparisons:
    """All pairs of models: row minus column, (M, M) each.

    Attributes:
        models: their labels.
        seeds: S.
        differences: means over the seeds.
        image_variances: of a difference, by the test images.
        seed_variances: of a difference, by a single seed; 0 if there is only one, whose luck cannot be told.
        prior: degrees of freedom that they have from other pairs, besides S - 1 of their own.
    """

    models: tuple[Hashable, ...]
    seeds: int
    differences: np.ndarray
    image_variances: np.ndarray
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
        variances = self.image_variances + by_seeds
        with np.errstate(divide="ignore", invalid="ignore"):
            freedom = np.where(by_seeds > 0, (seeds - 1 + self.prior) * (variances / by_seeds) ** 2, np.inf)
        return student.ppf(LEVEL ** (1 / comparisons), freedom) * np.sqrt(variances)


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
    images = np.maximum(_of_pairs(shared_covariances(tested.influences)), 0)
    if seeds == 1:
        return Comparisons(tested.models, 1, means[:, None] - means, images, np.zeros((models, models)))
    observed = _of_pairs(np.atleast_2d(np.cov(tested.values, rowvar=False)))
    scales = tested.scales[:, None] + tested.scales
    np.fill_diagonal(scales, 0)
    known = np.triu(scales > 0, 1)
    typical = Typical.of(observed[known], scales[known], np.full(known.sum(), seeds - 1))
    shrunk = np.maximum(typical.shrink(observed, scales, seeds - 1), 0)
    return Comparisons(tested.models, seeds, means[:, None] - means, images, shrunk, typical.prior)


def shared_covariances(influences: np.ndarray) -> np.ndarray:
    """The covariances of models (M, M) by the test images: what different seeds have in common, or one seed's own.

    Args:
        influences: (S, M, K), see :class:`Tested`.
    """
    seeds = len(influences)
    products = np.einsum("sak,tbk->stab", influences, influences, optimize=True)
    if seeds == 1:
        return products[0, 0]
    return (products.sum(axis=(0, 1)) - np.einsum("ssab->ab", products)) / (seeds * (seeds - 1))


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
            hits = rows.pivot(index=["component", "id"], columns="trial", values=top)[order]
            if hits.isna().any(axis=None):
                raise ValueError(f"The models predict different images of the domain {domain!r}.")
            components = hits.index.get_level_values("component")
            right = hits.to_numpy("float64").T.reshape(*table.shape, -1)
            measured[domain] = (right, components)
    return measures_of(tuple(table.columns), measured)


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
    parts = {domain: _accuracy(models, *of_domain) for domain, of_domain in hits.items()}
    tested = {domain: part for domain, (part, _) in parts.items()}
    if len(parts) < 2:
        return tested
    (nice, nice_components), (real, real_components) = (parts[domain] for domain in DOMAINS)
    values = performance(nice.values, real.values)
    weights = [
        np.divide(values, 2 * part.values, out=np.zeros_like(values), where=part.values > 0) for part in (nice, real)
    ]
    components = nice_components.union(real_components, sort=False)
    influences = np.zeros((*values.shape, len(components)))
    for part, own, weight in ((nice, nice_components, weights[0]), (real, real_components, weights[1])):
        influences[..., components.get_indexer(own)] += weight[..., None] * part.influences
    means = nice.values.mean(axis=0), real.values.mean(axis=0)
    scales = (means[0] + means[1] - 2 * means[0] * means[1]) / 4
    return tested | {"performance": Tested(models, values, influences, scales)}


def _accuracy(
    models: tuple[Hashable, ...], hits: np.ndarray, components: Sequence[Hashable]
) -> tuple[Tested, pd.Index]:
    """The accuracies of one domain and the components by which their influences are ordered."""
    places, names = pd.factorize(np.asarray(components))
    values = hits.mean(axis=2)
    order = np.argsort(places, kind="stable")
    starts = np.searchsorted(places[order], np.arange(len(names)))
    sums = np.add.reduceat((hits - values[..., None])[..., order], starts, axis=2)
    correction = np.sqrt(len(names) / max(len(names) - 1, 1))
    means = values.mean(axis=0)
    return Tested(models, values, correction * sums / hits.shape[2], means * (1 - means)), pd.Index(names)


def _of_pairs(covariances: np.ndarray) -> np.ndarray:
    """Variances of all differences, (M, M), from covariances (M, M)."""
    own = np.diag(covariances)
    return own[:, None] + own - covariances - covariances.T


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
