"""The schema's tables are sound, and a frame that does not match its table is refused with a clear message."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mixvision.schema.catalog import TABLES, table_named
from mixvision.schema.columns import DTYPES, FLAG, NUMBER, TEXT, WHOLE, Column, Table, check
from mixvision.schema.metrics import METRICS, OVERALL_METRICS, SCORES
from mixvision.schema.tables import MIXING_TRIALS, PREDICTIONS, PROBABILITIES
from mixvision.vocabulary import CATEGORY_METRICS

FILE = "predictions.parquet"


@pytest.fixture
def predictions() -> pd.DataFrame:
    """Two models' predictions for two images."""
    return pd.DataFrame(
        {
            "trial": ["a", "a", "b", "b"],
            "snapshot": "last",
            "id": ["real/1", "real/2"] * 2,
            "prediction_1": ["NA", "007"] * 2,
            "prediction_2": ["007", "NA"] * 2,
            "probability_1": np.float32([0.9, 0.8, 0.7, 0.6]),
            "probability_2": np.float32([0.1, 0.2, 0.3, 0.4]),
        }
    )


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_sound(name):
    table = table_named(name)
    assert len(set(table.names)) == len(table.names)
    assert set(table.key) <= set(table.names)
    for column in (*table.columns, *table.more):
        assert column.kind in DTYPES and column.meaning
        assert column.kind == TEXT or not column.values
    empty = table.empty()
    check(empty, table, "a file")
    assert {str(dtype) for dtype in empty.dtypes} <= {"str", "int64", "float64", "bool", "object"}
    assert set(empty) == {column.name for column in table.columns if not column.optional}


def test_an_undeclared_table_is_refused_by_name():
    with pytest.raises(ValueError, match="schema is 'prediction', but .*/catalog.py declares only .*predictions"):
        table_named("prediction")


def test_families_match_columns_by_number_or_category(predictions):
    check(predictions, PREDICTIONS, FILE)
    assert PREDICTIONS.column("prediction_12").kind == TEXT
    assert PREDICTIONS.column("probability_2").kind == NUMBER
    assert PREDICTIONS.column("prediction_x") is None and PREDICTIONS.column("a_prediction_2") is None
    assert PROBABILITIES.column("any category (of all)").kind == NUMBER
    assert PROBABILITIES.column("view").kind == TEXT


def test_a_network_of_fewer_categories_may_have_fewer_predictions(predictions):
    fewer = predictions[["trial", "snapshot", "id", "prediction_1", "probability_1"]].assign(trial=["c", "c", "d", "d"])
    both = pd.concat([predictions, fewer], ignore_index=True)
    check(both, PREDICTIONS, FILE)
    check(both.astype({"prediction_2": object}), PREDICTIONS, FILE)


def test_metrics_are_told_from_settings_and_counts():
    names = ["trial", "images", "top1", "top5", "nice_top1", "stop1"]
    assert OVERALL_METRICS.metrics(names) == ["top1", "top5", "nice_top1"]
    assert METRICS.metrics(METRICS.names) == [
        name for name in METRICS.names if "top" in name or name in CATEGORY_METRICS
    ]
    assert SCORES.metrics(SCORES.names) == ["performance_top1"]  # a learning rate is a setting


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda table: table.drop(columns="snapshot"),
            r"lacks 'snapshot' \(state of the network\)\. Correct the names in the node",
        ),
        (
            lambda table: table.rename(columns={"id": "image"}),
            r"lacks 'id' \(.*\) and has the unknown column 'image'\.",
        ),
        (lambda table: table.assign(note="", more=0), r"has the unknown columns 'note', 'more'\."),
        (
            lambda table: table.assign(prediction_1=[1, 2, 3, 4]),
            r"'prediction_1' must hold text \(the most probable category\), but holds 1, 2, 3, \.\.\.",
        ),
        (lambda table: table.assign(prediction_1=["a", "b", "c", None]), "'prediction_1' has no value in 1 row"),
        (
            lambda table: table.assign(probability_1="much"),
            r"'probability_1' must hold numbers \(probability of prediction_1, fraction\), but holds 'much'",
        ),
        (
            lambda table: table.assign(probability_1=[0, 1, 1.1, -0.5]),
            r"'probability_1' must hold fractions from 0 to 1 \(probability of prediction_1\), but holds 1\.1, -0\.5",
        ),
        (
            lambda table: table.assign(snapshot="best"),
            "'snapshot' holds 'best', but must hold one of 'best_validation'",
        ),
        (lambda table: table.assign(probability_1=True), r"'probability_1' must hold numbers .*, but holds True\."),
        (
            lambda table: table.assign(id="real/1"),
            r"2 of its rows repeat the key of another, .* trial 'a', snapshot 'last', id 'real/1'\.",
        ),
    ],
)
def test_a_wrong_frame_is_refused_with_the_column_and_its_values(predictions, change, complaint):
    with pytest.raises(ValueError, match=f"predictions.parquet, the table 'predictions': .*{complaint}"):
        check(change(predictions), PREDICTIONS, FILE)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([0.5, 1, 2], r"'ratio' must hold whole numbers .*%.*holds 0\.5\."),
        ([0, 1, None], "'ratio' has no value in 1 row"),
        (["0", "1", "2"], r"'ratio' must hold whole numbers .*, but holds '0', '1', '2'\."),
    ],
)
def test_columns_of_whole_numbers_refuse_other_values(values, complaint):
    trials = pd.DataFrame({"trial": ["a", "b", "c"], "ratio": values, "seed": 0, "learning_rate": 0.1, "l2": 1})
    with pytest.raises(ValueError, match=complaint):
        check(trials, MIXING_TRIALS, "trials.csv")


def test_whole_numbers_may_be_missing_where_the_column_says_so():
    table = Table("t", (Column("epochs", WHOLE, "trained", missing=True),))
    check(pd.DataFrame({"epochs": [1, None, 3]}), table, "t.csv")
    with pytest.raises(ValueError, match=r"'epochs' must hold whole numbers \(trained\), but holds 2\.5\."):
        check(pd.DataFrame({"epochs": [1, None, 2.5]}), table, "t.csv")


def test_flags_may_be_missing_where_the_column_says_so():
    table = Table("t", (Column("is_beaten", FLAG, "beaten", missing=True),))
    check(pd.DataFrame({"is_beaten": [True, None, False]}), table, "t.csv")
    with pytest.raises(ValueError, match=r"'is_beaten' must hold True or False \(beaten\), but holds True, 'no'\."):
        check(pd.DataFrame({"is_beaten": [True, None, "no"]}), table, "t.csv")


def test_values_outside_the_vocabulary_are_refused():
    metrics = METRICS.empty().reindex(range(2)).assign(trial="a", snapshot="last", split=["test", "tset"])
    metrics = metrics.assign(nice_images=1, real_images=1)
    with pytest.raises(ValueError, match="'split' holds 'tset', but must hold one of 'train', 'validation', 'test'"):
        check(metrics, METRICS, "metrics.csv")


def test_the_file_of_another_version_says_so(predictions):
    old = predictions.rename(columns={"snapshot": "weights"})
    with pytest.raises(
        ValueError,
        match=r"lacks 'snapshot' .* has the unknown column 'weights'\. It was written by version 0\.2\.0 of Mixvision, "
        r"with other columns: correct it, or rerun the pipeline from the node that writes it\.$",
    ):
        check(old, PREDICTIONS, FILE, "version 0.2.0 of Mixvision")


def test_absent_columns_do_not_count_in_the_key():
    table = Table("t", (Column("a", TEXT, "a"), Column("b", TEXT, "b", optional=True)), key=("a", "b"))
    check(pd.DataFrame({"a": ["x", "x"], "b": ["y", "z"]}), table, "t.csv")
    with pytest.raises(ValueError, match="1 of its rows repeat the key of another, the first of them a 'x'"):
        check(pd.DataFrame({"a": ["x", "x"]}), table, "t.csv")
    check(pd.DataFrame({"a": ["x", "x"]}), replace(table, key=()), "t.csv")
