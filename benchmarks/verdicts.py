"""Error rates and power of the verdicts: a Monte Carlo over the real rule, ``mixvision.evaluation.comparisons``.

Each simulated study trains eleven ratios with several seeds and tests them on the same 2,000 nice and 500 real images
in clusters. An image's difficulty is the same for all models, a part of it depends on the model, and each seed of each
model has its own luck, as a whole (``NOISE``, in logits) and with each image. Run by hand, in about ten minutes:

    .venv/bin/python benchmarks/verdicts.py [--studies 1000] [--seeds 3 5 10] [--only equal] [--noise-of digits]

It prints a Markdown table, and ends with 1 if a verdict is wrong in more than 5% by more than two standard errors.
``--noise-of`` takes the noise of a study's own models, after ``kedro run --pipelines=conclusions``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from mixvision.evaluation.comparisons import Comparisons, compare, judge, not_told_from_best
from mixvision.evaluation.image_variances import shared_covariances
from mixvision.evaluation.tested import Tested, measured_models, measures_of

RATIOS = tuple(range(0, 101, 10))
NEAR = tuple(range(30, 71, 10))
IMAGES = {"nice": 2000, "real": 500}
CLUSTER = 2  # images, on average
NOISE = 0.15  # between seeds
OF_IMAGE, OF_MODEL = 1.5, 0.5  # standard deviations of an image's difficulty, for all models and for one
WRONG = 0.05


@dataclass(frozen=True)
class Case:
    """A truth, and the claim that is judged.

    Attributes:
        nice, real: expected accuracies of the ratios.
        measure: what is compared.
        claimed: which ratios the claim says to hold the best.
        is_true: whether that is so; None where a tie makes "supported" and "refuted" both wrong.
        noise: of the seeds, in logits.
        noisier: models whose noise is four times as large, which the rule does not know (a weak spot; not counted).
    """

    nice: np.ndarray
    real: np.ndarray
    measure: str
    claimed: Sequence
    is_true: bool | None
    noise: float = NOISE
    noisier: Sequence[int] = ()


def constant(value: float) -> np.ndarray:
    return np.full(len(RATIOS), value)


def raised(ratios: Sequence[int], by: float, base: float = 0.8) -> np.ndarray:
    """All at the base, but some ratios higher."""
    return np.where(np.isin(RATIOS, ratios), base + by, base)


PROCEDURES = "iterative against mixed, all equal"  # 11 mixed and 9 iterative models; each seed picks its best ones
CASES = {
    "all equal, noise .1, 0% best on nice": Case(constant(0.8), constant(0.8), "nice", [0], None, 0.1),
    "all equal, noise .2, 0% best on nice": Case(constant(0.8), constant(0.8), "nice", [0], None, 0.2),
    "all equal, near 50% best": Case(constant(0.8), constant(0.8), "performance", NEAR, None),
    "0% tied with one rival on nice": Case(raised([0, 40], 0.1), constant(0.8), "nice", [0], None),
    "plateau 40 to 80, near 50% best": Case(raised(range(40, 81), 0.1), constant(0.8), "performance", NEAR, None),
    "50% tied with 90%, near 50% best": Case(raised([50, 90], 0.1), constant(0.8), "performance", NEAR, None),
    "0% tied with one rival, 0% four times as noisy": Case(
        raised([0, 40], 0.1), constant(0.8), "nice", [0], None, noisier=[0]
    ),
    "0% tied with one rival, that four times as noisy": Case(
        raised([0, 40], 0.1), constant(0.8), "nice", [0], None, noisier=[4]
    ),
    "0% best on nice by .02 (true)": Case(raised([0], 0.02), constant(0.8), "nice", [0], True),
    "0% best on nice by .05 (true)": Case(raised([0], 0.05), constant(0.8), "nice", [0], True),
    "50% best by .05 (true)": Case(raised([50], 0.05), raised([50], 0.05), "performance", NEAR, True),
    PROCEDURES: Case(constant(0.8), constant(0.8), "performance", ["iterative"], None),
    "90% best by .05, near 50% claimed (false)": Case(
        raised([90], 0.05), raised([90], 0.05), "performance", NEAR, False
    ),
}


def simulate(
    case: Case, seeds: int, generator: np.random.Generator, sizes: Mapping[str, int] = IMAGES
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Who was right where: by domain, (seeds, models, images), and the images' clusters."""
    found = {}
    for domain, images in sizes.items():
        clusters = np.sort(generator.integers(images // CLUSTER, size=images))
        accuracies = case.nice if domain == "nice" else case.real
        difficulty = OF_IMAGE * generator.standard_normal(clusters.max() + 1)[clusters]
        own = OF_MODEL * generator.standard_normal((len(accuracies), images))
        noise = np.where(np.isin(np.arange(len(accuracies)), case.noisier), 4 * case.noise, case.noise)
        levels = np.array([level_of(accuracy, of_model) for accuracy, of_model in zip(accuracies, noise, strict=True)])
        luck = noise[:, None] * generator.standard_normal((seeds, len(accuracies), 1))
        right = expit(levels[:, None] + luck + difficulty + own) > generator.random((seeds, len(accuracies), images))
        found[domain] = (right.astype("float64"), clusters)
    return found


def compare_ratios(case: Case, seeds: int, generator: np.random.Generator) -> Comparisons:
    return compare(measures_of(RATIOS, simulate(case, seeds, generator))[case.measure])


def compare_procedures(case: Case, seeds: int, generator: np.random.Generator) -> Comparisons:
    """The best mixed and the best iterative model of each seed, picked on a fifth of the images for validation."""
    both = replace(case, nice=np.full(20, case.nice[0]), real=np.full(20, case.real[0]))
    sizes = {domain: images * 5 // 4 for domain, images in IMAGES.items()}
    hits = simulate(both, seeds, generator, sizes)
    validated = np.sqrt(np.prod([right[..., IMAGES[domain] :].mean(axis=2) for domain, (right, _) in hits.items()], 0))
    mixed, iterative = validated[:, :11].argmax(axis=1), 11 + validated[:, 11:].argmax(axis=1)
    picks = np.stack([iterative, mixed], axis=1)[..., None]
    tested = {
        domain: (np.take_along_axis(right, picks, axis=1)[..., : IMAGES[domain]], clusters[: IMAGES[domain]])
        for domain, (right, clusters) in hits.items()
    }
    return compare(measures_of(("iterative", "mixed"), tested)["performance"])


def noise_of(tested: Tested) -> np.ndarray:
    """How much each model's accuracy varies between seeds beyond the chance of single images, in logits (models,)."""
    of_seed = np.square(tested.influences).sum(axis=2).mean(axis=0)
    shared = np.diag(shared_covariances(tested.influences))
    excess = np.maximum(tested.values.var(axis=0, ddof=1) - (of_seed - shared), 0)
    return np.sqrt(excess) / tested.scales


def noise_of_study(study: str, data: Path = Path("data")) -> float:
    """The median over ratios and domains of a study's seed noise, which is printed by ratio."""
    joined = pd.read_parquet(data / "07_model_output" / study / "mixing/joined_predictions.parquet")
    trials = pd.read_csv(data / "05_model_input" / study / "mixing/trials.csv")
    chosen = joined[(joined["snapshot"] == "best_validation") & (joined["split"] == "test") & ~joined["leaks"]]
    measured = measured_models(chosen, trials, "ratio")
    found = {domain: noise_of(measured[domain]) for domain in IMAGES}
    for domain, noise in found.items():
        print(f"{study}, {domain}, noise by ratio: {', '.join(f'{value:.2f}' for value in noise)}")
    return float(np.median(np.concatenate(list(found.values()))))


def level_of(accuracy: float, noise: float) -> float:
    """The logit whose mean accuracy over images and seeds this is (by the usual approximation of a normal's logit)."""
    spread = OF_IMAGE**2 + OF_MODEL**2 + noise**2
    return float(logit(accuracy) * np.sqrt(1 + spread * (16 * np.sqrt(3) / (15 * np.pi)) ** 2))


def rates(case: Case, seeds: int, studies: int, generator: np.random.Generator) -> dict[str, float]:
    """How often each verdict is given, and how often the models that cannot be told from the best hold all best."""
    verdicts, held = [], 0
    truth = np.sqrt(case.nice * case.real) if case.measure == "performance" else getattr(case, case.measure)
    best = {ratio for ratio, value in zip(RATIOS, truth, strict=True) if value > truth.max() - 1e-9}
    are_procedures = case.claimed == ["iterative"]
    for _ in range(studies):
        compared = (compare_procedures if are_procedures else compare_ratios)(case, seeds, generator)
        verdicts.append(judge(compared, case.claimed).verdict)
        held += are_procedures or len(best & set(not_told_from_best(compared))) / len(best)
    counted = {name: verdicts.count(name) / studies for name in ("supported", "refuted", "tied", "undecided")}
    return counted | {"held": held / studies}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5, 10])
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--noise-of", help="a study whose conclusions were drawn, for its noise")
    options = parser.parse_args()
    noise = noise_of_study(options.noise_of) if options.noise_of else None
    print(f"| case | {' | '.join(f'{seeds} seeds' for seeds in options.seeds)} | holds the best |")
    print(f"| --- | {' | '.join('---' for _ in options.seeds)} | --- |")
    too_often = False
    for number, (name, case) in enumerate((name, case) for name, case in CASES.items() if options.only in name):
        case = replace(case, noise=noise) if noise and case.noise == NOISE else case
        cells, held = [], []
        for seeds in options.seeds:
            found = rates(case, seeds, options.studies, np.random.default_rng((seeds, number)))
            cells.append("/".join(f"{100 * found[verdict]:.1f}" for verdict in ("supported", "refuted", "tied")))
            held.append(found["held"])
            wrong = [
                found[verdict]
                for verdict, truth in (("supported", True), ("refuted", False))
                if case.is_true is not truth
            ]
            too_often |= not case.noisier and max(wrong) > WRONG + 2 * np.sqrt(WRONG * (1 - WRONG) / options.studies)
        print(f"| {name} | {' | '.join(cells)} | {100 * min(held):.1f} |", flush=True)
    print(f"\nEach cell: supported/refuted/tied in %, of {options.studies} studies.")
    return int(too_often)


if __name__ == "__main__":
    sys.exit(main())
