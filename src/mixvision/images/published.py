"""Published splits: which part of a published data set each image belongs to, as its folders or a table say."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mixvision.images.file_tables import FileTable, look_up
from mixvision.images.layout import name_splits

logger = logging.getLogger(__name__)

NAMES = {  # as data sets call them, whatever the case
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev", "eval"), "validation"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}
_AROUND = re.compile(r"^(seg|img|images|my)_|[_ -]?(set|data|images|\d{4})$")  # seg_train, training_set, val2017


def split_named(name: str) -> str:
    """The split that a name means, or "": train, Training, val2017, seg_test, ..."""
    name = name.casefold()
    return NAMES.get(name) or NAMES.get(_AROUND.sub("", name), "")


def read_split_table(given: Mapping[str, object] | None) -> FileTable | None:
    """The table that a source's setting `split` describes: null, or a mapping with table, file and split.

    Raises:
        ValueError: it is neither.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping) or set(given) != {"table", "file", "split"}:
        raise ValueError(f"split is {given!r}, but must be a mapping of table, file and split, or null.")
    return FileTable("split", *(str(given[name]) for name in ("table", "file", "split")))


def require_categories(names: set[str], domain: str, certain: bool) -> None:
    """Refuse categories that have the names of splits: they are the folders above the categories.

    Args:
        names: of the categories.
        domain: for the message.
        certain: whether the study sets a layout; then only those are refused that all have names of splits.
    """
    splits = {name for name in names if split_named(name)}
    if len(splits) > 1 and (splits == names or (not certain and len({split_named(name) for name in splits}) > 1)):
        raise ValueError(
            f"The categories of {domain!r} images would be {', '.join(sorted(names))}, which are splits: set layout "
            'to "{split}/{category}/**", and ingestion.splits.method to published to keep these splits.'
        )


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
    if len({split_named(name) for name in names} - {""}) > 1 and all(split_named(name) for name in names):
        text = '%s: the folders within the categories are called %s. To keep these splits, set layout to "%s".'
        logger.warning(text, domain, ", ".join(sorted(names)), "{category}/{split}/**")


def known_splits(names: Mapping[str, str]) -> dict[str, str]:
    """The published split of every image by its path, from names of splits; empty if some are unknown or lacking."""
    splits = {path: split_named(name) for path, name in names.items()}
    if all(splits.values()):
        return splits
    if any(splits.values()):
        logger.warning("The labels name splits, but not of every image: their splits are not used.")
    return {}


def published_splits(
    paths: Sequence[str], layouts: list[str], table: FileTable | None, root: Path, domain: str
) -> dict[str, str]:
    """The published split of every image by its path; empty if neither a layout nor a table names splits.

    Args:
        paths: of the images, below the root.
        layouts: patterns, of which the first that fits a path counts; "{split}" stands for the name of the split.
        table: which names the splits instead.
        root: the folder that the paths are relative to.
        domain: for messages.

    Raises:
        ValueError: an image has no split although others have, or one of an unknown name; or splits are named twice.
    """
    by_layout = any("{split}" in layout for layout in layouts)
    if not by_layout and table is None:
        return {}
    if by_layout and table is not None:
        raise ValueError(f"Both layout and split name the splits of {domain!r} images: remove one of the two.")
    names = name_splits(paths, layouts) if table is None else look_up(paths, table, root, domain)
    splits = {path: split_named(name) for path, name in zip(paths, names, strict=True)}
    unknown = next((path for path, split in splits.items() if not split), None)
    if unknown is not None:
        name = dict(zip(paths, names, strict=True))[unknown]
        has = f"the split {name!r}" if name else "no split"
        known = ", ".join(NAMES)
        raise ValueError(
            f"The {domain!r} image {unknown} has {has}, but each must have one of {known}: correct its name, or let "
            "the layout leave the image out."
        )
    return splits
