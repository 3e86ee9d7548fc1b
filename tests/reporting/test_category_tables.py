"""The table by category has a row per domain, in the order of the main table, and only of domains with images."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixvision.reporting.category_tables import WITHOUT_LEAKS, category_tables, chosen_category_tables
from mixvision.reporting.formatting import DASH

MEASURES = ("worst_category", "balanced_accuracy", "macro_f1")
NAMES = ["worst category", "balanced accuracy", "macro-F1"]


def make_rows(**values: list[float]) -> pd.DataFrame:
    """Two models; by domain each measure's numbers, a tenth higher from measure to measure."""
    columns = {
        f"{name}_{measure}": np.add(numbers, place / 10)
        for name, numbers in values.items()
        for place, measure in enumerate(MEASURES)
    }
    return pd.DataFrame({"trial": ["cnn", "mlp"], **columns})


def test_each_model_has_a_row_per_domain():
    (table,) = category_tables(make_rows(nice=[0.1, 0.2], real=[0.5, np.nan]), "trial", "model")
    assert list(table.frame) == ["model", "domain", *NAMES]
    assert table.frame.to_numpy().tolist() == [
        ["cnn", "nice", "0.100", "0.200", "0.300"],
        ["cnn", "real", "0.500", "0.600", "0.700"],
        ["mlp", "nice", "0.200", "0.300", "0.400"],
        ["mlp", "real", DASH, DASH, DASH],
    ]


def test_one_domain_needs_no_column_for_it():
    (table,) = category_tables(make_rows(nice=[np.nan, np.nan], real_test=[0.5, 0.6]), "trial", "model", "test")
    assert list(table.frame) == ["model", *NAMES] and list(table.frame["worst category"]) == ["0.500", "0.600"]
    assert category_tables(make_rows(nice=[np.nan, np.nan]), "trial", "model") == []


def test_of_a_metric_table_the_snapshot_chosen_on_validation_counts_with_its_deviation():
    rows = make_rows(nice=[0.1, 0.2], nice_std=[0.0, 0.0]).rename(
        columns=lambda name: name.replace("nice_std_", "nice_") + "_std" if name.startswith("nice_std_") else name
    )
    rows = rows.assign(ratio=[0, 0], snapshot=["last", "best_validation"], nice_worst_category_std=0.05)
    (table,) = chosen_category_tables(rows, "ratio", "% real", WITHOUT_LEAKS)
    assert table.title == WITHOUT_LEAKS
    assert table.frame.iloc[0, :2].tolist() == [0, "0.200 ± 0.050"]
