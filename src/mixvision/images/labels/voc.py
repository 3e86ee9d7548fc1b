"""Labels of Pascal VOC: a folder of XML files, or of lists for each category."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from mixvision.images.labels.rows import Row
from mixvision.images.split_names import split_named
from mixvision.images.text_files import decode_text, lines_of


def rows_of_voc(annotations: list[Path]) -> list[Row]:
    """Pascal VOC: the categories of an image are those of the objects in its XML file, which has the image's name.

    The name within the file is that of the annotator's machine, and often not that of today.
    """
    rows: list[Row] = []
    for path in annotations:
        try:
            tree = ElementTree.fromstring(path.read_bytes())
        except ElementTree.ParseError as error:
            raise ValueError(f"The labels {path} are no XML file: {error}. Correct or remove it.") from None
        file = path.stem + PurePosixPath((tree.findtext("filename") or "").strip()).suffix
        names = dict.fromkeys(found.findtext("name") or "" for found in tree.iter("object"))
        rows += [Row("The VOC labels", file.strip(), name.strip(), several=True) for name in names if name.strip()]
    return rows


def rows_of_voc_lists(lists: list[Path]) -> list[Row]:
    """Pascal VOC's ImageSets/Main: `<category>_<set>.txt` has lines of image and 1, 0 (difficult) or -1 (absent).

    Sets that are splits, such as train but not trainval, give published splits.
    """
    rows: list[Row] = []
    for path in lists:
        category, _, subset = path.stem.rpartition("_")
        split = subset if split_named(subset) else ""
        for line in lines_of(decode_text(path.read_bytes(), path)):
            file, _, sign = line.strip().rpartition(" ")
            if category and file and sign == "1":
                rows.append(Row("The VOC labels", file.strip(), category, split, several=True))
    return list(dict.fromkeys(rows))
