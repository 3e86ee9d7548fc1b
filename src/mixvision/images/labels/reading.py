"""Read the labels of a source, whatever form they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from mixvision.images.labels.json_files import parse_json, rows_of_json, rows_of_objects
from mixvision.images.labels.rows import LabelSource, Row
from mixvision.images.labels.tables import rows_of_table
from mixvision.images.labels.voc import rows_of_voc, rows_of_voc_lists
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
        places = sorted(root.glob(source.place))
    else:  # the path may begin above the folder to which the only folders led
        above = (folder / source.place for folder in (root, *root.parents) if folder == top or top in folder.parents)
        places = [next((place for place in above if place.exists()), root / source.place)]
    labels, found = Labels(), False
    for place in places:
        # Names in one of several files are relative to its folder.
        inside = PurePosixPath(place.parent.relative_to(root).as_posix()) if is_pattern else PurePosixPath()
        rows = _rows_of(place, source)
        found = found or rows is not None
        for where, name, category, split in rows or ():
            _add(labels, (inside / _path_of(name)).as_posix(), category, split, f"{where} {place}")
    if not found:
        raise FileNotFoundError(
            f"The labels of {domain!r} images are not in the source: looked for {(root / source.place).absolute()}. "
            "Correct the path `labels` in the configuration, or give a source that has them."
        )
    return labels


def _rows_of(place: Path, source: LabelSource) -> list[Row] | None:
    """What a file or folder of labels says; None if there is none."""
    if place.is_dir():
        annotations = sorted(place.glob("*.xml"))
        return (rows_of_voc(annotations) if annotations else rows_of_voc_lists(sorted(place.glob("*_*.txt")))) or None
    if not place.is_file():
        return None
    text = decode_text(place.read_bytes(), place)
    if place.suffix.lower() == ".json":
        return rows_of_json(text, place)
    if place.suffix.lower() in (".jsonl", ".ndjson"):
        return rows_of_objects([parse_json(line, place) for line in text.splitlines() if line.strip()], place, source)
    return rows_of_table(text, place, source)


def _path_of(name: str) -> str:
    name = normalize("NFC", name.strip().replace("\\", "/"))
    return PurePosixPath(name).as_posix().lstrip("/")


def _add(labels: Labels, name: str, category: str, split: str, where: str) -> None:
    category = normalize("NFC", category.strip())
    if split:
        labels.splits[name] = split
    known = labels.categories.get(name)
    if known == category or name in labels.refused:
        return
    if known is None:
        labels.categories[name] = category
    elif where.startswith(("The COCO", "The VOC")):  # pictures of several things are common there
        del labels.categories[name]
        labels.refused[name] = f"several categories: {known}, {category}"
    else:
        raise ValueError(
            f"{where} gives {name!r} the category {category!r}, but an earlier line gives it {known!r}: keep one."
        )
