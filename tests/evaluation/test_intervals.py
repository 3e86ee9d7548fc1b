"""Intervals against scipy and against bootstraps written out."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest
from scipy.stats import t as student

from mixvision.evaluation import intervals
from mixvision.evaluation.comparisons import compare, measured_models, measures_of
from mixvision.evaluation.intervals import (
    behind_best,
    intervals_over_seeds,
    performance_interval,
    performance_intervals,
    resampled_accuracies,
    resampled_settings,
    wilson_interval,
)
from mixvision.progress import progress

BENCHMARK = Path(__file__).parents[2] / "benchmarks/verdicts.py"


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


def test_bootstrap_equals_one_written_out():
    hits = {"nice": [True] * 55 + [False] * 5, "real": [True] * 20 + [False] * 30}
    ours = performance_interval(make_joined(hits), np.random.default_rng(0), draws=20_000)
    generator = np.random.default_rng(1)
    means = [generator.choice(hits[domain], (20_000, len(hits[domain]))).mean(axis=1) for domain in hits]
    assert ours == pytest.approx(np.quantile(np.sqrt(means[0] * means[1]), [0.025, 0.975]), abs=0.01)


@pytest.mark.parametrize("draws", [7, 100, 250])
def test_draws_in_blocks_are_those_of_one_call(draws):
    hits = np.random.default_rng(0).random(40) < 0.7
    ours = resampled_accuracies(make_joined({"real": list(hits)}), np.random.default_rng(1), draws)
    kinds = [np.count_nonzero(~hits), np.count_nonzero(hits)]
    drawn = np.random.default_rng(1).multinomial(40, np.array(kinds) / 40, size=draws)
    assert np.array_equal(ours["t"], drawn[:, 1] / 40)


def test_resampling_says_how_far_it_is(monkeypatch):
    """Every setting is a step of one bar, and the draws of each resampling are those of another."""
    bars = []

    def recorded(*arguments, **options):
        bars.append(progress(*arguments, **options))
        return bars[-1]

    monkeypatch.setattr(intervals, "progress", recorded)
    hits = {"nice": [True] * 9 + [False], "real": [True] * 5 + [False]}
    joined = pd.concat([make_joined(hits, trial=trial) for trial in ("a", "b", "c")])
    performance_intervals(joined, pd.DataFrame({"trial": list("abc"), "ratio": [0, 50, 100]}), np.random.default_rng(0))
    assert [bar.n for bar in bars] == [bar.total for bar in bars] == [3, *[2000] * 12]


def test_near_duplicates_widen_the_interval():
    hits = {"nice": [True] * 60, "real": ([True] * 10 + [False] * 10) * 3}
    alone = performance_interval(make_joined(hits), np.random.default_rng(0))
    clusters = {"nice": list(range(60)), "real": [100 + place // 10 for place in range(60)]}
    together = performance_interval(make_joined(hits, clusters), np.random.default_rng(0))
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_seeds_are_averaged_in_every_draw():
    right, wrong = {"nice": [True] * 9, "real": [True] * 9}, {"nice": [False] * 9, "real": [False] * 9}
    both = pd.concat([make_joined(right, trial="one"), make_joined(wrong, trial="two")])
    assert performance_interval(both, np.random.default_rng(0)) == (0.5, 0.5)


def test_a_missing_domain_has_no_interval():
    assert np.isnan(performance_interval(make_joined({"nice": [True] * 9}), np.random.default_rng(0))).all()


def test_seeds_with_different_images_are_refused():
    both = pd.concat([make_joined({"nice": [True] * 3}, trial="one"), make_joined({"nice": [True]}, trial="two")])
    with pytest.raises(ValueError, match="the same images .*'two' lacks the prediction of 'nice/1'"):
        performance_interval(both, np.random.default_rng(0))


def test_one_row_per_ratio_and_the_same_seed_gives_the_same_bounds():
    hits = {"nice": [True] * 9, "real": [True] * 5 + [False] * 4}
    joined = pd.concat([make_joined(hits, trial="one"), make_joined(hits, trial="two")])
    trials = pd.DataFrame({"trial": ["one", "two"], "ratio": [0, 50]})
    table = performance_intervals(joined, trials, np.random.default_rng(3))
    assert list(table["ratio"]) == [0, 50]
    assert (table["performance_top1_low"] < np.sqrt(5 / 9)).all()
    assert (table["performance_top3_high"] == 1).all()
    pd.testing.assert_frame_equal(table, performance_intervals(joined, trials, np.random.default_rng(3)))


def test_intervals_are_of_the_test_images_at_the_snapshot_asked_for():
    tested = make_joined({"nice": [True] * 9, "real": [True] * 9})
    wrong = tested.assign(top1=False, top3=False)
    joined = pd.concat([tested, wrong.assign(snapshot="last"), wrong.assign(split="validation")])
    trials = pd.DataFrame({"trial": ["t"], "ratio": [30]})
    names = [f"performance_{top}_{end}" for top in ("top1", "top3") for end in ("low", "high")]
    for snapshot, bound in (("best_validation", 1.0), ("last", 0.0)):
        table = performance_intervals(joined, trials, np.random.default_rng(0), snapshot=snapshot)
        assert table.to_dict("records") == [{"ratio": 30} | dict.fromkeys(names, bound)]
    nothing = performance_intervals(joined, trials, np.random.default_rng(0), snapshot="best_test")
    assert nothing.empty and list(nothing) == ["ratio", *names]


def test_one_draw_has_one_value():
    joined = make_joined({"nice": [True] * 5 + [False] * 4, "real": [True] * 5 + [False] * 4})
    trials = pd.DataFrame({"trial": ["t"], "ratio": [30]})
    (row,) = performance_intervals(joined, trials, np.random.default_rng(0), draws=1).itertuples()
    assert row.performance_top1_low == row.performance_top1_high


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
    table = performance_intervals(joined, trials, np.random.default_rng(0)).set_index("ratio")
    measured = [measured_models(joined, trials[trials["ratio"] == ratio], "ratio")["performance"] for ratio in (0, 50)]
    typical = np.median([one.values.var(ddof=1) / one.scales[0] for one in measured]) / (1 - 2 / 18) ** 3
    for ratio, one in zip((0, 50), measured, strict=True):
        values, influences, mean = one.values[:, 0], one.influences[:, 0], one.values.mean()
        pairs = [influences[s] @ influences[t] for s in range(3) for t in range(3) if s != t]
        of_seed = (4 * typical * one.scales[0] + 2 * values.var(ddof=1)) / 6
        variance = max(np.mean(pairs), 0) + of_seed / 3
        quantile = student.ppf(0.975, 6 * (variance / (of_seed / 3)) ** 2)
        expected = wilson_interval(np.array([mean]), np.array([mean * (1 - mean) / variance]), quantile)
        assert table.loc[ratio, ["performance_top1_low", "performance_top1_high"]].tolist() == pytest.approx(
            [float(end[0]) for end in expected]
        )
    assert (
        table["performance_top3_high"].tolist() == pytest.approx([1, 1]) and (table["performance_top3_low"] > 0.8).all()
    )


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_over_seeds_hold_the_truth(seeds):
    """91 to 99% of nominal 95%, in simulated studies of eleven equal settings; see benchmarks/verdicts.py."""
    benchmark = runpy.run_path(str(BENCHMARK))
    case, generator = benchmark["CASES"]["all equal, near 50% best"], np.random.default_rng(seeds)
    found = []
    for _ in range(80):
        hits = benchmark["simulate"](case, seeds, generator)
        whole = measures_of(benchmark["RATIOS"], hits)["performance"]
        found.append((whole.values.mean(axis=0), intervals_over_seeds([whole.only(ratio) for ratio in whole.models])))
    truth = np.mean([means for means, _ in found])
    held = [low <= truth <= high for _, bounds in found for low, high in bounds]
    assert 0.91 <= np.mean(held) <= 0.99


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
    table = behind_best(joined, trials, 0, np.random.default_rng(0)).set_index("ratio")
    compared = compare(measured_models(joined, trials, "ratio")["performance"])
    for place, ratio in enumerate((0, 50, 100)):
        behind, margin = compared.differences[0, place], compared.margins(2)[0, place]
        assert table.loc[ratio].tolist() == pytest.approx([behind - margin, behind + margin])
    assert table.loc[0].tolist() == [0, 0] and table.loc[100, "behind_low"] > 0


def test_settings_are_compared_on_the_same_drawn_images_and_seeds():
    """Each of two settings has one seed that is always right and one that is always wrong; a third has one seed."""
    hits = {name: {domain: [right] * 50 for domain in ("nice", "real")} for name, right in (("a", True), ("b", False))}
    hits |= {"c": hits["b"], "d": hits["a"], "e": {"nice": [True] * 50, "real": [True] * 20 + [False] * 30}}
    joined = pd.concat([make_joined(rows, trial=trial) for trial, rows in hits.items()])
    columns = ["trial", "seed", "approach", "value"]
    rows = [("a", 3, "x", 0), ("b", 7, "x", 0), ("c", 7, "x", 50), ("d", 3, "x", 50), ("e", 3, "y", 0)]
    trials = pd.DataFrame(rows, columns=columns)
    drawn = resampled_settings(joined, trials, ["approach", "value"], np.random.default_rng(0), draws=4000)
    assert set(drawn) == {"nice", "real", "performance"}
    for frame in drawn.values():
        assert len(frame) == 4000 and list(frame) == [("x", 0), ("x", 50), ("y", 0)]
        assert frame.columns.names == ["approach", "value"]
        assert frame["x", 0].equals(frame["x", 50]), "paired"
        counts = frame["x", 0].value_counts(normalize=True)
        assert counts.to_dict() == pytest.approx({0.0: 0.25, 0.5: 0.5, 1.0: 0.25}, abs=0.04)
    alone = drawn["real"]["y", 0]
    assert alone.quantile([0.1, 0.9]).to_list() == pytest.approx(binom(50, 0.4).ppf([0.1, 0.9]) / 50, abs=0.021)
    pd.testing.assert_series_equal(drawn["performance"]["y", 0], np.sqrt(alone))
