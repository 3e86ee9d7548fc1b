"""Comparisons of models over seeds against formulas written out, and verdicts on studies whose truth is known."""

from __future__ import annotations

import runpy
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from mixvision.evaluation import tested as tested_by
from mixvision.evaluation.comparisons import (
    Claims,
    Comparisons,
    compare,
    judge,
    not_told_from_best,
)
from mixvision.evaluation.image_variances import ImageVariance
from mixvision.evaluation.intervals import distances_to_best
from mixvision.evaluation.selection import not_behind
from mixvision.evaluation.tested import measured_models, measures_of

BENCHMARK = Path(__file__).parents[2] / "benchmarks/verdicts.py"
MODELS = ("a", "b", "c")


@pytest.fixture
def hits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Three seeds of three models on 60 nice images in 20 clusters and 30 real ones in 15."""
    generator = np.random.default_rng(0)
    found = {}
    for domain, images in (("nice", 60), ("real", 30)):
        easy = generator.random(images)
        right = easy + 0.3 * generator.random((3, 3, images)) > np.array([0.3, 0.5, 0.6])[:, None]
        found[domain] = (right.astype(float), np.arange(images) // (3 if domain == "nice" else 2) + 100 * images)
    return found


def test_a_comparison_equals_its_formulas_written_out(hits):
    right, _ = hits["nice"]
    compared = compare(measures_of(MODELS, hits)["nice"])
    accuracy = right.mean(axis=2)
    influence = np.zeros((3, 3, 20))
    for seed, model, image in product(range(3), range(3), range(60)):
        influence[seed, model, image // 3] += (
            (right[seed, model, image] - accuracy[seed, model]) / 60 * np.sqrt(20 / 19)
        )
    observed, scales = {}, accuracy.mean(axis=0) * (1 - accuracy.mean(axis=0))
    for one, other in ((0, 1), (0, 2), (1, 2)):
        difference = accuracy[:, one] - accuracy[:, other]
        assert compared.differences[one, other] == pytest.approx(difference.mean())
        apart = influence[:, one] - influence[:, other]
        shared = np.mean([apart[s] @ apart[t] for s, t in product(range(3), range(3)) if s != t])
        assert compared.images.variances[one, other] == pytest.approx(max(shared, 0))
        observed[one, other] = difference.var(ddof=1)
    typical = np.median([seen / (scales[one] + scales[other]) for (one, other), seen in observed.items()])
    typical /= (1 - 2 / 18) ** 3
    for (one, other), seen in observed.items():
        shrunk = (4 * typical * (scales[one] + scales[other]) + 2 * seen) / 6
        assert compared.seed_variances[one, other] == pytest.approx(shrunk)
        variance = compared.images.variances[one, other] + shrunk / 3
        of_images = compared.images.variances[one, other] ** 2 / 19
        quantile = student.ppf(0.95**0.5, variance**2 / (of_images + (shrunk / 3) ** 2 / 6))
        assert compared.margins(2)[one, other] == pytest.approx(quantile * variance**0.5)


def test_performance_is_that_of_each_seed_and_its_influences_are_its_derivatives(hits):
    tested = measures_of(MODELS, hits)
    nice, real, both = (tested[name] for name in ("nice", "real", "performance"))
    assert both.values == pytest.approx(np.sqrt(nice.values * real.values))
    assert both.influences.shape == (3, 3, 35)
    assert both.influences[..., :20] == pytest.approx((both.values / (2 * nice.values))[..., None] * nice.influences)
    assert both.influences.sum(axis=2) == pytest.approx(np.zeros((3, 3)), abs=1e-12)


@pytest.mark.parametrize("wrong", [{"models": ("a",)}, {"scales": np.ones(3)}, {"influences": np.ones((2, 3, 4))}])
def test_parts_that_do_not_fit_each_other_are_refused_with_their_shapes(wrong):
    parts = {"models": ("a", "b"), "values": np.ones((3, 2)), "influences": np.ones((3, 2, 4)), "scales": np.ones(2)}
    parts |= {"smoothed": np.ones(2), "parts": ()}
    tested_by.Tested(**parts)
    with pytest.raises(ValueError, match=r"models have values \(3, 2\), influences .* give \(S, M\)"):
        tested_by.Tested(**parts | wrong)


def test_components_of_both_domains_count_once():
    right = np.array([[[1.0, 0.0]]])
    tested = measures_of(("a",), {"nice": (right, np.array([1, 2])), "real": (right, np.array([2, 3]))})
    influences = tested["performance"].influences[0, 0]
    assert len(influences) == 3 and influences[1] == pytest.approx(0), (
        "image 2 is wrong in one domain and right in the other"
    )


def comparisons(differences: list[float], seeds: int = 5, spread: float = 0.001) -> Comparisons:
    """Models so far ahead of the first one, all equally certain."""
    values = np.array(differences)
    variances = np.full((len(values), len(values)), spread**2)
    labels = tuple(range(len(values)))
    return Comparisons(labels, seeds, values[:, None] - values, by_images(0 * variances), variances * seeds)


def by_images(variances: np.ndarray) -> ImageVariance:
    return ImageVariance(variances, np.full_like(variances, np.inf))


@pytest.mark.parametrize(
    ("differences", "claimed", "verdict"),
    [
        ([0.1, 0.0, 0.0], [0], "supported"),
        ([0.1, 0.2, 0.0], [0], "refuted"),
        ([0.1, 0.1, 0.0], [0], "tied"),
        ([0.0, 0.1, 0.1], [1, 2], "supported"),
        ([0.1, 0.1, 0.1], [1, 2], "tied"),
    ],
)
def test_clear_claims(differences, claimed, verdict):
    found = judge(comparisons(differences), claimed)
    assert found.verdict == verdict and found.seeds_needed is None and found.low < found.high


def test_an_undecided_claim_says_how_many_seeds_would_settle_it():
    found = judge(comparisons([0.03, 0.0], spread=0.03), [0])
    assert found.verdict == "undecided" and 5 < found.seeds_needed < 20
    wide = comparisons([0.03, 0.0], spread=0.03)
    enough = Comparisons(wide.models, found.seeds_needed, *(getattr(wide, name) for name in (
        "differences", "images", "seed_variances")))  # fmt: skip
    assert judge(enough, [0]).verdict == "supported"
    images = Comparisons(wide.models, 5, wide.differences, by_images(wide.seed_variances), 0 * wide.seed_variances)
    assert judge(images, [0]).seeds_needed is None, "more seeds do not help where the images decide"


def test_two_seeds_judge_nothing_and_senseless_claims_are_refused():
    found = judge(comparisons([0.5, 0.0], seeds=2), [0])
    assert found.verdict == "not enough seeds" and np.isnan([found.low, found.high]).all()
    for claimed in ([], [0, 1]):
        with pytest.raises(ValueError, match="some of the models"):
            judge(comparisons([0.5, 0.0]), claimed)


def test_models_that_another_one_certainly_beats_are_left_out():
    assert not_told_from_best(comparisons([0.0, 0.1, 0.1001])) == [1, 2]
    assert not_told_from_best(comparisons([0.1])) == [0]


def test_one_interval_that_excludes_0_is_not_enough_to_leave_a_model_out_where_there_are_many():
    """2.8 standard errors behind the best: enough for one pair (2.3), but not for ten (3.3)."""
    table = distances_to_best(comparisons([0.0028, *[0.0] * 10]), 0, "model")
    assert (table.loc[1:, "behind_low"] > 0).all() and not table["is_beaten"].any()
    assert not_behind(table, 0, "model") == list(range(11))


def test_a_model_that_is_near_the_chosen_one_is_left_out_if_a_third_one_beats_it():
    """The chosen one is in the middle, 1.5 standard errors from either."""
    table = distances_to_best(comparisons([0.0, -0.0015, 0.0015]), 0, "model")
    assert (table["behind_low"] <= 0).all() and table["is_beaten"].tolist() == [False, True, False]
    assert not_behind(table, 0, "model") == [0, 2]


def test_the_chosen_model_is_never_left_out():
    table = distances_to_best(comparisons([0.0, 0.1, -0.1]), 0, "model")
    assert table["is_beaten"].tolist() == [True, False, True] and not_behind(table, 0, "model") == [0, 1]


def test_models_are_compared_by_the_seeds_that_all_have():
    rows = [(f"{model}{seed}", model, seed) for model, seed in product("ab", range(3)) if (model, seed) != ("b", 1)]
    trials = pd.DataFrame(rows, columns=["trial", "ratio", "seed"])
    images = pd.DataFrame(
        [
            {"trial": trial, "domain": "nice", "id": image, "component": image, "top1": (image + seed) % 3 > 0}
            for trial, _, seed in rows
            for image in range(9)
        ]
    )
    tested = measured_models(images, trials, "ratio")
    assert list(tested) == ["nice"] and tested["nice"].values.shape == (2, 2) and tested["nice"].models == ("a", "b")
    with pytest.raises(ValueError, match="No seed was trained in every model"):
        measured_models(images, trials[trials["trial"].isin(["a1", "b0"])], "ratio")
    with pytest.raises(ValueError, match="must predict the same images to be compared, but 'a0' lacks"):
        measured_models(images[1:], trials, "ratio")


@pytest.mark.parametrize("wrong", [{"seeds": []}, {"seeds": [0, 0]}, {"seeds": [-1]}, {"margin": 1}, {"margin": -0.1}])
def test_bad_settings_of_claims_are_refused_by_name(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name} is "):
        Claims(**wrong)


def test_verdicts_on_ties_are_seldom_wrong_and_clear_truths_are_found():
    """The rule's own Monte Carlo in small; the benchmark has all cases and 1,000 studies each."""
    benchmark = runpy.run_path(str(BENCHMARK))
    cases, rates = benchmark["CASES"], benchmark["rates"]
    generator = np.random.default_rng(0)
    tied = rates(cases["0% tied with one rival on nice"], 5, 100, generator)
    assert max(tied["supported"], tied["refuted"]) <= 0.1 and tied["held"] >= 0.9
    clear = rates(cases["0% best on nice by .05 (true)"], 5, 60, generator)
    assert clear["supported"] >= 0.8 and clear["refuted"] == 0
