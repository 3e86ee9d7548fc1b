"""No cell of a CSV file that we write is a formula, and every table is read as it was."""

from __future__ import annotations

import csv

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixvision.datasets.tables import GuardedCSVDataset, TableDataset
from mixvision.schema.cells import guard, unguard

NAMES = ['=HYPERLINK("http://x","y")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\tx", "'=x", "-5", "apple"]


def test_formulas_become_texts():
    written = guard(pd.DataFrame({"category": NAMES}))["category"].tolist()
    assert written == [*(f"'{name}" for name in NAMES[:6]), "-5", "apple"]


@given(st.lists(st.text(alphabet="'=+-@\ta1.e"), max_size=5))
def test_what_is_guarded_comes_back(texts):
    frame = pd.DataFrame({"name": texts}, dtype="str")
    pd.testing.assert_frame_equal(unguard(guard(frame)), frame)


def test_excluded_files_with_names_of_formulas(tmp_path):
    rows = [(f"real/{name}", "real", name, name, "not an image") for name in NAMES]
    frame = pd.DataFrame(rows, columns=["id", "domain", "category", "path", "reason"])
    dataset = TableDataset(filepath=str(tmp_path / "excluded.csv"), schema="excluded_files")
    dataset.save(frame)
    cells = [cell for row in csv.reader((tmp_path / "excluded.csv").open(newline="")) for cell in row]
    assert not [cell for cell in cells if cell[:1] in tuple("=+@\t") or cell == "-2+3"]
    pd.testing.assert_frame_equal(dataset.load(), frame.astype("str"))


@pytest.mark.parametrize("index", [False, True])
def test_headings_and_index(tmp_path, index):
    """A confusion matrix has categories in both."""
    dataset = GuardedCSVDataset(filepath=str(tmp_path / "a.csv"), save_args={"index": index},
                                load_args={"index_col": 0 if index else None})  # fmt: skip
    matrix = pd.DataFrame([[1, 2], [3, 4]], index=["=a", "b"] if index else None, columns=["=a", "b"])
    dataset.save(matrix)
    assert (tmp_path / "a.csv").read_text().splitlines()[:2] == ([",'=a,b", "'=a,1,2"] if index else ["'=a,b", "1,2"])
    pd.testing.assert_frame_equal(dataset.load(), matrix)


def test_carriage_returns_in_names_are_read_back(tmp_path):
    rows = [
        ("real/c\rd.png", "real", "c", "c\rd.png", "not an image"),
        ("real/e.png", "real", "e", "e.png", "empty file"),
    ]
    frame = pd.DataFrame(rows, columns=["id", "domain", "category", "path", "reason"])
    dataset = TableDataset(filepath=str(tmp_path / "excluded.csv"), schema="excluded_files")
    dataset.save(frame)
    pd.testing.assert_frame_equal(dataset.load(), frame.astype("str"))
