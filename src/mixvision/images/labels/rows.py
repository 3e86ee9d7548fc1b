"""What a source asks of its label files, and the rows that they give."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from mixvision.images.formats.recognise import SUFFIXES

# Usual names of columns, as `normal` writes them.
FILE_COLUMNS = (
    *("file", "filename", "filepath", "path", "image", "imagename", "imagepath", "img", "photo", "picture"),
    *("imageid", "id", "name"),
)
LABEL_COLUMNS = (
    *("label", "category", "class", "classname", "categoryname", "labelname", "target", "species", "breed"),
    *("variety", "labels", "diagnosis", "y"),
)
SPLIT_COLUMNS = ("split", "subset", "partition", "set", "fold")

Row = tuple[str, str, str, str]  # where it is (in words), file, category, split


@dataclass(frozen=True)
class LabelSource:
    """Where the labels are: the setting `labels`.

    Args:
        place: a file or folder below the source's root, or a pattern such as "**/metadata.csv" for several files.
        file: the table's column of files; None: found by its usual names.
        label: the table's column of categories; None: found by its usual names.
    """

    place: str
    file: str | None = None
    label: str | None = None


def place_of(names: list[str], known: Sequence[str]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def normal(name: str) -> str:
    """A column's name without what writers vary: case, blanks and underscores."""
    return re.sub(r"[\s_-]", "", name.casefold())


def is_image(fields: list[str]) -> bool:
    return bool(fields) and PurePosixPath(fields[0].strip()).suffix.lower() in SUFFIXES
