"""Labels in tables: CSV, TSV, or lines of file name and category."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from mixvision.images.formats.recognise import SUFFIXES
from mixvision.images.labels.rows import (
    FILE_COLUMNS,
    LABEL_COLUMNS,
    NAME_COLUMNS,
    SPLIT_COLUMNS,
    LabelSource,
    Row,
    is_image,
    normal,
    place_of,
)
from mixvision.images.split_names import split_named
from mixvision.images.text_files import (
    Line,
    lines_of,
    read_table,
    require_no_more_fields,
    require_one_line,
    separator_of,
    split_line,
)

FORM = "file name, tab, category"
ADVICE = f" If the columns mean something else, {NAME_COLUMNS}."
SAMPLE = 1000  # lines that show what a column holds
_SUFFIX = "|".join(map(re.escape, sorted(SUFFIXES)))
_NAME_WITH_BLANKS = re.compile(rf"\s*\"?(?P<name>.*?(?:{_SUFFIX}))\"?\s+(?P<rest>.+)", re.IGNORECASE)


class Columns(NamedTuple):
    """The places of what counts in each line, and whether the first line is a heading."""

    file: int
    label: int
    split: int | None
    has_heading: bool


def rows_of_table(text: str, path: Path, source: LabelSource) -> list[Row]:
    """The rows of a table.

    Args:
        text: its content.
        path: for messages.
        source: may name the columns.

    Raises:
        ValueError: the columns are unclear, or lines do not fit; the message names the first of them.
    """
    lines, by_blanks = _lines(text, path)
    columns = _columns(lines, path, source)
    if by_blanks:
        _require_clear_ends(lines, columns, path)
    else:
        _require_even_lines(lines, columns, path)
    rows: list[Row] = []
    wrong: list[Line] = []
    for line in lines[columns.has_heading :]:
        file, category = field_of(line, columns.file), field_of(line, columns.label)
        if not file or not category:
            wrong.append(line)
            continue
        require_one_line(line, [line.fields[columns.file], line.fields[columns.label]], f"the labels {path}")
        split = field_of(line, columns.split)
        rows.append(Row(f"Line {line.number} of the labels", file, category, split, advice=ADVICE))
    _require_fitting(wrong, path)
    if rows and all(is_image(row.category) for row in rows):
        raise ValueError(f"The labels {path} would give categories such as {rows[0].category!r}: {NAME_COLUMNS}.")
    return rows


def field_of(line: Line, place: int | None) -> str:
    """The field at a place of a line, or "" if it has none."""
    return line.fields[place].strip() if place is not None and place < len(line.fields) else ""


def _require_fitting(wrong: list[Line], path: Path) -> None:
    if wrong:
        others = ", ".join(str(line.number) for line in wrong[1:6])
        more = f" ({len(wrong)} lines do not fit, also {others}{', ...' if len(wrong) > 6 else ''})" if others else ""
        raise ValueError(
            f"Line {wrong[0].number} of the labels {path} is {wrong[0].text!r}, but must be: {FORM}{more}."
        )


def _lines(text: str, path: Path) -> tuple[list[Line], bool]:
    """The lines that are not empty, and whether blanks separate the columns of some."""
    lines = [(number, line) for number, line in enumerate(lines_of(text), start=1) if line.strip()]
    separator, share = separator_of([line for _, line in lines[:50]])
    if all(separator in line for _, line in lines) or (separator != "\t" and share > 0.5):
        return read_table(text, separator, f"the labels {path}"), False
    return [Line(number, _fields(line, number, path), line) for number, line in lines], True


def _fields(line: str, number: int, path: Path) -> list[str]:
    """The fields of a line that has tabs, or blanks only: names of images may have blanks, too."""
    name = f"the labels {path}"
    if "\t" in line:
        return split_line(line, "\t", number, name)
    match = _NAME_WITH_BLANKS.match(line)
    file, rest = ([match["name"]], match["rest"]) if match else ([], line)
    return file + [field for field in split_line(rest.strip(), " ", number, name) if field]


def _require_clear_ends(lines: list[Line], columns: Columns, path: Path) -> None:
    """Refuse lines separated by blanks that have more words than columns: a category may have blanks, too."""
    for line in lines:
        has_split = bool(columns.split is not None and split_named(field_of(line, columns.split)))
        expected = len(lines[0].fields) if columns.has_heading else 3 if has_split else 2
        if len(line.fields) > expected and "\t" not in line.text:
            raise ValueError(
                f"Line {line.number} of the labels {path} is {line.text!r}, with several words after the file's name, "
                "so that it is unclear where the category ends: separate the columns by tabs or commas."
            )


def _require_even_lines(lines: list[Line], columns: Columns, path: Path) -> None:
    """Refuse lines with more fields than the heading, or than others. Names have no tabs: more fields may follow."""
    counts = [len(line.fields) for line in lines if len(line.fields) > 1]
    most = len(lines[0].fields) if columns.has_heading else min(counts, default=2)
    for line in lines:
        if columns.has_heading or "\t" not in line.text:
            require_no_more_fields(line, most, f"the labels {path}")


def _columns(lines: list[Line], path: Path, source: LabelSource) -> Columns:
    """Where file, category and split are: by the names given, by usual names, or by what the lines hold."""
    first = [field.strip() for field in lines[0].fields] if lines else []
    names = [normal(field) for field in first]
    if source.file is not None and source.label is not None:
        for column in (source.file, source.label):
            if column not in first:
                has = ", ".join(map(repr, first)) or "none"
                raise ValueError(f"The labels {path} have no column {column!r}; their columns are {has}.")
        given = first.index(source.file), first.index(source.label)
        return Columns(*given, _split_column(lines, set(given), names), True)
    images = [place for place in range(len(first)) if _holds_images(lines[1:], place)]
    seen = images[0] if len(images) == 1 else None
    file, label = place_of(names, FILE_COLUMNS), place_of(names, LABEL_COLUMNS)
    if any(map(is_image, first)) or (file is label is seen is None):
        return _columns_without_heading(lines, path, seen or 0)
    file = seen if seen is not None else file
    split = _split_column(lines, {place for place in (file, label) if place is not None}, names)
    left = [place for place in range(len(first)) if place not in (file, label, split)]
    if len(left) == 1:  # the only one that the missing column can be
        file, label = left[0] if file is None else file, left[0] if label is None else label
    if file is None or label is None:
        lacking = "the categories" if label is None else "the files"
        raise ValueError(
            f"The labels {path} have the columns {', '.join(map(repr, first))}, and none is known as that of "
            f"{lacking}: {NAME_COLUMNS}."
        )
    return Columns(file, label, split, True)


def _columns_without_heading(lines: list[Line], path: Path, file: int) -> Columns:
    """The category is beside the file's name; what is in further columns does not count, unless they name splits."""
    count = len(lines[0].fields) if lines else 2
    split = _split_column(lines, {file, 1} if file == 0 else {file}, [])
    left = [place for place in range(count) if place not in (file, split)]
    if file > 0 and len(left) != 1:
        raise ValueError(
            f"The labels {path} have {count} columns without a heading, and the files are in column {file + 1}: "
            f"add a heading and {NAME_COLUMNS}."
        )
    return Columns(file, 1 if file == 0 else left[0], split, False)


def _holds_images(lines: list[Line], place: int) -> bool:
    return bool(lines) and all(is_image(field_of(line, place)) for line in lines[:SAMPLE])


def _split_column(lines: list[Line], taken: set[int], names: list[str]) -> int | None:
    """The column with mostly names of splits, whatever it is called, or else the one that is called like that."""
    sample = lines[1:SAMPLE] or lines
    for place in range(max((len(line.fields) for line in sample), default=0)):
        named = [bool(split_named(field_of(line, place))) for line in sample]
        if place not in taken and 2 * sum(named) > len(named):
            return place
    return next((place for place, name in enumerate(names) if name in SPLIT_COLUMNS and place not in taken), None)
