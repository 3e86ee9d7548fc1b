"""Which models the test images cannot tell from the best one, in words."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixvision.reporting.ties import MOST_NAMED, marks_text, tied_rows, tied_sentence, tied_text


def table_of(*behind: float) -> pd.DataFrame:
    """Models a, b, c, ... of which a is the best."""
    return pd.DataFrame({"trial": list("abcdefghij")[: len(behind)], "behind_low": behind})


def test_a_few_models_are_named_and_many_counted():
    assert tied_sentence(table_of(0, -0.1, 0.2, 0), "a") == "These test images cannot tell it from b and d."
    many = tied_sentence(table_of(0, 0.1, *[0] * (MOST_NAMED + 1), np.nan), "a")
    assert many == f"These test images cannot tell it from {MOST_NAMED + 1} of the {MOST_NAMED + 2} other models."
    every = tied_sentence(table_of(*[0] * (MOST_NAMED + 2)), "a")
    assert every == f"These test images cannot tell it from any of the {MOST_NAMED + 1} other models."


def test_where_the_best_is_alone_or_nothing_was_compared():
    assert "every other model is behind it" in tied_sentence(table_of(0, 0.1, 0.2), "a")
    for alone in (table_of(0), table_of(0, np.nan), table_of(0, 0).drop(columns="behind_low")):
        assert tied_sentence(alone, "a") == "" and tied_text(alone, "a") == []


def test_rows_are_marked_by_name():
    assert tied_rows(["x", "a", "b", "a"], ["a"]) == [1, 3]


def test_faintly_green_rows_are_explained_only_where_there_are_any():
    assert marks_text("ratio", 60, [60]) == "The bold green row is the best ratio, picked on the validation images."
    assert marks_text("ratio", 60, []) == marks_text("ratio", 60, [60])
    assert "cannot tell the faintly green ones from it" in marks_text("ratio", 60, [50, 60])
