"""Labels of Pascal VOC: a folder of XML files, or of lists for each category."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from mixvision.images.formats.recognise import SUFFIXES
from mixvision.images.labels.rows import Row, is_image
from mixvision.images.litter import is_ignored
from mixvision.images.split_names import split_named
from mixvision.images.text_files import decode_text, lines_of

FORMS = "XML files of Pascal VOC with objects, or its lists <category>_<set>.txt with lines of image and 1"
_BOX = re.compile(r"\d+( [\d.e-]+){4,}")


def rows_of_voc_folder(folder: Path) -> list[Row]:
    """What the XML files in a folder and in those below say, or else the lists in it; empty if it has neither."""
    below = sorted((PurePosixPath(path.relative_to(folder)), path) for path in folder.rglob("*") if path.is_file())
    files = {place: path for place, path in below if not is_ignored(place)}
    annotations = [path for place, path in files.items() if place.suffix.lower() == ".xml"]
    if annotations:
        return rows_of_voc(annotations, folder)
    return rows_of_voc_lists([path for place, path in files.items() if place.match("*_*.txt") and not place.parts[1:]])


def rows_of_voc(annotations: list[Path], folder: Path) -> list[Row]:
    """Pascal VOC: the categories of an image are those of the objects in its XML file, which has the image's name.

    The name within the file is that of the annotator's machine, and often not that of today.

    Args:
        annotations: the XML files.
        folder: which holds them, perhaps in folders as the images are.
    """
    rows: list[Row] = []
    for path in annotations:
        try:
            tree = ElementTree.fromstring(path.read_bytes())
        except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter two: an unknown encoding
            raise ValueError(f"The labels {path} are no XML file: {error}. Correct or remove it.") from None
        file = path.relative_to(folder).parent / (path.stem.strip() + _suffix(path.stem, tree.findtext("filename")))
        names = dict.fromkeys(found.findtext("name") or "" for found in tree.iter("object"))
        rows += [Row("The VOC labels", file.as_posix(), name.strip(), several=True) for name in names if name.strip()]
    return rows


def _suffix(stem: str, named: str | None) -> str:
    """The image's suffix by its name in the XML file; names have other dots, too, as in 2020.05.01."""
    suffix = PurePosixPath((named or "").strip()).suffix
    return suffix if suffix.lower() in SUFFIXES and not is_image(stem) else ""


def rows_of_voc_lists(lists: list[Path]) -> list[Row]:
    """Pascal VOC's ImageSets/Main: `<category>_<set>.txt` has lines of image and 1, 0 (difficult) or -1 (absent).

    Sets that are splits, such as train but not trainval, give published splits.
    """
    rows: list[Row] = []
    for path in lists:
        category, _, subset = path.stem.rpartition("_")
        split = subset if split_named(subset) else ""
        for line in lines_of(decode_text(path.read_bytes(), path)):
            if _BOX.fullmatch(line.strip()):
                raise ValueError(
                    f"The labels {path} have lines such as {line.strip()[:100]!r}: a number and a box, as YOLO writes, "
                    "which is not read. Give a table with the category of each image."
                )
            file, *sign = line.rsplit(maxsplit=1)[:2] or [""]
            if category and sign == ["1"]:
                rows.append(Row("The VOC labels", file.strip(), category, split, several=True))
    return list(dict.fromkeys(rows))
