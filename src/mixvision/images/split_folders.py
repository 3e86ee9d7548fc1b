"""Folders that name splits, such as train and test, where categories are expected."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from mixvision.images.split_names import splits_among

logger = logging.getLogger(__name__)

# What lies beside images, but is none: a folder of nothing else is no category.
TEXTS = {
    *(".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".html", ".htm", ".pdf"),
    *(".py", ".ipynb", ".mat", ".npy", ".npz", ".doc", ".docx", ".xls", ".xlsx"),
}
KEEP = "and ingestion.splits.method to published to keep these splits"


def without_texts(placed: list[tuple[str, str]], domain: str) -> list[tuple[str, str]]:
    """The files with those outside the layout that lie in folders of texts only, such as labels of boxes.

    Args:
        placed: pairs of category ("" if it has none) and path below the root.
        domain: for the message.
    """
    pictured = {category for category, path in placed if not _is_text(path)}
    texts = Counter(category for category, _ in placed if category and category not in pictured)
    if not texts or not pictured - {""}:
        return placed
    named = ", ".join(f"{name} ({count})" for name, count in sorted(texts.items()))
    logger.warning("%s: left out folders that hold texts and no images (numbers of files): %s.", domain, named)
    return [(category if category in pictured else "", path) for category, path in placed]


def require_categories(placed: Sequence[tuple[str, str]], domain: str) -> None:
    """Refuse categories that have the names of splits, as they probably are the folders above the categories.

    Args:
        placed: pairs of category, the name of the first folder, and path below the root.
        domain: for the message.

    Raises:
        ValueError: with the layouts that read the folders in one way or the other.
    """
    paths = [PurePosixPath(path).parts for category, path in placed if category and not _is_text(path)]
    names = {parts[0] for parts in paths}
    above = ""
    if len(names) == 1:  # nobody has a single category: look into it
        above = f"{names.pop()}/"
        paths = [parts[1:] for parts in paths if len(parts) > 2]
        names = {parts[0] for parts in paths}
    splits = set(splits_among(names))
    if not splits:
        return
    are = "which are splits" if splits == names else f"of which {', '.join(sorted(splits))} look like splits"
    raise ValueError(
        f"The categories of {domain!r} images would be {', '.join(sorted(names))}, {are}: "
        f"set layout to {_readings(paths, splits, names - splits, above)}."
    )


def warn_of_split_categories(names: set[str], domain: str) -> None:
    """Say so if all categories that the study's own layout names are called train, test, ...

    Args:
        names: of the categories.
        domain: for the message.
    """
    if names and names == set(splits_among(names)):
        text = '%s: the categories are called %s. If these are splits, say so in the layout: "{split}/{category}/**".'
        logger.warning(text, domain, ", ".join(sorted(names)))


def warn_of_inner_splits(files: Iterable[tuple[str, str]], domain: str) -> None:
    """Say so if the folders within each category are called train, test, ..., which a layout can read as splits.

    Args:
        files: pairs of category ("" if it has none) and path below the root, as in "apple/train/1.png".
        domain: for the message.
    """
    within: dict[str, set[str]] = {}
    for category, path in files:
        parts = path.split("/")
        if category and len(parts) > 2:
            within.setdefault(category, set()).add(parts[1])
    names = set().union(*within.values())
    if names and names == set(splits_among(names)):
        text = '%s: the folders within the categories are called %s. To keep these splits, set layout to "%s".'
        logger.warning(text, domain, ", ".join(sorted(names)), "{category}/{split}/**")


def _readings(paths: Iterable[Sequence[str]], splits: set[str], others: set[str], above: str) -> str:
    """The layouts that read the folders in one way or another, and what else to set."""
    inside = [(parts[0], parts[1:-1]) for parts in paths if parts[0] in splits]
    wrappers = ""
    while _is_wrapped(inside):
        inside = [(split, folders[1:]) for split, folders in inside]
        wrappers += "*/"
    has_folders = any(folders for _, folders in inside)
    categories = f"{above}{{category}}/**"
    if others and not has_folders:
        without = _listed([f"!{above}{name}/**" for name in sorted(splits)] + [categories])
        return f'"{categories}" if these are categories, too, or to {without} to leave them out'
    layout = f"{above}{{split}}/{wrappers}{'{category}/' if has_folders else ''}**"
    listed = _listed([f"!{above}{name}/**" for name in sorted(others)] + [layout])
    by_name = f'"{above}{{split}}/{wrappers}{{category}}_*"'
    labels = "" if has_folders else f", name the categories by labels (or by the files' names, as in {by_name})"
    return f'{listed}{labels}, {KEEP}; or, if they are the categories, set layout to "{categories}"'


def _listed(layouts: Sequence[str]) -> str:
    """The layouts as YAML has them."""
    quoted = [f'"{layout}"' for layout in layouts]
    return quoted[0] if len(quoted) == 1 else f"[{', '.join(quoted)}]"


def _is_wrapped(inside: Sequence[tuple[str, Sequence[str]]]) -> bool:
    """Whether each split has all of its images in a single folder, which has folders of its own."""
    firsts = {(split, folders[0]) for split, folders in inside if len(folders) > 1}
    is_deep = all(len(folders) > 1 for _, folders in inside)
    return is_deep and len(firsts) == len({split for split, _ in firsts})


def _is_text(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in TEXTS
