"""Forgetting and transfer against values known by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixvision.evaluation.metrics import performance
from mixvision.studies.iterative.forgetting import (
    accuracy_matrix,
    best_interpolations,
    continual_measures,
    forgetting_speed,
    interpolation_summary,
    second_domain,
    since_switch,
)
from mixvision.vocabulary import METRICS

TRIALS = pd.DataFrame({"trial": ["a", "b", "c"], "share": [30, 30, 60], "begin": [100, 100, 200]})


def make_metrics(accuracies: dict[tuple[str, str], tuple[float, float]], split: str = "test") -> pd.DataFrame:
    """Top-1 (and, to be ignored, top-3) of each trial and weights: nice and real."""
    rows = [
        (trial, weights, split, nice, real, performance(nice, real), 1.0, 1.0, 1.0)
        for (trial, weights), (nice, real) in accuracies.items()
    ]
    return pd.DataFrame(rows, columns=["trial", "snapshot", "split", *METRICS[:3], *METRICS[3:]])


METRICS_BY_HAND = pd.concat(
    [
        make_metrics(
            {
                ("a", "after_initial"): (0.9, 0.1),
                ("a", "last"): (0.3, 0.5),
                ("b", "after_initial"): (0.8, 0.2),
                ("b", "last"): (0.4, 0.6),
                ("c", "after_initial"): (0.9, 0.4),
                ("c", "last"): (0.9, 0.4),
                ("a", "best_validation"): (0.0, 0.0),
            }
        ),
        make_metrics({("a", "last"): (0.0, 0.0), ("a", "after_initial"): (1.0, 1.0)}, "validation"),
    ]
)


def make_history(curves: dict[str, dict[int, tuple[float, float]]]) -> pd.DataFrame:
    rows = [
        (trial, iteration, split, nice * scale, real * scale)
        for trial, points in curves.items()
        for iteration, (nice, real) in points.items()
        for split, scale in (("test", 1.0), ("validation", 0.0))
    ]
    return pd.DataFrame(rows, columns=["trial", "iteration", "split", "nice_top1", "real_top1"])


def test_the_matrix_averages_the_seeds_of_a_share_on_test_images():
    matrix = accuracy_matrix(METRICS_BY_HAND, TRIALS, "nice").set_index(["share", "after"])
    assert list(matrix.columns) == ["trials", "nice_top1", "nice_top1_std", "real_top1", "real_top1_std"]
    assert matrix.loc[(30, "initial"), ["nice_top1", "real_top1"]].tolist() == pytest.approx([0.85, 0.15])
    assert matrix.loc[(30, "restricted"), ["nice_top1", "real_top1"]].tolist() == pytest.approx([0.35, 0.55])
    assert matrix.loc[(30, "initial"), "nice_top1_std"] == pytest.approx(0.1 / np.sqrt(2))
    assert matrix["trials"].tolist() == [2, 2, 1, 1]
    assert len(matrix) == 4


def test_the_first_domain_comes_first():
    columns = list(accuracy_matrix(METRICS_BY_HAND, TRIALS, "real"))
    assert columns.index("real_top1") < columns.index("nice_top1")


def test_measures_follow_their_definitions():
    row = continual_measures(METRICS_BY_HAND, TRIALS, "nice").set_index("share").loc[30]
    assert row["trials"] == 2
    assert row["average_accuracy"] == pytest.approx((0.3 + 0.5 + 0.4 + 0.6) / 4)
    assert row["forgetting"] == pytest.approx((0.6 + 0.4) / 2)
    assert row["forgetting_std"] == pytest.approx(0.2 / np.sqrt(2))
    assert row["backward_transfer"] == pytest.approx(-0.5)
    gains = [np.sqrt(0.3 * 0.5) - 0.3, np.sqrt(0.4 * 0.6) - 0.4]
    assert row["performance_gain"] == pytest.approx(np.mean(gains))


def test_the_other_order_measures_the_other_domain():
    row = continual_measures(METRICS_BY_HAND, TRIALS, "real").set_index("share").loc[30]
    assert row["forgetting"] == pytest.approx(-0.4)  # real was learned better afterwards
    assert row["average_accuracy"] == pytest.approx(0.45)


def test_nothing_changed_is_nothing_forgotten():
    row = continual_measures(METRICS_BY_HAND, TRIALS, "nice").set_index("share").loc[60]
    assert (row["forgetting"], row["backward_transfer"], row["performance_gain"]) == (0, 0, 0)
    assert np.isnan(row["forgetting_std"])


def test_an_unknown_domain_is_refused():
    with pytest.raises(ValueError, match="'web'"):
        second_domain("web")
    assert (second_domain("nice"), second_domain("real")) == ("real", "nice")


def test_speed_is_interpolated_between_evaluations():
    falling = {50: (0.5, 0.1), 100: (0.9, 0.1), 150: (0.8, 0.1), 200: (0.4, 0.2), 400: (0.2, 0.3), 500: (0.1, 0.3)}
    speed = forgetting_speed(make_history({"a": falling}), TRIALS, "nice").iloc[0]
    assert (speed["share"], speed["trials"]) == (30, 1)
    assert speed["accuracy_at_switch"] == pytest.approx(0.9)
    assert speed["accuracy_after_200"] == pytest.approx(0.3)  # iteration 300
    assert speed["accuracy_at_end"] == pytest.approx(0.1)
    assert speed["iterations_to_half"] == pytest.approx(87.5)  # 0.5 between 0.8 at 50 and 0.4 at 100


def test_speed_averages_seeds_and_takes_the_first_domain():
    first = {100: (0.0, 0.8), 200: (0.0, 0.4)}
    second = {100: (0.0, 0.6), 200: (0.0, 0.0)}
    speed = forgetting_speed(make_history({"a": first, "b": second}), TRIALS, "real", after=50).iloc[0]
    assert speed["accuracy_after_50"] == pytest.approx((0.6 + 0.3) / 2)
    assert speed["iterations_to_half"] == pytest.approx(50)
    assert speed["iterations_to_half_std"] == pytest.approx(0)


def test_speed_is_missing_if_nothing_is_lost_or_training_is_too_short():
    rising = {100: (0.5, 0.1), 150: (0.4, 0.1), 200: (0.6, 0.1)}
    speed = forgetting_speed(make_history({"a": rising}), TRIALS, "nice").iloc[0]
    assert np.isnan(speed["iterations_to_half"])
    assert np.isnan(speed["accuracy_after_200"])  # only 100 iterations long


def test_the_switch_is_the_last_evaluation_of_the_initial_training():
    history = make_history({"a": {40: (0.1, 0), 80: (0.9, 0), 120: (0.5, 0)}, "c": {200: (0.7, 0), 210: (0.6, 0)}})
    after = since_switch(history, TRIALS)
    assert after[["trial", "since", "nice_top1"]].to_numpy().tolist() == [
        ["a", 0, 0.9],
        ["a", 20, 0.5],
        ["c", 0, 0.7],
        ["c", 10, 0.6],
    ]


def make_interpolations() -> pd.DataFrame:
    tested = {("a", "alpha_0.00"): (0.9, 0.1), ("a", "alpha_0.50"): (0.8, 0.4), ("a", "alpha_1.00"): (0.3, 0.5)}
    validated = {("a", "alpha_0.00"): (0.9, 0.1), ("a", "alpha_0.50"): (0.2, 0.2), ("a", "alpha_1.00"): (0.5, 0.5)}
    metrics = pd.concat([make_metrics(tested), make_metrics(validated, "validation")])
    return interpolation_summary(metrics, TRIALS)


def test_interpolations_are_ordered_by_share_and_alpha():
    summary = make_interpolations()
    tested = summary[summary["split"] == "test"]
    assert tested["alpha"].tolist() == [0.0, 0.5, 1.0]
    assert tested["nice_top1"].tolist() == [0.9, 0.8, 0.3]
    assert (summary["share"] == 30).all()


def test_the_best_alpha_is_picked_on_validation_and_measured_on_test():
    best = best_interpolations(make_interpolations())
    assert best[["share", "alpha", "nice_top1", "real_top1"]].to_numpy().tolist() == [[30, 1.0, 0.3, 0.5]]


def test_without_validation_images_no_alpha_is_best():
    summary = make_interpolations()
    assert best_interpolations(summary[summary["split"] == "test"]).empty
