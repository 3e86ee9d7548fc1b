"""Where images come from: a folder, an archive, an address or a bundled sample, as files with categories."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from unicodedata import normalize

import yaml

from mixvision.images.acquisition import acquire, is_ignored, root_of
from mixvision.vocabulary import DOMAINS

logger = logging.getLogger(__name__)

DEFAULT_LAYOUT = "{category}/**"


@dataclass(frozen=True)
class RawImages:
    """The image files of one domain.

    Args:
        domain: "nice" or "real".
        root: the folder that the files' paths are relative to.
        files: pairs of category and path (posix), sorted by path; the category is "" outside the layout. None of them:
            the study has no such domain.
        unmapped: folders that the mapping leaves out, with their numbers of files.
    """

    domain: str
    root: Path
    files: tuple[tuple[str, str], ...]
    unmapped: dict[str, int]


def open_source(
    source: str | None,
    domain: str,
    folder: Path,
    sha256: str | None = None,
    layout: str | list[str] | None = None,
    mapping: str | Path | None = None,
    labels: str | None = None,
) -> RawImages:
    """List the files of one domain, after fetching and unpacking them where needed.

    Args:
        source: a folder (used in place), a tar or zip archive, an address, "package:mnist" or
            "package:digits". Where it holds a folder named like the domain, only that is used: one source can
            serve both domains. None: the study has no such domain, and there are no files.
        domain: "nice" or "real".
        folder: where archives are unpacked and samples written, replaced when the source changes; downloads are
            kept three folders up, in "downloads".
        sha256: the archive's checksum, or None.
        layout: patterns of file paths below the root, the first that matches counts: "{category}" stands for
            the category, "*" for anything within a name, "**" for anything at any depth. None: "{category}/**".
        mapping: a YAML file {category: [patterns of category folders]}; folders that match none are left out.
        labels: for sources whose paths do not name the category: the text file that does, as a path below the root.
            Its lines are file name, tab or spaces, category, anything. The layout has no "{category}" then; files that
            fit it but are not in the labels are outside the layout.

    Names of categories are in Unicode's composed form (NFC), whatever form the file system keeps them in.

    Raises:
        FileNotFoundError, ValueError, OSError: in a sentence that says what was looked for and what to do.
    """
    if domain not in DOMAINS:
        raise ValueError(f"domain is {domain!r}, but must be one of {DOMAINS}.")
    if source is None:
        return RawImages(domain, folder, (), {})
    layouts = [layout or DEFAULT_LAYOUT] if isinstance(layout, str | None) else list(layout)
    top = acquire(source, folder, folder.parents[2] / "downloads", sha256, domain)
    files = _list_files(top, domain)
    root = root_of(files, domain)
    named = None if labels is None else read_labels(top / root / labels, domain)
    placed = list(_place(files, root, layouts, named))
    if not any(category for category, _ in placed):
        also, advice = "", "put images in one folder per category, or describe the layout"
        if labels is not None:
            also, advice = f" and are named in {labels}", "correct the layout or the labels"
        raise ValueError(
            f"The source of {domain!r} images, {source}, has no files that fit the layout "
            f"{' or '.join(layouts)} below {top / root}{also}: {advice} in the configuration."
        )
    unmapped: dict[str, int] = {}
    if mapping is not None:
        placed, unmapped = _map_categories(placed, read_mapping(Path(mapping)), domain)
    return RawImages(domain, top / root, tuple(sorted(placed, key=lambda pair: pair[1])), unmapped)


def read_mapping(path: Path) -> dict[str, list[str]]:
    """Patterns of folder names by category, from a YAML file; a single pattern may stand without a list.

    Raises:
        FileNotFoundError, ValueError: no such file, or not of that form.
    """
    if not path.exists():
        raise FileNotFoundError(f"The mapping of categories, {path.absolute()}, does not exist: correct its path.")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not content:
        raise ValueError(f"The mapping {path} must hold lines of the form `category: [patterns of folder names]`.")
    mapping = {}
    for category, patterns in content.items():
        patterns = [patterns] if isinstance(patterns, str) else patterns
        if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
            raise ValueError(
                f"The mapping {path} gives {category!r} the patterns {patterns!r}, but they must be text: "
                'put numbers into quotes, as in `apple: ["Apple *", "007"]`.'
            )
        mapping[_composed(str(category))] = [_composed(pattern) for pattern in patterns]
    return mapping


def read_labels(path: Path, domain: str) -> dict[str, str]:
    """Categories by file name, from a text file with lines of file name, tab or spaces, category, anything.

    Raises:
        FileNotFoundError, ValueError: no such file, or a line without a category or at odds with another.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"The labels of {domain!r} images are not in the source: looked for {path.absolute()}. "
            "Correct labels in the configuration, or give a source that has them."
        )
    labels: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        fields = [field.strip() for field in (line.split("\t") if "\t" in line else line.split())][:2]
        if len(fields) < 2 or "" in fields:
            raise ValueError(f"Line {number} of the labels {path} is {line!r}, but must be: file name, tab, category.")
        name, category = map(_composed, fields)
        if labels.setdefault(name, category) != category:
            raise ValueError(
                f"Line {number} of the labels {path} gives {name!r} the category {category!r}, "
                f"but a line before gives it {labels[name]!r}: keep one."
            )
    return labels


def category_of(folder: str, mapping: dict[str, list[str]]) -> str | None:
    """The category whose patterns (as of a shell, case counts) match the folder's name, or None.

    Raises:
        ValueError: the folder matches two categories.
    """
    matches = [name for name, patterns in mapping.items() if any(fnmatchcase(folder, p) for p in patterns)]
    if len(matches) > 1:
        raise ValueError(
            f"The mapping takes the folder {folder!r} to {' and '.join(matches)}: make its patterns clear."
        )
    return matches[0] if matches else None


def _list_files(top: Path, domain: str) -> list[PurePosixPath]:
    """The files below a folder but for litter, and for names that are no Unicode text, which no table can hold."""
    files = [path for path in _walk(top) if not is_ignored(path)]
    named = [path for path in files if _is_text(path)]
    if len(named) < len(files):
        logger.warning("%s: %d files left out, as their names are not valid UTF-8.", domain, len(files) - len(named))
    return named


def _is_text(path: PurePosixPath) -> bool:
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:
        return False
    return True


def _walk(top: Path) -> Iterator[PurePosixPath]:
    """All files below a folder, through symbolic links too, each folder once."""
    seen = set()
    for parent, folders, names in os.walk(top, onerror=_warn_of_unreadable, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        relative = PurePosixPath(Path(parent).relative_to(top).as_posix())
        yield from (relative / name for name in sorted(names))


def _warn_of_unreadable(error: OSError) -> None:
    logger.warning("The folder %s and all in it is left out: %s.", error.filename, error.strerror)


def _place(
    files: Iterable[PurePosixPath], root: PurePosixPath, layouts: list[str], labels: dict[str, str] | None
) -> Iterator[tuple[str, str]]:
    """Pairs of category and path of the files below the root; the category is "" where no layout or label fits."""
    patterns = [re.compile(_expression(_composed(layout), labels is not None)) for layout in layouts]
    for path in files:
        if path.is_relative_to(root):
            below = path.relative_to(root).as_posix()
            match = next(filter(None, (pattern.fullmatch(_composed(below)) for pattern in patterns)), None)
            if match is None:
                category = ""
            else:
                category = match["category"] if labels is None else labels.get(_composed(path.name), "")
            yield category, below


def _composed(name: str) -> str:
    """One of the two ways to write accents: macOS gives names as letter and accent, keyboards as one character."""
    return normalize("NFC", name)


def _expression(layout: str, labelled: bool) -> str:
    """The layout as a regular expression; labelled files need no category in it."""
    if labelled and "{category}" in layout:
        raise ValueError(f"layout is {layout!r}, but must not name {{category}}: the labels name the categories.")
    if not labelled and layout.count("{category}") != 1:
        raise ValueError(f"layout is {layout!r}, but must name {{category}} once, as in {DEFAULT_LAYOUT!r}.")
    meanings = {"{category}": "(?P<category>[^/]+)", "**": ".+", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\{category\}|\*\*|\*|\?)", layout)
    return "".join(meanings.get(part, re.escape(part)) for part in parts)


def _map_categories(
    placed: list[tuple[str, str]], mapping: dict[str, list[str]], domain: str
) -> tuple[list[tuple[str, str]], dict[str, int]]:
    counts = Counter(folder for folder, _ in placed if folder)
    categories = {folder: category_of(folder, mapping) for folder in counts} | {"": ""}
    unmapped = {folder: counts[folder] for folder in sorted(counts) if categories[folder] is None}
    if unmapped:
        named = ", ".join(f"{folder} ({count})" for folder, count in unmapped.items())
        logger.warning("%s: folders that the mapping leaves out, with their files: %s.", domain, named)
    if len(unmapped) == len(counts):
        raise ValueError(f"The mapping matches none of the {domain!r} folders: {', '.join(sorted(counts))}.")
    return [(categories[folder], path) for folder, path in placed if categories[folder] is not None], unmapped
