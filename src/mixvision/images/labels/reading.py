"""Read the labels of a source, whatever form they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mixvision.images.labels.json_files import rows_of_json, rows_of_json_lines
from mixvision.images.labels.rows import LabelSource, Row, path_of
from mixvision.images.labels.tables import rows_of_table
from mixvision.images.labels.voc import FORMS, rows_of_voc, rows_of_voc_folder
from mixvision.images.litter import is_ignored
from mixvision.images.names import tidied_categories
from mixvision.images.text_files import decode_text


@dataclass
class Labels:
    """What a label file says.

    Args:
        categories: by file as the labels name it: a path or a name, "/" between folders, in Unicode's composed form.
        splits: by file, the split that a column names.
        refused: by file, why its label cannot be used.
    """

    categories: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def read_label_source(given: str | Mapping[str, object] | None) -> LabelSource | None:
    """The labels that a source's setting `labels` describes: a path, or a mapping with table, file and label.

    Raises:
        ValueError: it is neither.
    """
    if given is None:
        return None
    if isinstance(given, str) and given:
        return LabelSource(given)
    if not isinstance(given, Mapping) or set(given) != {"table", "file", "label"}:
        raise ValueError(
            f"labels is {given!r}, but must be the path of the label file below the source, or a mapping of table, "
            "file and label (the file and its columns)."
        )
    return LabelSource(*(str(given[name]) for name in ("table", "file", "label")))


def read_labels(source: LabelSource, root: Path, domain: str, top: Path | None = None) -> Labels:
    """Read the label files of a source.

    Args:
        source: where they are.
        root: the source's folder.
        domain: for messages.
        top: the folder that the source was given as, if the root lies below it.

    Raises:
        FileNotFoundError, ValueError: there are none, or one does not have a form that can be read; the message names
            the first lines that do not fit.
    """
    top = top or root
    is_pattern = any(sign in source.place for sign in "*?[")
    if is_pattern:
        fitting = ((place, PurePosixPath(place.relative_to(root))) for place in root.glob(source.place))
        places = sorted(place for place, below in fitting if not is_ignored(below))
    else:  # the path may begin above the folder to which the only folders led
        above = (folder / source.place for folder in (root, *root.parents) if folder == top or top in folder.parents)
        places = [next((place for place in above if place.exists()), root / source.place)]
    found = {place: rows for place in places if (rows := _rows_of(place, source)) is not None}
    if not found:
        raise FileNotFoundError(_nothing_found(places, source, root, domain))
    tidy = tidied_categories({row.category for rows in found.values() for row in rows})
    labels = Labels()
    for place, rows in found.items():
        # Names in one of several files are relative to its folder.
        folder = place if place.is_dir() else place.parent
        inside = PurePosixPath(folder.relative_to(root).as_posix()) if is_pattern else PurePosixPath()
        for row in rows:
            file = (inside / path_of(row.file)).as_posix()
            _add(labels, row._replace(file=file, category=tidy[row.category]), f"{row.where} {place}")
    return labels


def _nothing_found(places: list[Path], source: LabelSource, root: Path, domain: str) -> str:
    """What was looked for, and what is there instead."""
    folder = next((place for place in places if place.is_dir()), None)
    if folder is None:
        return (
            f"The labels of {domain!r} images are not in the source: looked for {(root / source.place).absolute()}. "
            "Correct the path `labels` in globals.yml of your environment, or give a source that has them."
        )
    names = sorted(path.name for path in folder.iterdir() if not is_ignored(PurePosixPath(path.name)))
    there = ", ".join(map(repr, names[:3])) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (
        f"The folder {folder.absolute()} holds no labels of {domain!r} images: looked for {FORMS}, and found "
        f"{there or 'nothing'}. For other forms name a file, or several by a pattern such as {source.place}/*.csv."
    )


def _rows_of(place: Path, source: LabelSource) -> list[Row] | None:
    """What a file or folder of labels says; None if there is none."""
    if place.is_dir():
        return rows_of_voc_folder(place) or None
    if not place.is_file():
        return None
    if place.suffix.lower() == ".xml":
        return rows_of_voc([place], place.parent)
    text = decode_text(place.read_bytes(), place)
    if place.suffix.lower() == ".json":
        return rows_of_json(text, place, source)
    if place.suffix.lower() in (".jsonl", ".ndjson"):
        return rows_of_json_lines(text, place, source)
    return rows_of_table(text, place, source)


def _add(labels: Labels, row: Row, where: str) -> None:
    if row.split and labels.splits.setdefault(row.file, row.split) != row.split and not row.several:
        raise ValueError(
            f"{where} puts {row.file!r} into the split {row.split!r}, but an earlier line into "
            f"{labels.splits[row.file]!r}: keep one."
        )
    if row.file in labels.refused:
        return
    known = labels.categories.setdefault(row.file, row.category)
    if known == row.category:
        return
    if row.several:
        del labels.categories[row.file]
        labels.refused[row.file] = f"several categories: {known}, {row.category}"
        return
    raise ValueError(
        f"{where} gives {row.file!r} the category {row.category!r}, but an earlier line gives it {known!r}: keep one."
        + row.advice
    )
