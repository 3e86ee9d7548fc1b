"""Labels of Pascal VOC: a folder of XML files, or of lists for each category."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from mixvision.images.labels.rows import Row


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
        rows += [("The VOC labels", file.strip(), name.strip(), "") for name in names if name.strip()]
    return rows


def rows_of_voc_lists(lists: list[Path]) -> list[Row]:
    """Pascal VOC's ImageSets/Main: `<category>_<set>.txt` has lines of image and 1, 0 (difficult) or -1 (absent)."""
    rows: list[Row] = []
    for path in lists:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            fields = line.split()
            if len(fields) == 2 and fields[1] == "1" and path.stem.rpartition("_")[0]:
                rows.append(("The VOC labels", fields[0], path.stem.rpartition("_")[0], ""))
    return list(dict.fromkeys(rows))
