"""Cells of CSV files that a spreadsheet would take for formulas.

A file or category called "=HYPERLINK(...)" would be run when the table is opened. An apostrophe before it makes it a
text; it is removed when the table is read back. See OWASP, "CSV Injection".
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd

_DANGEROUS = re.compile(r"'*[=+\-@\t\r]")
_GUARDED = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def guard(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before each text, heading and index that begins like a formula."""
    return _apply(frame, _guarded)


def unguard(frame: pd.DataFrame) -> pd.DataFrame:
    """The table without these apostrophes."""
    return _apply(frame, _unguarded)


def _apply(frame: pd.DataFrame, change: Callable[[object], object]) -> pd.DataFrame:
    texts = frame.select_dtypes(include=["object", "string", "category"]).columns
    frame = frame.copy()
    for name in texts:
        if frame[name].map(change).ne(frame[name]).any():  # the type stays as it is elsewhere
            frame[name] = frame[name].map(change)
    frame.columns = frame.columns.map(change)
    if not isinstance(frame.index, pd.RangeIndex):
        frame.index = frame.index.map(change)
    return frame


def _guarded(value: object) -> object:
    is_formula = isinstance(value, str) and _DANGEROUS.match(value) and not _NUMBER.fullmatch(value)
    return f"'{value}" if is_formula else value


def _unguarded(value: object) -> object:
    return value[1:] if isinstance(value, str) and _GUARDED.match(value) else value
