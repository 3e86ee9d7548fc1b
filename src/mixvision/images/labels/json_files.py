"""Labels in JSON: COCO, objects with a file and a label as in Hugging Face's imagefolder, or a mapping."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from mixvision.images.labels.rows import FILE_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS, LabelSource, Row, normal
from mixvision.images.split_names import split_named
from mixvision.images.text_files import lines_of


def rows_of_json(text: str, path: Path, source: LabelSource) -> list[Row]:
    """The rows of a JSON file of any form.

    Args:
        text: its content.
        path: for messages.
        source: may name the keys of file and label.

    Raises:
        ValueError: it is not JSON, or an entry does not say of a file what its category is.
    """
    content = _parse(text, path)
    if isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content):
        return _of_coco(content, path)
    if isinstance(content, dict):
        return [_of_pair(name, category, path) for name, category in content.items()]
    return _of_objects(content if isinstance(content, list) else [], path, source)


def rows_of_json_lines(text: str, path: Path, source: LabelSource) -> list[Row]:
    """The rows of a file with an object in each line; arguments and errors are those of :func:`rows_of_json`."""
    return _of_objects([_parse(line, path) for line in lines_of(text) if line.strip()], path, source)


def _of_pair(name: str, category: Any, path: Path) -> Row:
    if not _text_of(category):
        raise ValueError(f"The labels {path} give {name!r} {_shown(category)}, but must give a category.")
    return Row("An entry of the labels", name, _text_of(category))


def _of_objects(objects: list, path: Path, source: LabelSource) -> list[Row]:
    """Objects such as {"file_name": "a.png", "label": "cat"}."""
    files = (normal(source.file),) if source.file else FILE_COLUMNS
    labels = (normal(source.label),) if source.label else LABEL_COLUMNS
    entries = [_texts_of(entry) for entry in objects]
    split = _split_key(entries)
    rows: list[Row] = []
    for number, (given, texts) in enumerate(zip(objects, entries, strict=True), start=1):
        file, label = (next((texts[name] for name in known if name in texts), "") for known in (files, labels))
        if not file or not label:
            raise ValueError(
                f"Entry {number} of the labels {path} is {_shown(given)}, but must name a file and a label, "
                'as in {"file_name": "a.png", "label": "cat"}.'
            )
        rows.append(Row(f"Entry {number} of the labels", file, label, texts.get(split, "")))
    return rows


def _texts_of(entry: Any) -> dict[str, str]:
    """What an object says in words, by key."""
    values = {normal(str(key)): _text_of(value) for key, value in entry.items()} if isinstance(entry, dict) else {}
    return {key: text for key, text in values.items() if text}


def _split_key(entries: list[dict[str, str]]) -> str:
    """The key with mostly names of splits, whatever it is called, or else one that is called like that."""
    named = Counter(key for entry in entries for key, text in entry.items() if split_named(text))
    most = [key for key, count in named.items() if 2 * count > len(entries) and key not in LABEL_COLUMNS]
    return next((key for key in (*most, *SPLIT_COLUMNS) if any(key in entry for entry in entries)), "")


def _of_coco(content: dict, path: Path) -> list[Row]:
    """COCO: the categories of an image are those of its annotations (cocodataset.org, data format)."""
    try:
        names = {category["id"]: _required(category, "name") for category in content["categories"]}
        files = {image["id"]: _required(image, "file_name") for image in content["images"]}
        pairs = [(files[note["image_id"]], names[note["category_id"]]) for note in content["annotations"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"The labels {path} look like COCO, but an entry lacks or misstates {error}.") from None
    return [Row("The COCO labels", file, category, several=True) for file, category in dict.fromkeys(pairs)]


def _required(entry: dict, key: str) -> str:
    if not (text := _text_of(entry[key])):
        raise KeyError(key)
    return text


def _text_of(value: Any) -> str:
    """A name or number as text; "" for null, NaN and what is neither."""
    is_name = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
    return str(value).strip() if is_name else ""


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:200]


def _parse(text: str, path: Path) -> Any:
    def refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found and found[key] != value:
                raise ValueError(
                    f"The labels {path} have {key!r} twice in one object, with {_shown(found[key])} and with "
                    f"{_shown(value)}: keep one."
                )
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=refuse_twice)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"The labels {path} are not JSON: {error}.") from None
