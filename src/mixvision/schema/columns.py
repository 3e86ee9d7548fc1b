"""What a table is: columns of some kind, a key, and the check that a frame keeps to them. See `mixvision.schema`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd
from pandas.api import types

TEXT, WHOLE, NUMBER, FLAG = "text", "whole numbers", "numbers", "True or False"
FRACTION = "fraction"  # the unit of accuracies and probabilities, which lie between 0 and 1
ROUNDING = 1e-6  # by so much a sum of 32-bit probabilities may exceed 1
DTYPES = {TEXT: "str", WHOLE: "int64", NUMBER: "float64", FLAG: "bool"}


@dataclass(frozen=True)
class Column:
    """One column of a table, or a family of them.

    Attributes:
        name: as in the file. A family's has <k> for any whole number, or is <category>, for any category's name.
        kind: TEXT, WHOLE, NUMBER or FLAG.
        meaning: what a value says.
        unit: of the values; a FRACTION lies between 0 and 1.
        optional: whether the column may be absent.
        missing: whether single values may be missing; in a CSV file a missing text is an empty one.
        values: all that are allowed; without any, every value is.
        metric: whether it measures a trained model, so that the model's run in MLflow is to show it.
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
        """Whether a name is this column's, or one of this family."""
        pattern = re.escape(self.name).replace("<k>", r"\d+").replace("<category>", ".+")
        return re.fullmatch(pattern, name) is not None


@dataclass(frozen=True)
class Table:
    """A table: its columns in their order, and the key that tells its rows apart.

    Attributes:
        name: what it is called in sentences.
        columns: all that it has by a name of their own.
        key: names of the columns that no two rows have in common, of those that it has; without any, rows may repeat.
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
        """The column of this name, or the family that it belongs to."""
        own = (column for column in self.columns if column.name == name)
        return next(own, None) or next((family for family in self.more if family.has(name)), None)

    def kinds(self, names: Iterable[str]) -> dict[str, str]:
        """The kinds of those columns of these names that are the table's."""
        return {name: column.kind for name in names if (column := self.column(name))}

    def metrics(self, names: Iterable[str]) -> list[str]:
        """Those of the names that are metrics of a trained model."""
        return [name for name in names if (column := self.column(name)) and column.metric]

    def with_columns(self, *columns: Column) -> Table:
        """The same with further columns."""
        return replace(self, columns=(*self.columns, *columns))

    def empty(self) -> pd.DataFrame:
        """The table without rows: every column that is not optional, with its type."""
        required = {column.name: DTYPES[column.kind] for column in self.columns if not column.optional}
        return pd.DataFrame(columns=list(required)).astype(required)


def check(frame: pd.DataFrame, table: Table, where: str, written_by: str = "") -> None:
    """Refuse a frame that is not what its table is declared to be.

    Args:
        frame: all rows and columns.
        table: what it must be.
        where: the file, for the sentence.
        written_by: who wrote the file that the frame was read from, such as "version 0.2.0 of Mixvision"; empty where
            it is about to be written.

    Raises:
        ValueError: a column is absent or unknown, has another type, lacks values or has one that is not allowed; or two
            rows have the same key. The sentence says which, and what to do.
    """
    at = f"{where}, the table {table.name!r}"
    _check_names(frame, table, at, written_by)
    remedy = "Correct it there, or run the pipeline from the node that writes it again."
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
            f"{at}: {repeated.sum()} of its rows repeat another's key, the first of them {shown}. {remedy}"
        )


def _check_names(frame: pd.DataFrame, table: Table, at: str, written_by: str) -> None:
    required = [column for column in table.columns if not column.optional]
    absent = [f"{column.name!r} ({column.meaning})" for column in required if column.name not in frame]
    unknown = [repr(name) for name in frame if not table.column(name)]
    if not absent and not unknown:
        return
    lacks = [f"lacks {_first(absent)}"] if absent else []
    has = [f"has {_first(unknown)}, unknown here"] if unknown else []
    remedy = "Correct the names in the node that makes the table, or declare them in mixvision/schema."
    if written_by:
        remedy = f"It was written by {written_by}, which has other columns: "
        remedy += "correct it, or run the pipeline from the node that writes it again."
    raise ValueError(f"{at}: it {' and '.join(lacks + has)}. {remedy}")


def _complaint(values: pd.Series, column: Column) -> str:
    """What is wrong with the values of a column, or nothing."""
    if values.hasnans:
        if not column.missing:
            lacking = int(values.isna().sum())
            return f"has no value in {lacking} row{'s' if lacking > 1 else ''}, but must have one in each"
        values = values.dropna()
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
    """Whether values are of a kind; whole numbers of which some are missing are floats without fractions."""
    if kind == TEXT:
        return types.is_string_dtype(values)
    if kind == FLAG:
        return types.is_bool_dtype(values)
    is_number = types.is_numeric_dtype(values) and not types.is_bool_dtype(values)
    if kind == NUMBER or types.is_integer_dtype(values):
        return is_number
    return is_number and bool((values % 1 == 0).all())


def _misfits(kind: str, values: pd.Series) -> pd.Series:
    """Of values that are not of a kind those to blame; all where one cannot tell."""
    if kind not in (WHOLE, NUMBER):
        return values
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = values[numbers.isna() | ((numbers % 1 != 0) if kind == WHOLE else False)]
    return wrong if len(wrong) else values


def _first(texts: list[str]) -> str:
    return ", ".join([*texts[:3], "..."] if len(texts) > 3 else texts)
