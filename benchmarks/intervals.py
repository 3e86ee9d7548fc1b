"""How often the 95% intervals hold the truth: a Monte Carlo over the real functions of ``mixvision.evaluation``.

Each simulated study tests a model, or two on the same images, in clusters whose images are alike: the accuracy within
a cluster is beta-distributed around the true one, so that two of its images have the named correlation. A user would
otherwise take the percentile bootstrap over clusters, so its coverage stands beside. Run by hand, in about two minutes:

    .venv/bin/python benchmarks/intervals.py [--studies 4000] [--seed 0]

It prints three Markdown tables, which decision 9 shows, and ends with 1 if a coverage is below 91% by more than its
standard error, other than those of ``WEAK_SPOTS``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import betaincinv

from mixvision.evaluation.comparisons import compare
from mixvision.evaluation.intervals import TWO_SIDED, score_intervals
from mixvision.evaluation.metrics import performance
from mixvision.evaluation.tested import accuracy_of, measures_of

LEAST = 0.91
DRAWS = 500  # of the bootstrap
SAME_DRAWS, AT_ONCE = 100, 10  # studies that the bootstrap draws for, and whose models are compared, to save time
ENDS = [0.025, 0.975]


@dataclass(frozen=True)
class Images:
    """Test images: the sizes of their clusters, and the correlation of two images of one cluster."""

    sizes: tuple[int, ...]
    correlation: float = 0.0

    @property
    def clusters(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.sizes)), self.sizes)


@dataclass(frozen=True)
class Luck:
    """What a model draws in every study: a quantile of each cluster's accuracy, (studies, K), and of each image."""

    of_clusters: np.ndarray
    of_images: np.ndarray

    @classmethod
    def draw(cls, images: Images, studies: int, generator: np.random.Generator) -> Luck:
        return cls(generator.random((studies, len(images.sizes))), generator.random((studies, sum(images.sizes))))

    def partly(self, other: Luck, share: float, generator: np.random.Generator) -> Luck:
        """This luck with a share of the clusters, and of the images, and the other one's with the rest."""
        pairs = (self.of_clusters, other.of_clusters), (self.of_images, other.of_images)
        return Luck(*(np.where(generator.random(own.shape) < share, own, others) for own, others in pairs))

    def right(self, accuracy: float, images: Images) -> np.ndarray:
        """1 where the model is right, (studies, images)."""
        reached = np.array(accuracy)
        if images.correlation:
            weight = 1 / images.correlation - 1
            reached = betaincinv(accuracy * weight, (1 - accuracy) * weight, self.of_clusters)[:, images.clusters]
        return (self.of_images < reached).astype("float64")


SINGLE = {f"{number:,} single images": Images((1,) * number) for number in (100, 500, 2000)}
EQUAL = {
    f"{number} clusters of 20, correlated {correlation}": Images((20,) * number, correlation)
    for number in (10, 30, 100)
    for correlation in (0.2, 0.5, 0.8)
}
MIXED = (20,) * 5 + (10,) * 10 + (4,) * 20 + (1,) * 100
UNEVEN = (200, 100, 60, 40, 30, 20, 20, 10, 10, 5, 5) + (1,) * 50
ACCURACIES = (0.5, 0.8, 0.9, 0.99)
OF_ACCURACIES = {
    **SINGLE,
    **EQUAL,
    "135 clusters of 1 to 20, correlated 0.5": Images(MIXED, 0.5),
    "one of 61 clusters has a third, correlated 0.5": Images(UNEVEN, 0.5),
    "a single cluster of 100, correlated 0.5": Images((100,), 0.5),
}
# The accuracies and the images of nice and real.
OF_PERFORMANCES = {
    "0.99 on 100 and 0.7 on 500 single images": ((0.99, 0.7), (Images((1,) * 100), Images((1,) * 500))),
    "0.99 and 0.95 on 100 single images each": ((0.99, 0.95), (Images((1,) * 100),) * 2),
    "0.9 on 1,000 and 0.7 on 250 pairs, correlated 0.5": (
        (0.9, 0.7),
        (Images((2,) * 1000, 0.5), Images((2,) * 250, 0.5)),
    ),
    "0.9 on 10 and 0.7 on 30 clusters of 20, correlated 0.2": (
        (0.9, 0.7),
        (Images((20,) * 10, 0.2), Images((20,) * 30, 0.2)),
    ),
    "0.99 on 10 clusters of 20 and 0.8 on 135 of 1 to 20, correlated 0.5": (
        (0.99, 0.8),
        (Images((20,) * 10, 0.5), Images(MIXED, 0.5)),
    ),
    "0.9 and 0.01 on 500 single images each": ((0.9, 0.01), (Images((1,) * 500),) * 2),
    "0.9 and 0.002 on 500 single images each": ((0.9, 0.002), (Images((1,) * 500),) * 2),
}
# The accuracies of both models, and with what share of images and clusters they have the same luck.
PAIRS = {
    "0.8 and 0.8": (0.8, 0.8, 0.5),
    "0.9 and 0.85": (0.9, 0.85, 0.5),
    "0.99 and 0.97": (0.99, 0.97, 0.8),
    "0.99 and 0.98": (0.99, 0.98, 0.95),
}
OF_DIFFERENCES = {
    "100 single images": SINGLE["100 single images"],
    "500 single images": SINGLE["500 single images"],
    "10 clusters of 20, correlated 0.5": Images((20,) * 10, 0.5),
    "30 clusters of 20, correlated 0.5": Images((20,) * 30, 0.5),
    "100 clusters of 20, correlated 0.2": Images((20,) * 100, 0.2),
    "135 clusters of 1 to 20, correlated 0.3": Images(MIXED, 0.3),
}
WEAK_SPOTS = {  # rows and columns that decision 9 names
    ("30 clusters of 20, correlated 0.5", "0.99 and 0.97"),
    ("0.9 and 0.002 on 500 single images each", "coverage"),
}
# The truth, and the bounds (studies, 2) by the bootstrap and by the real functions.
Outcome = tuple[float, np.ndarray, np.ndarray]
Cell = Callable[[int, np.random.Generator], Outcome]


def of_accuracy(accuracy: float, images: Images, studies: int, generator: np.random.Generator) -> Outcome:
    hits = Luck.draw(images, studies, generator).right(accuracy, images)
    found = score_intervals([accuracy_of(tuple(range(studies)), hits[None], images.clusters)])
    return accuracy, percentiles(resampled(hits, images, generator)), found


def of_performance(
    accuracies: tuple[float, float], both: tuple[Images, Images], studies: int, generator: np.random.Generator
) -> Outcome:
    hits = [Luck.draw(own, studies, generator).right(p, own) for p, own in zip(accuracies, both, strict=True)]
    names = both[0].clusters, len(both[0].sizes) + both[1].clusters
    tested = {domain: (own[None], name) for domain, own, name in zip(("nice", "real"), hits, names, strict=True)}
    found = score_intervals([measures_of(tuple(range(studies)), tested)["performance"]])
    drawn = [resampled(own, images, generator) for own, images in zip(hits, both, strict=True)]
    return float(performance(*accuracies)), percentiles(performance(*drawn)), found


def of_difference(
    one: float, other: float, share: float, images: Images, studies: int, generator: np.random.Generator
) -> Outcome:
    luck = Luck.draw(images, studies, generator)
    others = luck.partly(Luck.draw(images, studies, generator), share, generator)
    hits = np.stack([luck.right(one, images), others.right(other, images)], axis=1)
    found = []
    for start in range(0, studies, AT_ONCE):
        several = hits[start : start + AT_ONCE].reshape(1, -1, hits.shape[2])
        compared = compare(accuracy_of(tuple(range(several.shape[1])), several, images.clusters))
        apart, margins = (pairs[::2, 1::2].diagonal() for pairs in (compared.differences, compared.margins(TWO_SIDED)))
        found.append(np.stack([apart - margins, apart + margins], axis=1))
    drawn = resampled(hits[:, 0] - hits[:, 1], images, generator)
    return one - other, percentiles(drawn), np.concatenate(found)


def resampled(values: np.ndarray, images: Images, generator: np.random.Generator) -> np.ndarray:
    """Means over the images of clusters drawn with replacement: (studies, images) to (studies, DRAWS)."""
    number = len(images.sizes)
    sums = np.add.reduceat(values, np.cumsum(images.sizes) - images.sizes, axis=1)
    drawn = []
    for start in range(0, len(sums), SAME_DRAWS):
        times = generator.multinomial(number, np.full(number, 1 / number), DRAWS).astype("float64")
        drawn.append(sums[start : start + SAME_DRAWS] @ times.T / (times @ np.array(images.sizes)))
    return np.concatenate(drawn)


def percentiles(drawn: np.ndarray) -> np.ndarray:
    return np.quantile(drawn, ENDS, axis=1).T


def coverage(truth: float, bounds: np.ndarray) -> float:
    """The share of intervals that hold the truth, up to rounding."""
    return float(np.mean((bounds[:, 0] <= truth + 1e-12) & (truth <= bounds[:, 1] + 1e-12)))


def is_too_low(held: float, studies: int) -> bool:
    return held + np.sqrt(held * (1 - held) / studies) < LEAST


def print_table(
    title: str, rows: Mapping[str, Mapping[str, Cell]], studies: int, generator: np.random.Generator
) -> list[str]:
    """Print the coverages of all cells in %, bootstrap / interval, and say which are too low."""
    low, columns = [], list(next(iter(rows.values())))
    print(f"\n| {title} | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
    for row, cells in rows.items():
        shown = []
        for column, cell in cells.items():
            truth, bootstrap, found = cell(studies, generator)
            held = coverage(truth, found)
            shown.append(f"{100 * coverage(truth, bootstrap):.1f} / {100 * held:.1f}")
            if is_too_low(held, studies) and (row, column) not in WEAK_SPOTS:
                low.append(f"{title}, {row}, {column}: {100 * held:.1f}%")
        print(f"| {row} | {' | '.join(shown)} |", flush=True)
    return low


def tables() -> dict[str, dict[str, dict[str, Cell]]]:
    return {
        "accuracy": {
            name: {f"{accuracy}": partial(of_accuracy, accuracy, images) for accuracy in ACCURACIES}
            for name, images in OF_ACCURACIES.items()
        },
        "performance, of nice and real accuracy": {
            name: {"coverage": partial(of_performance, *truth)} for name, truth in OF_PERFORMANCES.items()
        },
        "difference of two models on the same images": {
            name: {pair: partial(of_difference, *truth, images) for pair, truth in PAIRS.items()}
            for name, images in OF_DIFFERENCES.items()
        },
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=4000, help="simulated for each coverage")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"Coverage in %, percentile bootstrap / score interval, of {options.studies:,} studies.")
    low = []
    for number, (title, rows) in enumerate(tables().items()):
        low += print_table(title, rows, options.studies, np.random.default_rng((options.seed, number)))
    print(
        "\n"
        + "\n".join([f"Too low: {line}" for line in low] or [f"None is below {LEAST:.0%}, other than the weak spots."])
    )
    return int(bool(low))


if __name__ == "__main__":
    sys.exit(main())
