"""Label files: which category each image has, where its path does not say so.

Tables (CSV, TSV, or lines of file name and category), JSON (COCO, lines of objects as in Hugging Face's imagefolder, or
a mapping), and Pascal VOC's folders of XML files or of lists for each category.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from unicodedata import normalize
from xml.etree import ElementTree

from mixvision.images.formats.recognise import SUFFIXES

logger = logging.getLogger(__name__)

# Usual names of columns, as `_normal` writes them.
FILE_COLUMNS = (
    *("file", "filename", "filepath", "path", "image", "imagename", "imagepath", "img", "photo", "picture"),
    *("imageid", "id", "name"),
)
LABEL_COLUMNS = (
    *("label", "category", "class", "classname", "categoryname", "labelname", "target", "species", "breed"),
    *("variety", "labels", "diagnosis", "y"),
)
SPLIT_COLUMNS = ("split", "subset", "partition", "set", "fold")
FORM = "file name, tab, category"
_SUFFIX = "|".join(map(re.escape, sorted(SUFFIXES)))
_NAME_WITH_BLANKS = re.compile(rf"\s*\"?(?P<name>.*?(?:{_SUFFIX}))\"?\s+(?P<rest>.+)", re.IGNORECASE)


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


def match_labels(paths: Sequence[str], labels: Labels, domain: str) -> dict[str, str]:
    """Find the label of every image: the file as the labels name it, by path.

    A label belongs to the image with its path; or to the only one whose path ends like it, or that has its name, then
    in any case, then without the suffix.

    Args:
        paths: of the images, below the root.
        labels: from :func:`read_labels`.
        domain: for messages.

    Raises:
        ValueError: several images fit one label.
    """
    named = {**labels.categories, **labels.refused}
    found: dict[str, str] = {}
    for key in (_as_it_is, _ending, _name, _name_in_any_case, _stem):
        taken, by_key = set(found.values()), defaultdict(list)
        for name in named:
            if name not in taken:
                for part in key(name):
                    by_key[part].append(name)
        fitting = defaultdict(list)
        for path in paths:
            if path not in found:
                candidates = (by_key.get(part, []) for part in key(normalize("NFC", path)))
                label = next((names[0] for names in candidates if len(names) == 1), None)
                if label is not None:
                    fitting[label].append(path)
        for label, those in fitting.items():
            if len(those) > 1:
                raise ValueError(
                    f"The labels of {domain!r} images name the file {label!r}, but several files fit, such as "
                    f"{those[0]} and {those[1]}: give their paths in the labels, or let the layout leave one out."
                )
            found[those[0]] = label
    return found


def missing_files(labels: Labels, used: Iterable[str], paths: Iterable[str], domain: str) -> dict[str, str]:
    """The files of labels that are nowhere in the source, with the reason; their number is logged.

    Args:
        labels: from :func:`read_labels`.
        used: the labels' files that were found.
        paths: of all files of the source, whether they fit the layout or not.
        domain: for the message.
    """
    there = {stem for path in paths for stem in _stem(normalize("NFC", path))}
    left = set(labels.categories) - set(used)
    missing = sorted(name for name in left if not there.intersection(_stem(name)))
    if missing:
        some = ", ".join(missing[:3])
        logger.warning("%s: %d labels have no file in the source, such as %s.", domain, len(missing), some)
    return dict.fromkeys(missing, "unreadable file: in the labels, but not in the source")


def decode_text(content: bytes, path: Path) -> str:
    """The text of a file in UTF-8 or UTF-16, with or without a mark of its order, or else in Windows-1252."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    if content[:400].count(0) > len(content[:400]) // 4:
        return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        logger.warning("%s is not UTF-8: read as Windows-1252 (Western European).", path)
        return content.decode("cp1252", errors="replace") if b"\x81" not in content else content.decode("latin-1")


Row = tuple[str, str, str, str]  # where it is (in words), file, category, split


def _rows_of(place: Path, source: LabelSource) -> list[Row] | None:
    """What a file or folder of labels says; None if there is none."""
    if place.is_dir():
        annotations = sorted(place.glob("*.xml"))
        return (_of_voc(annotations) if annotations else _of_voc_lists(sorted(place.glob("*_*.txt")))) or None
    if not place.is_file():
        return None
    text = decode_text(place.read_bytes(), place)
    if place.suffix.lower() == ".json":
        return _of_json(text, place)
    if place.suffix.lower() in (".jsonl", ".ndjson"):
        return _of_objects([_parse(line, place) for line in text.splitlines() if line.strip()], place, source)
    return _of_table(text, place, source)


def _of_table(text: str, path: Path, source: LabelSource) -> list[Row]:
    lines = _lines(text, path)
    file, label, split, has_header = _columns(lines, path, source)
    rows: list[Row] = []
    wrong = []
    _require_single_words(lines, path)
    for number, fields, line in lines[has_header:]:
        name, category = (fields[place].strip() if place < len(fields) else "" for place in (file, label))
        if not name or not category:
            wrong.append((number, line))
            continue
        named = fields[split].strip() if split is not None and split < len(fields) else ""
        rows.append((f"Line {number} of the labels", name, category, named))
    if wrong:
        number, line = wrong[0]
        others = ", ".join(str(number) for number, _ in wrong[1:6])
        more = f" ({len(wrong)} lines do not fit, also {others}{', ...' if len(wrong) > 6 else ''})" if others else ""
        raise ValueError(f"Line {number} of the labels {path} is {line!r}, but must be: {FORM}{more}.")
    return rows


def _lines(text: str, path: Path) -> list[tuple[int, list[str], str]]:
    """Number, fields and text of every line that is not empty."""
    sample = [line for line in text.splitlines() if line.strip()][:50]
    try:
        separated = {sign: sum(len(_split(line, sign)) > 1 for line in sample) for sign in "\t,;"}
        separator = max(separated, key=lambda sign: separated[sign])
        if separator != "\t" and 2 * separated[separator] > len(sample):
            reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator, skipinitialspace=True)
            rows = [(reader.line_num, fields, separator.join(fields)) for fields in reader]
            return [row for row in rows if any(map(str.strip, row[1]))]
    except csv.Error as error:
        raise ValueError(f"The labels {path} cannot be read as a table: {error}.") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    return [(number, _fields(line), line) for number, line in lines]


def _require_single_words(lines: list[tuple[int, list[str], str]], path: Path) -> None:
    """Refuse lines separated by blanks in which categories may have blanks, too: their numbers of words differ."""
    loose = [row for row in lines if not any(sign in row[2] for sign in '\t,;"')]
    lengths = {len(fields) for _, fields, _ in loose}
    if len(lengths) > 1 and len(loose) == len(lines):
        number, _, line = max(loose, key=lambda row: len(row[1]))
        raise ValueError(
            f"Line {number} of the labels {path} is {line!r}, but other lines have fewer words, so that it is unclear "
            "where the category ends: separate the columns by tabs or commas."
        )


def _split(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])


def _fields(line: str) -> list[str]:
    """The fields of a line that has tabs, or blanks only: names of images may have blanks, too."""
    if "\t" in line:
        return _split(line, "\t")
    match = _NAME_WITH_BLANKS.match(line)
    if match is None:
        return line.split()
    rest = match["rest"].strip()
    quoted = rest.partition('"')[2].partition('"')[0] if rest.startswith('"') else ""
    return [match["name"], quoted] if quoted else [match["name"], *rest.split()]


def _columns(
    lines: list[tuple[int, list[str], str]], path: Path, source: LabelSource
) -> tuple[int, int, int | None, bool]:
    """The places of file, category and split in each line, and whether the first line names them."""
    first = [field.strip() for field in lines[0][1]] if lines else []
    names = [_normal(field) for field in first]
    if source.file is not None and source.label is not None:
        for column in (source.file, source.label):
            if column not in first:
                has = ", ".join(map(repr, first)) or "none"
                raise ValueError(f"The labels {path} have no column {column!r}; their columns are {has}.")
        return first.index(source.file), first.index(source.label), _place(names, SPLIT_COLUMNS), True
    file, label = _place(names, FILE_COLUMNS), _place(names, LABEL_COLUMNS)
    if file is not None and label is not None and file != label:
        return file, label, _place(names, SPLIT_COLUMNS), True
    has_heading = len(lines) > 1 and not _is_image(first[:1]) and all(_is_image(row[1]) for row in lines[1:])
    if (file is not None or has_heading) and len(first) > 2:  # scores of each class, say, or captions
        raise ValueError(
            f"The labels {path} have the columns {', '.join(map(repr, first))}, and none is known as that of the "
            "categories: name both in the configuration, labels: {table: ..., file: ..., label: ...}."
        )
    if file is not None and len(first) == 2:
        return file, 1 - file, None, True
    return 0, 1, None, has_heading


def _place(names: list[str], known: Sequence[str]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _normal(name: str) -> str:
    """A column's name without what writers vary: case, blanks and underscores."""
    return re.sub(r"[\s_-]", "", name.casefold())


def _is_image(fields: list[str]) -> bool:
    return bool(fields) and PurePosixPath(fields[0].strip()).suffix.lower() in SUFFIXES


def _of_json(text: str, path: Path) -> list[Row]:
    content = _parse(text, path)
    if isinstance(content, dict) and {"images", "annotations", "categories"} <= set(content):
        return _of_coco(content, path)
    if isinstance(content, dict):
        wrong = next((name for name, category in content.items() if isinstance(category, dict | list)), None)
        if wrong is not None:
            raise ValueError(f"The labels {path} give {wrong!r} {str(content[wrong])[:100]}, but must give a category.")
        return [("An entry of the labels", name, str(category), "") for name, category in content.items()]
    return _of_objects(content if isinstance(content, list) else [], path, LabelSource(str(path)))


def _of_objects(objects: list, path: Path, source: LabelSource) -> list[Row]:
    """Lines of JSON such as {"file_name": "a.png", "label": "cat"}."""
    files = (_normal(source.file),) if source.file else FILE_COLUMNS
    names = (_normal(source.label),) if source.label else LABEL_COLUMNS
    rows: list[Row] = []
    for number, entry in enumerate(objects, start=1):
        values = {_normal(str(key)): value for key, value in entry.items()} if isinstance(entry, dict) else {}
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


def _of_voc(annotations: list[Path]) -> list[Row]:
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


def _of_voc_lists(lists: list[Path]) -> list[Row]:
    """Pascal VOC's ImageSets/Main: `<category>_<set>.txt` has lines of image and 1, 0 (difficult) or -1 (absent)."""
    rows: list[Row] = []
    for path in lists:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            fields = line.split()
            if len(fields) == 2 and fields[1] == "1" and path.stem.rpartition("_")[0]:
                rows.append(("The VOC labels", fields[0], path.stem.rpartition("_")[0], ""))
    return list(dict.fromkeys(rows))


def _parse(text: str, path: Path) -> object:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"The labels {path} are not JSON: {error}.") from None


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


def _as_it_is(path: str) -> list[str]:
    return [path]


def _ending(path: str) -> list[str]:
    """The path and its endings of several parts, the longest first."""
    parts = path.split("/")
    return ["/".join(parts[start:]) for start in range(len(parts) - 1)]


def _name(path: str) -> list[str]:
    return [PurePosixPath(path).name]


def _name_in_any_case(path: str) -> list[str]:
    return [PurePosixPath(path).name.casefold()]


def _stem(path: str) -> list[str]:
    name = PurePosixPath(path).name.casefold()
    return [name.removesuffix(PurePosixPath(name).suffix) if PurePosixPath(name).suffix in SUFFIXES else name]
