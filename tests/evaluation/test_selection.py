"""The best is the highest on validation images, the first of equals; what was not measured cannot be it."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from mixvision.evaluation.selection import best_first, best_label, best_model, best_of_each, not_behind, rank

TABLE = pd.DataFrame(
    {
        "trial": ["a", "b", "c", "d", "e"],
        "ratio": [20, 80, 20, 80, 50],
        "validation_top1": [0.5, 0.7, 0.9, 0.7, math.nan],
        "test_top1": [0.9, 0.8, 0.1, 0.9, 1.0],
    },
    index=[7, 3, 9, 1, 5],
)


def test_equals_keep_their_order_and_missing_scores_come_last():
    assert rank([0.1, math.nan, 0.3, 0.1, 0.3]).tolist() == [2, 4, 0, 3, 1]
    assert best_first(TABLE)["trial"].tolist() == ["c", "b", "d", "a", "e"]
    assert rank([0.5, 0.7] * 20).tolist() == [*range(1, 40, 2), *range(0, 40, 2)]


def test_the_best_model_is_the_first_of_equals():
    assert best_model(TABLE) == "c"
    assert best_model(TABLE[TABLE["trial"] != "c"]) == "b"
    assert best_model(TABLE.assign(test_top1=TABLE["test_top1"].mask(TABLE["trial"] == "c"))) == "c", "not yet tested"


def test_without_a_validation_accuracy_there_is_none():
    with pytest.raises(ValueError, match="No model has a validation accuracy"):
        best_model(TABLE[TABLE["trial"] == "e"])


def test_the_best_of_each_group():
    best = best_of_each(TABLE, "ratio", "validation_top1")
    assert best[["ratio", "trial"]].to_numpy().tolist() == [[20, "c"], [80, "b"]]
    tested = best_of_each(TABLE, "ratio", "test_top1")
    assert tested[["ratio", "trial"]].to_numpy().tolist() == [[20, "a"], [50, "e"], [80, "d"]]


def test_the_label_of_the_best_score():
    scores = pd.Series([math.nan, 0.7, 0.9, 0.9], index=[0, 40, 80, 100], name="validation_performance")
    assert best_label(scores) == 80
    with pytest.raises(ValueError, match="There is no score in 'validation_performance'"):
        best_label(scores.head(1))


def test_what_no_other_one_beats_cannot_be_told_from_the_best_which_always_belongs_to_it():
    """Whatever the interval of one pair says; where nothing was compared, nothing can be said."""
    table = TABLE.drop_duplicates("trial").assign(is_beaten=[True, False, True, False, math.nan])
    assert not_behind(table.assign(behind_low=[-0.1, 0.1, 0.0, 0.0, math.nan]), "c", "trial") == ["b", "c", "d"]
    assert not_behind(TABLE, "c", "trial") == ["c"], "nothing was compared"
