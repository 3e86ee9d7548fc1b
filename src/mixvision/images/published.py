"""Published splits: which part of a published data set each image belongs to, as its folders or a table say."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from mixvision.images.file_tables import FileTable, look_up
from mixvision.images.layout import name_splits
from mixvision.images.split_names import KNOWN, split_meant

logger = logging.getLogger(__name__)


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


def known_splits(names: Mapping[str, str], domain: str) -> dict[str, str]:
    """The published split of every image, from what its labels say.

    Args:
        names: of splits by path; "" where the labels name none.
        domain: for messages.

    Returns:
        splits by path; empty, with a warning, if some are unknown or lacking.
    """
    splits = {path: split_meant(name) for path, name in names.items()}
    if all(splits.values()):
        return splits
    if any(names.values()):
        path, name = next((path, names[path]) for path, split in splits.items() if not split)
        has = f"the split {name!r}" if name else "none"
        text = "%s: the labels name splits, but not of every image: %s has %s. They are not used; known are %s."
        logger.warning(text, domain, path, has, KNOWN)
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
    splits = {path: split_meant(name) for path, name in zip(paths, names, strict=True)}
    unknown = next((path for path, split in splits.items() if not split), None)
    if unknown is not None:
        name = dict(zip(paths, names, strict=True))[unknown]
        has = f"the split {name!r}" if name else "no split"
        raise ValueError(
            f"The {domain!r} image {unknown} has {has}, but each must have one of {KNOWN}: correct its name, or leave "
            f'the image out by a layout such as "!{unknown.partition("/")[0]}/**".'
        )
    return splits
