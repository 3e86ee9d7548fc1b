"""The table by category that stands beside every table of results: what an accuracy over all images hides."""

from __future__ import annotations

import pandas as pd

from mixvision.reporting.formatting import number, with_spread
from mixvision.reporting.names import plain_name
from mixvision.reporting.page import Table
from mixvision.vocabulary import CATEGORY_MEASURES, DOMAINS, TEST, category_metric

TITLE = "By category, test images"
WITHOUT_LEAKS = "By category, test images that do not leak"
EXPLANATION = (
    "An accuracy over all images hides how single categories fare. In the table by category each one counts alike, in "
    "each domain by itself: the worst category is the lowest recall of any of them, the balanced accuracy the mean "
    "recall, macro-F1 the mean F1. All are of the snapshot chosen on validation."
)


def category_tables(rows: pd.DataFrame, by: str, heading: str, split: str = "", title: str = TITLE) -> list[Table]:
    """The measures by category of each row and domain, as text.

    They are a table of their own, with a row per domain, so that it and the main table are readable on a phone.

    Args:
        rows: one row per model or setting: its name in ``by``, and ``<domain>_<measure>`` or, of tables that say which
            split a column is of, ``<domain>_<split>_<measure>``; with ``..._std`` over seeds, or without.
        by: the column of the names.
        heading: what the names are.
        split: of the columns, where they name it.
        title: of the table.

    Returns:
        One table, without the column ``domain`` if only one has images; none if no domain has.
    """
    parts = {}
    for domain in DOMAINS:
        columns = {measure: category_metric(domain, measure, split) for measure in CATEGORY_MEASURES}
        if any(name in rows and rows[name].notna().any() for name in columns.values()):
            texts = {plain_name(measure): _text(rows, name) for measure, name in columns.items()}
            parts[domain] = pd.DataFrame({heading: rows[by], "domain": domain, **texts}).reset_index(drop=True)
    if not parts:
        return []
    shown = pd.concat(parts.values()).sort_index(kind="stable").reset_index(drop=True)
    return [Table(title, shown if len(parts) > 1 else shown.drop(columns="domain"))]


def tested_category_tables(table: pd.DataFrame, splits: tuple[str, ...] = (TEST,)) -> list[Table]:
    """The tables by category of a table of models (``trial``), one for each of its sets of test images."""
    titles = {split: TITLE if split == TEST else f"By category, {split} test images" for split in splits}
    made = [category_tables(table, "trial", "model", split, title) for split, title in titles.items()]
    return [shown for tables in made for shown in tables]


def chosen_category_tables(table: pd.DataFrame, by: str, heading: str, title: str = TITLE) -> list[Table]:
    """The table by category of a metric table, of the snapshot chosen on validation."""
    return category_tables(table[table["snapshot"] == "best_validation"], by, heading, title=title)


def _text(rows: pd.DataFrame, name: str) -> pd.Series:
    return with_spread(rows, name) if f"{name}_std" in rows else rows[name].map(number)
