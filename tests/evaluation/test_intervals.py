"""Intervals against scipy, against formulas written out, and how often they hold the truth in simulated studies."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student

from mixvision.evaluation.comparisons import compare, not_told_from_best
from mixvision.evaluation.image_variances import variances_of_means
from mixvision.evaluation.intervals import (
    behind_best,
    difference_of_independent,
    performance_intervals,
    score_intervals,
    wilson_interval,
)
from mixvision.evaluation.tested import accuracy_of, measured_models, measures_of

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def make_joined(hits: dict[str, list[bool]], clusters: dict[str, list[int]] | None = None, trial: str = "t"):
    rows = [
        (trial, "best_validation", "test", f"{domain}/{place}", domain, hit, True)
        for domain, list_of_hits in hits.items()
        for place, hit in enumerate(list_of_hits)
    ]
    joined = pd.DataFrame(rows, columns=["trial", "snapshot", "split", "id", "domain", "top1", "top3"])
    numbers = range(len(rows)) if clusters is None else [n for domain in hits for n in clusters[domain]]
    return joined.assign(component=list(numbers))


@pytest.mark.parametrize(("hits", "images"), [(0, 5), (3, 5), (5, 5), (181, 240)])
def test_wilson_interval_equals_scipy(hits, images):
    expected = binomtest(hits, images).proportion_ci(0.95, method="wilson")
    low, high = wilson_interval(np.array([hits / images]), np.array([images]))
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_a_wilson_interval_never_leaves_0_to_1(accuracy):
    low, high = wilson_interval(np.full(500, accuracy), np.arange(1, 501))
    assert (low >= 0).all() and (high <= 1).all() and (low < high).all()


def one_setting(hits: dict[str, list[bool]], clusters: dict[str, list[int]] | None = None) -> list[float]:
    """The bounds of the performance of one model."""
    trials = pd.DataFrame({"trial": ["t"], "ratio": [0], "seed": [0]})
    table = performance_intervals(make_joined(hits, clusters), trials)
    return table[["performance_top1_low", "performance_top1_high"]].iloc[0].to_list()


@pytest.mark.parametrize("hits", [0, 3, 39, 40])
def test_a_single_model_on_independent_images_has_the_wilson_interval(hits):
    right = np.arange(40) < hits
    found = score_intervals([accuracy_of(("a",), right[None, None].astype(float), np.arange(40))])
    expected = binomtest(hits, 40).proportion_ci(0.95, method="wilson")
    assert found[0].tolist() == pytest.approx([expected.low, expected.high])


def test_a_single_model_on_clusters_as_written_out():
    """Thirty clusters of 5, 10 or 15 images, all alike in half of them."""
    generator = np.random.default_rng(0)
    components = np.repeat(np.arange(30), np.tile([5, 10, 15], 10))
    right = (np.where(components % 2, generator.random(30)[components], generator.random(300)) < 0.7).astype(float)
    ((low, high),) = score_intervals([accuracy_of(("a",), right[None, None], components)])
    sizes, mean = np.bincount(components), right.mean()
    shares, hits = sizes / 300, np.bincount(components, right)
    seen = np.sum(((hits - mean * sizes) / 300) ** 2 / (1 - shares))
    telling = min((hits > 0).sum(), (hits < sizes).sum())
    variance = (telling * seen + 0.5 * mean * (1 - mean) * np.sum(shares**2)) / (telling + 0.5)
    form = (np.diag(shares) - np.outer(shares, shares)) / np.sqrt(1 - shares)[:, None]  # of the influences
    eigenvalues = np.linalg.eigvalsh(form @ form.T)
    quantile = student.ppf(0.975, eigenvalues.sum() ** 2 / np.sum(eigenvalues**2))
    expected = wilson_interval(np.array([mean]), np.array([mean * (1 - mean) / variance]), quantile)
    assert (low, high) == pytest.approx([end[0] for end in expected])


def test_images_of_a_single_component_are_one_piece_of_evidence():
    ((low, high),) = score_intervals([accuracy_of(("a",), np.arange(20)[None, None] % 4 > 0, np.zeros(20))])
    assert (low, high) == pytest.approx([end[0] for end in wilson_interval(np.array([0.75]), np.array([1]))])


def test_near_duplicates_widen_the_interval():
    hits = {"nice": [True] * 60, "real": ([True] * 10 + [False] * 10) * 3}
    clusters = {"nice": list(range(60)), "real": [100 + place // 10 for place in range(60)]}
    alone, together = one_setting(hits), one_setting(hits, clusters)
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_a_missing_domain_has_no_interval():
    assert np.isnan(one_setting({"nice": [True] * 9})).all()


def test_seeds_with_different_images_are_refused():
    both = pd.concat([make_joined({"nice": [True] * 3}, trial="one"), make_joined({"nice": [True]}, trial="two")])
    trials = pd.DataFrame({"trial": ["one", "two"], "ratio": [0, 0], "seed": [0, 1]})
    with pytest.raises(ValueError, match="the same images .*'two' lacks the prediction of 'nice/1'"):
        performance_intervals(both, trials)


def test_intervals_are_of_the_test_images_at_the_snapshot_asked_for():
    tested = make_joined({"nice": [True] * 9, "real": [True] * 9})
    wrong = tested.assign(top1=False, top3=False)
    joined = pd.concat([tested, wrong.assign(snapshot="last"), wrong.assign(split="validation")])
    trials = pd.DataFrame({"trial": ["t"], "ratio": [30], "seed": [0]})
    names = [f"performance_{top}_{end}" for top in ("top1", "top3") for end in ("low", "high")]
    for snapshot, accuracy in (("best_validation", 1.0), ("last", 0.0)):
        table = performance_intervals(joined, trials, snapshot=snapshot)
        assert list(table) == ["ratio", *names] and table["ratio"].tolist() == [30]
        low, high = table[names[:2]].iloc[0]
        assert low <= accuracy <= high and high - low < 0.3
        assert table[names[2:]].to_numpy().tolist() == table[names[:2]].to_numpy().tolist()
    nothing = performance_intervals(joined, trials, snapshot="best_test")
    assert nothing.empty and list(nothing) == ["ratio", *names]


STUDIES = 400
HELD = (0.91, 0.995)  # of nominal 95%; with few components the interval is wide on purpose
DESIGNS = {
    "single images": ([1] * 100, 0.0),
    "ten of twenty": ([20] * 10, 0.5),
    "of many sizes": ([20] * 5 + [10] * 10 + [4] * 20 + [1] * 100, 0.3),
}


def draw(accuracy: float, design: str, generator: np.random.Generator, models: int = 1):
    """Hits (studies, models, images) with beta-binomial clusters, of which models share nothing, and the clusters."""
    sizes, correlation = DESIGNS[design]
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    chances = np.full((STUDIES, models, len(sizes)), accuracy)
    if correlation:
        both = 1 / correlation - 1
        chances = generator.beta(accuracy * both, (1 - accuracy) * both, chances.shape)
    return (generator.random((STUDIES, models, len(clusters))) < chances[..., clusters]).astype(float), clusters


def share_held(bounds: np.ndarray, truth: float) -> float:
    return float(np.mean((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])))


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("accuracy", [0.5, 0.8, 0.9, 0.99])
def test_intervals_of_accuracies_hold_the_truth(accuracy, design):
    hits, clusters = draw(accuracy, design, np.random.default_rng(0))
    bounds = score_intervals([accuracy_of(tuple(range(STUDIES)), hits.swapaxes(0, 1), clusters)])
    assert HELD[0] <= share_held(bounds, accuracy) <= HELD[1]
    assert (bounds[:, 1] > bounds[:, 0]).all()


@pytest.mark.parametrize("designs", [("single images", "of many sizes"), ("ten of twenty", "single images")])
@pytest.mark.parametrize(("nice", "real"), [(0.99, 0.7), (0.9, 0.5)])
def test_intervals_of_performances_hold_the_truth(nice, real, designs):
    generator = np.random.default_rng(1)
    hits = {}
    for domain, accuracy, design in (("nice", nice, designs[0]), ("real", real, designs[1])):
        right, clusters = draw(accuracy, design, generator)
        hits[domain] = (right.swapaxes(0, 1), [f"{domain} {cluster}" for cluster in clusters])
    bounds = score_intervals([measures_of(tuple(range(STUDIES)), hits)["performance"]])
    assert HELD[0] <= share_held(bounds, np.sqrt(nice * real)) <= HELD[1]


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("accuracy", [0.8, 0.97])
def test_intervals_of_paired_differences_hold_the_truth(accuracy, design):
    """Of two models that are equally good, of which the second repeats the first one's answer to half of the images."""
    generator = np.random.default_rng(2)
    hits, clusters = draw(accuracy, design, generator, models=2)
    hits[:, 1] = np.where(generator.random(hits[:, 1].shape) < 0.5, hits[:, 0], hits[:, 1])
    found = [compare(accuracy_of(("a", "b"), right[None], clusters)) for right in hits]
    apart, margins = (np.array([part[0, 1] for part in parts]) for parts in zip(
        *((one.differences, one.margins(2)) for one in found), strict=True))  # fmt: skip
    bounds = np.stack([apart - margins, apart + margins], axis=1)
    held = share_held(bounds, 0)
    assert held >= HELD[0] and (bounds[:, 1] > bounds[:, 0]).all()
    assert held <= HELD[1] or accuracy > 0.9, "hardly any image tells them apart"


def test_models_that_agree_on_all_images_may_still_differ_a_little():
    compared = compare(accuracy_of(("a", "b"), np.ones((1, 2, 100)), np.arange(100)))
    assert 0.02 < compared.margins(2)[0, 1] < 0.06 and compared.margins(2)[0, 0] == 0


@pytest.mark.parametrize(("one", "other"), [(0.9, 0.7), (0.99, 0.97)])
def test_intervals_of_differences_on_other_images_hold_the_truth(one, other):
    generator, models = np.random.default_rng(3), tuple(range(STUDIES))
    sides = []
    for accuracy, design in ((one, "of many sizes"), (other, "ten of twenty")):
        hits, clusters = draw(accuracy, design, generator)
        bounds = score_intervals([accuracy_of(models, hits.swapaxes(0, 1), clusters)])
        sides.append(np.column_stack([hits.mean(axis=(1, 2)), bounds]))
    bounds = np.stack(difference_of_independent(*sides), axis=1)
    assert HELD[0] <= share_held(bounds, one - other) <= 1


def test_differences_on_other_images_are_newcombes():
    """The example of Newcombe (1998), 56 of 70 against 48 of 80, by his method 10."""
    counts, images = np.array([56, 48]), np.array([70, 80])
    shares = counts / images
    sides = np.column_stack([shares, *wilson_interval(shares, images)])
    low, high = difference_of_independent(sides[:1], sides[1:])
    assert (low[0], high[0]) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_several_seeds_widen_the_interval_as_written_out():
    """Two settings of three seeds on 40 nice and 20 real images."""
    generator = np.random.default_rng(0)
    rows, trials = [], []
    for ratio in (0, 50):
        for seed in range(3):
            hits = {name: list(generator.random(n) < 0.6 + 0.1 * seed) for name, n in (("nice", 40), ("real", 20))}
            rows.append(make_joined(hits, trial=f"{ratio}-{seed}"))
            trials.append((f"{ratio}-{seed}", ratio, seed))
    joined, trials = pd.concat(rows), pd.DataFrame(trials, columns=["trial", "ratio", "seed"])
    table = performance_intervals(joined, trials).set_index("ratio")
    measured = [measured_models(joined, trials[trials["ratio"] == ratio], "ratio")["performance"] for ratio in (0, 50)]
    typical = np.median([one.values.var(ddof=1) / one.scales[0] for one in measured]) / (1 - 2 / 18) ** 3
    for ratio, one in zip((0, 50), measured, strict=True):
        values, mean = one.values[:, 0], one.values.mean()
        images = variances_of_means(one.influences, one.parts)
        pairs = [one.influences[s, 0] @ one.influences[t, 0] for s in range(3) for t in range(3) if s != t]
        assert images.variances[0] >= max(np.mean(pairs), 0)
        of_seed = (4 * typical * one.scales[0] + 2 * values.var(ddof=1)) / 6
        variance = images.variances[0] + of_seed / 3
        of_images = images.variances[0] ** 2 / images.freedom[0]
        quantile = student.ppf(0.975, variance**2 / (of_images + (of_seed / 3) ** 2 / 6))
        expected = wilson_interval(np.array([mean]), np.array([mean * (1 - mean) / variance]), quantile)
        assert table.loc[ratio, ["performance_top1_low", "performance_top1_high"]].tolist() == pytest.approx(
            [float(end[0]) for end in expected]
        )
    assert (
        table["performance_top3_high"].tolist() == pytest.approx([1, 1]) and (table["performance_top3_low"] > 0.8).all()
    )


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_of_several_seeds_hold_the_truth(seeds):
    """91 to 99% of nominal 95%, in simulated studies of eleven equal settings; see benchmarks/verdicts.py."""
    benchmark = runpy.run_path(str(BENCHMARKS / "verdicts.py"))
    case, generator = benchmark["CASES"]["all equal, near 50% best"], np.random.default_rng(seeds)
    found = []
    for _ in range(80):
        hits = benchmark["simulate"](case, seeds, generator)
        whole = measures_of(benchmark["RATIOS"], hits)["performance"]
        found.append((whole.values.mean(axis=0), score_intervals([whole])))
    truth = np.mean([means for means, _ in found])
    held = [low <= truth <= high for _, bounds in found for low, high in bounds]
    assert 0.91 <= np.mean(held) <= 0.99


def test_the_benchmark_names_coverages_that_are_too_low_except_the_weak_spots(capsys):
    benchmark = runpy.run_path(str(BENCHMARKS / "intervals.py"))
    spots, tables = benchmark["WEAK_SPOTS"], benchmark["tables"]().values()
    assert all(any(column in rows.get(row, {}) for rows in tables) for row, column in spots)
    (row, column), *_ = spots

    def held_by(hundredths: int):
        """A cell whose intervals hold the truth in so many of 100 studies, and the bootstrap in all."""
        bounds = np.array([[0.0, 1.0]] * hundredths + [[0.6, 1.0]] * (100 - hundredths))
        return lambda studies, generator: (0.5, np.array([[0.0, 1.0]] * 100), bounds)

    rows = {"few": {column: held_by(87)}, "enough": {column: held_by(88)}, row: {column: held_by(50)}}
    assert benchmark["print_table"]("case", rows, 100, np.random.default_rng(0)) == [f"case, few, {column}: 87.0%"]
    assert "| few | 100.0 / 87.0 |" in capsys.readouterr().out


def test_with_several_seeds_the_distance_to_the_best_is_taken_seed_by_seed():
    generator = np.random.default_rng(0)
    rows = [(f"{ratio}-{seed}", ratio, seed) for ratio in (0, 50, 100) for seed in range(3)]
    joined = pd.concat(
        [
            make_joined(
                {name: list(generator.random(60) < 0.9 - ratio / 400) for name in ("nice", "real")}, trial=trial
            )
            for trial, ratio, _ in rows
        ]
    )
    trials = pd.DataFrame(rows, columns=["trial", "ratio", "seed"])
    table = behind_best(joined, trials, 0).set_index("ratio")
    compared = compare(measured_models(joined, trials, "ratio")["performance"])
    for place, ratio in enumerate((0, 50, 100)):
        behind, margin = compared.differences[0, place], compared.margins(2)[0, place]
        bounds = table.loc[ratio, ["behind_low", "behind_high"]].tolist()
        assert bounds == pytest.approx([behind - margin, behind + margin])
    assert table.loc[0].tolist() == [0, 0, False] and table.loc[100, "behind_low"] > 0
    assert table["is_beaten"].tolist() == [ratio not in not_told_from_best(compared) for ratio in (0, 50, 100)]
