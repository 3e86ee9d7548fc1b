"""CSV files that say something about each image of a source, such as its group or its split."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mixvision.images.names import composed, tidied
from mixvision.images.text_files import (
    decode_text,
    lines_of,
    read_table,
    require_no_more_fields,
    require_one_line,
    separator_of,
)

logger = logging.getLogger(__name__)

SAMPLE = 50  # lines that show which sign separates the columns


@dataclass(frozen=True)
class FileTable:
    """A CSV file with one line per image, separated by commas, semicolons or tabs.

    Args:
        setting: what it says of each image, which is also the name of the setting that names it: "group" or "split".
        table: the file, below the source's root or relative to the project.
        file: its column with paths below the root, or with file names if they are unique.
        column: its column with what is said.
    """

    setting: str
    table: str
    file: str
    column: str


def look_up(paths: Sequence[str], table: FileTable, root: Path, domain: str) -> list[str]:
    """What the table says of each path, or else of the file's name; "" if it has neither.

    Args:
        paths: below the root.
        table: where to look.
        root: the folder that the paths are relative to.
        domain: for messages.

    Raises:
        FileNotFoundError, ValueError: the table does not exist, lacks a column, contradicts itself, or names a file by
            a name that several images have.
    """
    found, paths = _read(table, root, domain), [composed(path) for path in paths]
    unused = sorted(set(found) - set(paths) - {PurePosixPath(path).name for path in paths})
    if unused:
        text = "%s: %d lines of the table of %ss fit no image, such as %s."
        logger.warning(text, domain, len(unused), table.setting, unused[0])
    names = [PurePosixPath(path).name for path in paths]
    counts = Counter(name for name, path in zip(names, paths, strict=True) if path not in found)
    twice = next((name for name, count in counts.items() if count > 1 and name in found), None)
    if twice is not None:
        same = [path for name, path in zip(names, paths, strict=True) if name == twice][:2]
        raise ValueError(
            f"The table of {table.setting}s, {table.table}, names the file {twice!r}, but several {domain!r} images "
            f"have this name, such as {' and '.join(same)}: give their paths in the column {table.file!r}."
        )
    return [found.get(path, found.get(name, "")) for path, name in zip(paths, names, strict=True)]


def _read(table: FileTable, root: Path, domain: str) -> dict[str, str]:
    """What is said, by path or file name."""
    places = [folder / table.table for folder in (root, Path())]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        looked = " and ".join(str(place.absolute()) for place in places)
        raise FileNotFoundError(
            f"The table of {table.setting}s of {domain!r} images does not exist: looked for {looked}. "
            f"Correct {table.setting}.table."
        )
    name = f"the table of {table.setting}s {path}"
    text = decode_text(path.read_bytes(), path)
    separator, _ = separator_of([line for line in lines_of(text) if line.strip()][:SAMPLE])
    lines = read_table(text, separator, name)
    columns = [field.strip() for field in lines[0].fields] if lines else []
    for column in (table.file, table.column):
        if column not in columns:
            has = ", ".join(map(repr, columns)) or "none"
            raise ValueError(f"The table of {table.setting}s {path} has no column {column!r}; its columns are {has}.")
    indices = [columns.index(column) for column in (table.file, table.column)]
    found: dict[str, str] = {}
    for line in lines[1:]:
        fields = [line.fields[index] if index < len(line.fields) else "" for index in indices]
        require_one_line(line, fields, name)
        require_no_more_fields(line, len(columns), name)
        file, value = composed(fields[0].strip().replace("\\", "/").removeprefix("./")), tidied(fields[1])
        if file and found.setdefault(file, value) != value:
            raise ValueError(
                f"Line {line.number} of {name} gives {file!r} the {table.setting} {value!r}, but an earlier line "
                f"gives it {found[file]!r}: keep one."
            )
    return found
