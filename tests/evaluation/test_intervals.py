"""Intervals against scipy and against bootstraps written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from mixvision.evaluation.intervals import performance_interval, performance_intervals, wilson_interval


def make_joined(hits: dict[str, list[bool]], clusters: dict[str, list[int]] | None = None, trial: str = "t"):
    rows = [
        (trial, "best_validation", "test", f"{domain}/{place}", domain, hit, True)
        for domain, list_of_hits in hits.items()
        for place, hit in enumerate(list_of_hits)
    ]
    joined = pd.DataFrame(rows, columns=["trial", "snapshot", "split", "id", "domain", "top1", "top3"])
    numbers = range(len(rows)) if clusters is None else [n for domain in hits for n in clusters[domain]]
    return joined.assign(cluster=list(numbers))


@pytest.mark.parametrize(("hits", "images"), [(0, 5), (3, 5), (5, 5), (181, 240)])
def test_wilson_interval_equals_scipy(hits, images):
    expected = binomtest(hits, images).proportion_ci(0.95, method="wilson")
    low, high = wilson_interval(np.array([hits / images]), np.array([images]))
    assert (low[0], high[0]) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_bootstrap_equals_one_written_out():
    hits = {"nice": [True] * 55 + [False] * 5, "real": [True] * 20 + [False] * 30}
    ours = performance_interval(make_joined(hits), np.random.default_rng(0), draws=20_000)
    generator = np.random.default_rng(1)
    means = [generator.choice(hits[domain], (20_000, len(hits[domain]))).mean(axis=1) for domain in hits]
    assert ours == pytest.approx(np.quantile(np.sqrt(means[0] * means[1]), [0.025, 0.975]), abs=0.01)


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
