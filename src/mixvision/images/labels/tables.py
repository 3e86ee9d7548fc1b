"""Labels in tables: CSV, TSV, or lines of file name and category."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from mixvision.images.formats.recognise import SUFFIXES
from mixvision.images.labels.rows import (
    FILE_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    LabelSource,
    Row,
    is_image,
    normal,
    place_of,
)

FORM = "file name, tab, category"
_SUFFIX = "|".join(map(re.escape, sorted(SUFFIXES)))
_NAME_WITH_BLANKS = re.compile(rf"\s*\"?(?P<name>.*?(?:{_SUFFIX}))\"?\s+(?P<rest>.+)", re.IGNORECASE)


def rows_of_table(text: str, path: Path, source: LabelSource) -> list[Row]:
    lines = _lines(text, path)
    file, label, split, has_header = _columns(lines, path, source)
    rows: list[Row] = []
    wrong = []
    _require_single_words(lines, path)
    for number, fields, line in lines[has_header:]:
        name, category = (fields[place].strip() if place < len(fields) else "" for place in (file, label))
        if not name or not category:
            wrong.append((number, line))
            continue
        named = fields[split].strip() if split is not None and split < len(fields) else ""
        rows.append((f"Line {number} of the labels", name, category, named))
    if wrong:
        number, line = wrong[0]
        others = ", ".join(str(number) for number, _ in wrong[1:6])
        more = f" ({len(wrong)} lines do not fit, also {others}{', ...' if len(wrong) > 6 else ''})" if others else ""
        raise ValueError(f"Line {number} of the labels {path} is {line!r}, but must be: {FORM}{more}.")
    return rows


def _lines(text: str, path: Path) -> list[tuple[int, list[str], str]]:
    """Number, fields and text of every line that is not empty."""
    sample = [line for line in text.splitlines() if line.strip()][:50]
    try:
        separated = {sign: sum(len(_split(line, sign)) > 1 for line in sample) for sign in "\t,;"}
        separator = max(separated, key=lambda sign: separated[sign])
        if separator != "\t" and 2 * separated[separator] > len(sample):
            reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator, skipinitialspace=True)
            rows = [(reader.line_num, fields, separator.join(fields)) for fields in reader]
            return [row for row in rows if any(map(str.strip, row[1]))]
    except csv.Error as error:
        raise ValueError(f"The labels {path} cannot be read as a table: {error}.") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    return [(number, _fields(line), line) for number, line in lines]


def _require_single_words(lines: list[tuple[int, list[str], str]], path: Path) -> None:
    """Refuse lines separated by blanks in which categories may have blanks, too: their numbers of words differ."""
    loose = [row for row in lines if not any(sign in row[2] for sign in '\t,;"')]
    lengths = {len(fields) for _, fields, _ in loose}
    if len(lengths) > 1 and len(loose) == len(lines):
        number, _, line = max(loose, key=lambda row: len(row[1]))
        raise ValueError(
            f"Line {number} of the labels {path} is {line!r}, but other lines have fewer words, so that it is unclear "
            "where the category ends: separate the columns by tabs or commas."
        )


def _split(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])


def _fields(line: str) -> list[str]:
    """The fields of a line that has tabs, or blanks only: names of images may have blanks, too."""
    if "\t" in line:
        return _split(line, "\t")
    match = _NAME_WITH_BLANKS.match(line)
    if match is None:
        return line.split()
    rest = match["rest"].strip()
    quoted = rest.partition('"')[2].partition('"')[0] if rest.startswith('"') else ""
    return [match["name"], quoted] if quoted else [match["name"], *rest.split()]


def _columns(
    lines: list[tuple[int, list[str], str]], path: Path, source: LabelSource
) -> tuple[int, int, int | None, bool]:
    """The places of file, category and split in each line, and whether the first line names them."""
    first = [field.strip() for field in lines[0][1]] if lines else []
    names = [normal(field) for field in first]
    if source.file is not None and source.label is not None:
        for column in (source.file, source.label):
            if column not in first:
                has = ", ".join(map(repr, first)) or "none"
                raise ValueError(f"The labels {path} have no column {column!r}; their columns are {has}.")
        return first.index(source.file), first.index(source.label), place_of(names, SPLIT_COLUMNS), True
    file, label = place_of(names, FILE_COLUMNS), place_of(names, LABEL_COLUMNS)
    if file is not None and label is not None and file != label:
        return file, label, place_of(names, SPLIT_COLUMNS), True
    has_heading = len(lines) > 1 and not is_image(first[:1]) and all(is_image(row[1]) for row in lines[1:])
    if (file is not None or has_heading) and len(first) > 2:  # scores of each class, say, or captions
        raise ValueError(
            f"The labels {path} have the columns {', '.join(map(repr, first))}, and none is known as that of the "
            "categories: name both in the configuration, labels: {table: ..., file: ..., label: ...}."
        )
    if file is not None and len(first) == 2:
        return file, 1 - file, None, True
    return 0, 1, None, has_heading
