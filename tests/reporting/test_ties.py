"""Which models the test images cannot tell from the best one, in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixvision.reporting.ties import MOST_NAMED, marks_text, tied_rows, tied_sentence, tied_text


def table_of(*beaten: float) -> pd.DataFrame:
    """Models a, b, c, ... of which a is the best; NaN where one was not compared."""
    flags = pd.Series(beaten, dtype="object").map({0: False, 1: True})
    return pd.DataFrame({"trial": list("abcdefghij")[: len(beaten)], "is_beaten": flags})


def test_a_few_models_are_named_and_many_counted():
    assert tied_sentence(table_of(0, 0, 1, 0), "a") == "These test images cannot tell it from b and d."
    many = tied_sentence(table_of(0, 1, *[0] * (MOST_NAMED + 1), np.nan), "a")
    assert many == f"These test images cannot tell it from {MOST_NAMED + 1} of the {MOST_NAMED + 2} other models."
    every = tied_sentence(table_of(*[0] * (MOST_NAMED + 2)), "a")
    assert every == f"These test images cannot tell it from any of the {MOST_NAMED + 1} other models."


def test_where_the_best_is_alone_or_nothing_was_compared():
    alone = tied_sentence(table_of(0, 1, 1), "a")
    assert alone == "These test images tell it from every other model: with 95% probability it is the best."
    for table in (table_of(0), table_of(0, np.nan), table_of(0, 0).drop(columns="is_beaten")):
        assert tied_sentence(table, "a") == "" and tied_text(table, "a") == []


def test_rows_are_marked_by_name():
    assert tied_rows(["x", "a", "b", "a"], ["a"]) == [1, 3]


def test_faintly_green_rows_are_explained_only_where_there_are_any():
    assert marks_text("ratio", 60, [60]) == "The bold green row is the best ratio, picked on the validation images."
    assert marks_text("ratio", 60, []) == marks_text("ratio", 60, [60])
    for rule, kind in ((marks_text("ratio", 60, [50, 60]), "ratio"), (*tied_text(table_of(0, 0, 1), "a"), "model")):
        assert "cannot tell the faintly green" in rule
        assert f"no other {kind} is certainly better (with 95% probability the best one is among them)" in rule
        assert rule.endswith("look at one pair, this at all at once, so a green row's may lie above 0.")
