"""What file paths say: which files belong to a domain, and the category of each."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import yaml

from mixvision.images.formats.recognise import SUFFIXES
from mixvision.images.litter import is_ignored
from mixvision.images.names import composed, tidied, tidied_categories
from mixvision.images.split_names import split_meant
from mixvision.vocabulary import DOMAINS

logger = logging.getLogger(__name__)

DEFAULT_LAYOUT = "{category}/**"
LEAVE_OUT = "!"  # begins a layout of files that do not count


def root_of(files: Iterable[PurePosixPath], domain: str, labelled: bool = False) -> PurePosixPath:
    """Find the folder of categories: descend while there is only one folder, and into the domain's where both are.

    A folder that holds images and at most one folder is itself a category; then its parent is the root.

    Args:
        files: paths of all files, relative to the top.
        domain: "nice" or "real".
        labelled: whether the folders are no categories, as a label file names them.
    """
    root, files = PurePosixPath(), [path for path in files if not is_ignored(path)]
    while True:
        below = [path.relative_to(root) for path in files if path.is_relative_to(root)]
        folders = sorted({path.parts[0] for path in below if len(path.parts) > 1})
        named = [folder for folder in folders if folder.casefold() == domain]
        if named:
            return root if _others(below) else root / named[-1]  # "nice" before "Nice"
        loose = [path for path in below if len(path.parts) == 1]
        if len(folders) == 1 and not loose:
            root /= folders[0]
            continue
        is_category = len(folders) < 2 and any(path.suffix.lower() in SUFFIXES for path in loose)
        return root.parent if is_category and not labelled else root


def require_clear_domain(files: Iterable[PurePosixPath], root: PurePosixPath, domain: str) -> None:
    """Refuse a folder that is named after the domain, but may be a category, as it stands beside other folders.

    Args:
        files, root, domain: as of :func:`root_of`.

    Raises:
        ValueError: the folder has folders of its own, so that both is possible; the message has both layouts.
    """
    below = [path.relative_to(root) for path in files if path.is_relative_to(root) and not is_ignored(path)]
    named = sorted({path.parts[0] for path in below if len(path.parts) > 2 and path.parts[0].casefold() == domain})
    others = _others(below)
    if named and others:
        raise ValueError(
            f"The source of {domain!r} images has a folder {named[-1]!r} beside {', '.join(others[:5])}. Say what it "
            f"is: set {domain}.layout to {_readings(named[-1], below)}."
        )


def _readings(name: str, below: Iterable[PurePosixPath]) -> str:
    """What a folder with the name of a domain may be, as layouts with their meanings."""
    folders = {path.parts[1] for path in below if path.parts[0] == name and len(path.parts) > 2}
    if not all(map(split_meant, folders)):
        return (
            f'"{name}/{{category}}/**" if its folders are the categories, or to "{{category}}/**" if it is one itself'
        )
    return (
        f'"{{category}}/{{split}}/**" if it is a category, as its folders ({", ".join(sorted(folders))}) are splits, '
        f'or to "{name}/{{split}}/{{category}}/**" if the categories are the folders in these'
    )


def _others(below: Iterable[PurePosixPath]) -> list[str]:
    """The folders that are not named after a domain; those with other files than images do not count."""
    below = [path for path in below if len(path.parts) > 1]
    pictures = [path for path in below if path.suffix.lower() in SUFFIXES] or below
    return sorted({path.parts[0] for path in pictures if path.parts[0].casefold() not in DOMAINS})


def place_files(
    files: Iterable[PurePosixPath],
    root: PurePosixPath,
    layouts: list[str],
    label: Callable[[list[str]], Mapping[str, str]] | None = None,
) -> list[tuple[str, str]]:
    """Category and path of the files below the root; the category is "" if no layout or label fits.

    Args:
        files: paths of all files, relative to the top.
        root: from :func:`root_of`; files elsewhere are left out.
        layouts: patterns of paths below the root, as for :func:`mixvision.images.sources.open_source`; files that fit
            one that begins with "!" are left out.
        label: names the categories of the files that fit, by path; None if the layout does.

    Raises:
        ValueError: a layout names no category, or names one although there are labels.
    """
    patterns = _compiled(layouts, label is not None)
    unwanted = _compiled([layout[1:] for layout in layouts if layout.startswith(LEAVE_OUT)], labelled=True)
    below = [path.relative_to(root).as_posix() for path in files if path.is_relative_to(root)]
    wanted = [path for path in below if _first_match(unwanted, path) is None]
    matches = {path: match for path in wanted if (match := _first_match(patterns, path)) is not None}
    if label is not None:
        named = label(list(matches))
    else:
        tidy = tidied_categories({match["category"] for match in matches.values()})
        named = {path: tidy[match["category"]] for path, match in matches.items()}
    return [(named.get(path, ""), path) for path in below]


def name_splits(paths: Iterable[str], layouts: list[str]) -> list[str]:
    """What stands for "{split}" in paths below the root, by the first layout that fits; "" if it names no split."""
    patterns = _compiled(layouts, labelled=not any("{category}" in layout for layout in layouts))
    matches = (_first_match(patterns, path) for path in paths)
    return [match.groupdict().get("split", "") if match else "" for match in matches]


def map_categories(
    placed: list[tuple[str, str]], mapping: dict[str, list[str]], domain: str
) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Replace folder names by categories; also return the folders that the mapping leaves out, with file counts.

    Args:
        placed: pairs of folder ("" outside the layout, which stays) and path.
        mapping: from :func:`read_mapping`.
        domain: for messages.

    Raises:
        ValueError: the mapping matches no folder, or assigns one to two categories.
    """
    counts = Counter(folder for folder, _ in placed if folder)
    categories = {folder: category_of(folder, mapping) for folder in counts} | {"": ""}
    unmapped = {folder: counts[folder] for folder in sorted(counts) if categories[folder] is None}
    if unmapped:
        named = ", ".join(f"{folder} ({count})" for folder, count in unmapped.items())
        logger.warning("%s: the mapping leaves out these folders (numbers of files): %s.", domain, named)
    if len(unmapped) == len(counts):
        raise ValueError(
            f"The mapping matches none of the {domain!r} folders: {', '.join(sorted(counts))}. Correct its patterns."
        )
    categorised = ((categories[folder], path) for folder, path in placed)
    return [(category, path) for category, path in categorised if category is not None], unmapped


def category_of(folder: str, mapping: dict[str, list[str]]) -> str | None:
    """The category whose patterns (as in a shell, case-sensitive) match the folder's name, or None.

    Raises:
        ValueError: the folder matches two categories.
    """
    matches = [name for name, patterns in mapping.items() if any(fnmatchcase(folder, p) for p in patterns)]
    if len(matches) > 1:
        raise ValueError(
            f"The mapping assigns the folder {folder!r} to {' and '.join(matches)}: let the patterns of only one match."
        )
    return matches[0] if matches else None


def read_mapping(path: Path) -> dict[str, list[str]]:
    """Read patterns of folder names by category from a YAML file; a single pattern needs no list.

    Raises:
        FileNotFoundError, ValueError: the file does not exist, or does not have this form.
    """
    if not path.is_file():
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
        mapping[tidied(str(category))] = [tidied(pattern) for pattern in patterns]
    return mapping


def require_layouts(layouts: str | list[str] | None, labelled: bool) -> None:
    """Raise ValueError for a layout that cannot be used; None is the default one."""
    _compiled([layouts] if isinstance(layouts, str) else layouts or [], labelled)


def _compiled(layouts: list[str], labelled: bool) -> list[re.Pattern[str]]:
    return [
        re.compile(_expression(composed(layout), labelled), re.DOTALL)
        for layout in layouts
        if not layout.startswith(LEAVE_OUT)
    ]


def _first_match(patterns: list[re.Pattern[str]], path: str) -> re.Match[str] | None:
    """How a path below the root fits the first layout that it fits."""
    return next(filter(None, (pattern.fullmatch(composed(path)) for pattern in patterns)), None)


def _expression(layout: str, labelled: bool) -> str:
    """The layout as a regular expression; it names no category if labels do."""
    if labelled and "{category}" in layout:
        raise ValueError(f"layout is {layout!r}, but must not name {{category}}: the labels name the categories.")
    if not labelled and layout.count("{category}") != 1:
        raise ValueError(f"layout is {layout!r}, but must name {{category}} once, as in {DEFAULT_LAYOUT!r}.")
    if layout.count("{split}") > 1:
        raise ValueError(f"layout is {layout!r}, but must name {{split}} at most once.")
    named = {f"{{{name}}}": f"(?P<{name}>[^/]+)" for name in ("category", "split")}
    meanings = {**named, "**": ".+", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\{category\}|\{split\}|\*\*|\*|\?)", layout)
    return "".join(meanings.get(part, re.escape(part)) for part in parts)
