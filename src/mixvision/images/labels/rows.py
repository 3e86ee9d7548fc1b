"""What a source asks of its label files, and the rows that they give."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from mixvision.images.formats.recognise import SUFFIXES
from mixvision.images.names import composed, tidied

# Usual names of columns, as `normal` writes them.
FILE_COLUMNS = (
    *("file", "filename", "filepath", "path", "image", "imagename", "imagepath", "img", "photo", "picture"),
    *("files", "filenames", "filepaths", "paths", "images", "imagepaths", "imgpath", "imageurl", "url"),
    *("imageid", "id", "name"),
)
LABEL_COLUMNS = (
    *("label", "category", "class", "classname", "categoryname", "labelname", "target", "species", "breed"),
    *("variety", "labels", "diagnosis", "y"),
)
SPLIT_COLUMNS = ("split", "subset", "partition", "set", "fold", "usage")
NAME_COLUMNS = "name both in globals.yml of your environment, labels: {table: ..., file: ..., label: ...}"
_ADDRESS = re.compile(r"\w+://[^/]*/(?P<path>[^?#]*)")


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


class Row(NamedTuple):
    """The label of one file.

    Args:
        where: it is, in words.
        file: as the labels name it.
        category: of the file.
        split: or "".
        several: whether a file may well have several categories, which then leave it out.
        advice: what to do if an earlier row contradicts this one.
    """

    where: str
    file: str
    category: str
    split: str = ""
    several: bool = False
    advice: str = ""


def place_of(names: list[str], known: Sequence[str]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def normal(name: str) -> str:
    """A column's name without what writers vary: case, blanks and underscores."""
    return re.sub(r"[\s_-]", "", tidied(name).casefold())


def path_of(name: str) -> str:
    """A file's name as a path with "/" between folders; of a web address, the path on the server."""
    name = composed(name.strip().replace("\\", "/"))
    if match := _ADDRESS.match(name):
        name = unquote(match["path"])
    return PurePosixPath(name).as_posix().lstrip("/")


def is_image(name: str) -> bool:
    return PurePosixPath(path_of(name)).suffix.lower() in SUFFIXES
