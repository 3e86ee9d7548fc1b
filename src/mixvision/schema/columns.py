"""Declarations of columns and tables, and the check that a frame matches its table's. See `mixvision.schema`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd
from pandas.api import types

TEXT, WHOLE, NUMBER, FLAG = "text", "whole numbers", "numbers", "True or False"
FRACTION = "fraction"  # the unit of accuracies and probabilities, which lie between 0 and 1
ROUNDING = 1e-6  # how far a sum of 32-bit probabilities may exceed 1
DTYPES = {TEXT: "str", WHOLE: "int64", NUMBER: "float64", FLAG: "bool"}


@dataclass(frozen=True)
class Column:
    """One column of a table, or a family of them.

    Attributes:
        name: as in the file. In a family's name, <k> stands for any whole number and <category> for any category.
        kind: TEXT, WHOLE, NUMBER or FLAG.
        meaning: what a value means.
        unit: of the values; a FRACTION lies between 0 and 1.
        optional: whether the column may be absent.
        missing: whether values may be missing; in a CSV file, a missing text is an empty one.
        values: the allowed values; if empty, every value is allowed.
        metric: whether it is a metric of a trained model, to be logged to the model's run in MLflow.
    """

    name: str
    kind: str
    meaning: str
    unit: str = ""
    optional: bool = False
    missing: bool = False
    values: tuple[str, ...] = ()
    metric: bool = False

    def has(self, name: str) -> bool:
        """Whether a name is this column's, or belongs to this family."""
        pattern = re.escape(self.name).replace("<k>", r"\d+").replace("<category>", ".+")
        return re.fullmatch(pattern, name) is not None


@dataclass(frozen=True)
class Table:
    """A table: its columns in order, and the key that identifies a row.

    Attributes:
        name: its name in messages.
        columns: the columns with fixed names.
        key: names of the columns that together identify a row; absent ones do not count. If empty, rows may repeat.
        more: families of further columns.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    more: tuple[Column, ...] = ()

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def column(self, name: str) -> Column | None:
        """The column of this name, or the family that it belongs to, or None."""
        own = (column for column in self.columns if column.name == name)
        return next(own, None) or next((family for family in self.more if family.has(name)), None)

    def kinds(self, names: Iterable[str]) -> dict[str, str]:
        """The kinds of the named columns, without those that the table does not declare."""
        return {name: column.kind for name in names if (column := self.column(name))}

    def metrics(self, names: Iterable[str]) -> list[str]:
        """The names that are metrics of a trained model."""
        return [name for name in names if (column := self.column(name)) and column.metric]

    def with_columns(self, *columns: Column) -> Table:
        """The same table with further columns."""
        return replace(self, columns=(*self.columns, *columns))

    def empty(self) -> pd.DataFrame:
        """A frame without rows that has every required column, with its type."""
        required = {column.name: DTYPES[column.kind] for column in self.columns if not column.optional}
        return pd.DataFrame(columns=list(required)).astype(required)


def check(frame: pd.DataFrame, table: Table, where: str, written_by: str = "") -> None:
    """Refuse a frame that does not match its table's declaration.

    Args:
        frame: all rows and columns.
        table: the declaration.
        where: the file, for the message.
        written_by: what wrote the file that the frame was read from, such as "version 0.2.0 of Mixvision"; empty if
            the frame is about to be written.

    Raises:
        ValueError: a column is absent or unknown, has the wrong type, lacks values or has one that is not allowed; or
            two rows have the same key. The message says which, and what to do.
    """
    at = f"{where}, the table {table.name!r}"
    _check_names(frame, table, at, written_by)
    remedy = "Correct the file, or rerun the pipeline from the node that writes it."
    remedy = remedy if written_by else "Correct it in the node that makes the table."
    for name in frame:
        column = table.column(name)
        if column and (complaint := _complaint(frame[name], column)):
            raise ValueError(f"{at}: its column {name!r} {complaint}. {remedy}")
    key = [name for name in table.key if name in frame]
    if key and (repeated := frame.duplicated(key)).any():
        first = frame.loc[repeated.to_numpy(), key].iloc[0]
        shown = ", ".join(f"{name} {value!r}" for name, value in first.items())
        raise ValueError(
            f"{at}: {repeated.sum()} of its rows repeat the key of another, the first of them {shown}. {remedy}"
        )


def _check_names(frame: pd.DataFrame, table: Table, at: str, written_by: str) -> None:
    required = [column for column in table.columns if not column.optional]
    absent = [f"{column.name!r} ({column.meaning})" for column in required if column.name not in frame]
    unknown = [repr(name) for name in frame if not table.column(name)]
    if not absent and not unknown:
        return
    lacks = [f"lacks {_first(absent)}"] if absent else []
    has = [f"has the unknown column{'s' if len(unknown) > 1 else ''} {_first(unknown)}"] if unknown else []
    remedy = "Correct the names in the node that makes the table, or declare them in mixvision/schema."
    if written_by:
        remedy = f"It was written by {written_by}, with other columns: "
        remedy += "correct it, or rerun the pipeline from the node that writes it."
    raise ValueError(f"{at}: it {' and '.join(lacks + has)}. {remedy}")


def _complaint(values: pd.Series, column: Column) -> str:
    """What is wrong with the values of a column, or an empty text."""
    if values.hasnans:
        if not column.missing:
            lacking = int(values.isna().sum())
            return f"has no value in {lacking} row{'s' if lacking > 1 else ''}, but must have one in each"
        values = values.dropna().infer_objects()  # flags among which some are missing are objects
    if not len(values):
        return ""  # no values, no type
    if not _is(column.kind, values):
        unit = f", {column.unit}" if column.unit else ""
        found = _first([repr(value) for value in _misfits(column.kind, values).unique().tolist()])
        return f"must hold {column.kind} ({column.meaning}{unit}), but holds {found}"
    outside = values[~values.between(-ROUNDING, 1 + ROUNDING)] if column.unit == FRACTION else values[:0]
    if len(outside):
        found = _first([repr(value) for value in outside.unique().tolist()])
        return f"must hold fractions from 0 to 1 ({column.meaning}), but holds {found}"
    others = set(values.unique()) - set(column.values) if column.values else set()
    if others:
        allowed = ", ".join(map(repr, column.values))
        return f"holds {_first(sorted(map(repr, others)))}, but must hold one of {allowed}"
    return ""


def _is(kind: str, values: pd.Series) -> bool:
    """Whether values are of a kind; whole numbers with missing ones among them are floats without fractions."""
    if kind == TEXT:
        return types.is_string_dtype(values)
    if kind == FLAG:
        return types.is_bool_dtype(values)
    is_number = types.is_numeric_dtype(values) and not types.is_bool_dtype(values)
    if kind == NUMBER or types.is_integer_dtype(values):
        return is_number
    return is_number and bool((values % 1 == 0).all())


def _misfits(kind: str, values: pd.Series) -> pd.Series:
    """The values that are not of a kind, or all of them if no single ones stand out."""
    if kind not in (WHOLE, NUMBER):
        return values
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = values[numbers.isna() | ((numbers % 1 != 0) if kind == WHOLE else False)]
    return wrong if len(wrong) else values


def _first(texts: list[str]) -> str:
    return ", ".join([*texts[:3], "..."] if len(texts) > 3 else texts)
