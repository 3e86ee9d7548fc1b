"""Labels in JSON: COCO, objects with a file and a label as in Hugging Face's imagefolder, or a mapping."""

from __future__ import annotations

import json
from pathlib import Path

from mixvision.images.labels.rows import FILE_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS, LabelSource, Row, normal


def rows_of_json(text: str, path: Path) -> list[Row]:
    content = parse_json(text, path)
    if isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content):
        return _of_coco(content, path)
    if isinstance(content, dict):
        wrong = next((name for name, category in content.items() if isinstance(category, dict | list)), None)
        if wrong is not None:
            raise ValueError(f"The labels {path} give {wrong!r} {str(content[wrong])[:100]}, but must give a category.")
        return [("An entry of the labels", name, str(category), "") for name, category in content.items()]
    return rows_of_objects(content if isinstance(content, list) else [], path, LabelSource(str(path)))


def rows_of_objects(objects: list, path: Path, source: LabelSource) -> list[Row]:
    """Lines of JSON such as {"file_name": "a.png", "label": "cat"}."""
    files = (normal(source.file),) if source.file else FILE_COLUMNS
    names = (normal(source.label),) if source.label else LABEL_COLUMNS
    rows: list[Row] = []
    for number, entry in enumerate(objects, start=1):
        values = {normal(str(key)): value for key, value in entry.items()} if isinstance(entry, dict) else {}
        texts = {key: str(value) for key, value in values.items() if isinstance(value, str | int | float)}
        file, label, split = (
            next((texts[name] for name in known if name in texts), "") for known in (files, names, SPLIT_COLUMNS)
        )
        if not file or not label:
            raise ValueError(
                f"Entry {number} of the labels {path} is {json.dumps(entry)[:200]}, but must name a file and a label, "
                'as in {"file_name": "a.png", "label": "cat"}.'
            )
        rows.append((f"Entry {number} of the labels", file, label, split))
    return rows


def _of_coco(content: dict, path: Path) -> list[Row]:
    """COCO: the categories of an image are those of its annotations (cocodataset.org, data format)."""
    try:
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        files = {image["id"]: str(image["file_name"]) for image in content["images"]}
        pairs = [(files[note["image_id"]], names[note["category_id"]]) for note in content["annotations"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"The labels {path} look like COCO, but an entry lacks or misstates {error}.") from None
    return [("The COCO labels", file, category, "") for file, category in dict.fromkeys(pairs)]


def parse_json(text: str, path: Path) -> object:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"The labels {path} are not JSON: {error}.") from None
