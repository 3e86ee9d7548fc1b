"""Sources of images: a folder, an archive, a URL or a bundled sample, as files with categories."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mixvision.images.acquisition import acquire, require_source
from mixvision.images.groups import Groups, read_groups
from mixvision.images.layout import (
    DEFAULT_LAYOUT,
    is_ignored,
    map_categories,
    place_files,
    read_labels,
    read_mapping,
    root_of,
)
from mixvision.images.published import published_splits, read_split_table, require_categories
from mixvision.vocabulary import DOMAINS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawImages:
    """The image files of one domain.

    Args:
        domain: "nice" or "real".
        root: the folder that the files' paths are relative to.
        files: pairs of category and path (posix), sorted by path; the category is "" outside the layout. Empty if the
            study does not have this domain.
        unmapped: folders that the mapping leaves out, with their numbers of files.
        groups: which of them must stay in one split, or None.
        published: by path, the split that a published data set puts the file into; empty if it names none.
    """

    domain: str
    root: Path
    files: tuple[tuple[str, str], ...]
    unmapped: dict[str, int]
    groups: Groups | None = None
    published: Mapping[str, str] = field(default_factory=dict)


def open_source(  # noqa: PLR0913 (the settings of a source, by keyword)
    source: str | None,
    domain: str,
    folder: Path,
    sha256: str | None = None,
    layout: str | list[str] | None = None,
    mapping: str | Path | None = None,
    labels: str | None = None,
    group: str | Mapping[str, object] | None = None,
    split: Mapping[str, object] | None = None,
) -> RawImages:
    """List the files of one domain, after fetching and unpacking them where needed.

    Args:
        source: a folder (used in place), a tar or zip archive, a URL, "package:mnist" or "package:digits". If it
            holds a folder named after the domain, only that is used, so one source can serve both domains. None: the
            study does not have this domain, and there are no files.
        domain: "nice" or "real".
        folder: where archives are unpacked and samples written, replaced when the source changes; downloads are
            kept three folders up, in "downloads".
        sha256: the archive's checksum, or None.
        layout: patterns of file paths below the root, the first that matches counts: "{category}" stands for
            the category, "{split}" for a published split, "*" for anything within a name, "**" for anything at any
            depth. None: "{category}/**".
        mapping: a YAML file {category: [patterns of category folders]}; folders that match none are left out.
        labels: for sources whose paths do not name the category: the text file that does, as a path below the root.
            Its lines are file name, tab or spaces, category, anything. The layout has no "{category}" then; files that
            fit it but are not in the labels are outside the layout.
        group: which images must stay in one split; see `groups.read_groups`. None: each image is by itself.
        split: the table of published splits, if the layout does not name them; see `published.read_split_table`.

    Names of categories are in Unicode's composed form (NFC), whatever form the file system uses.

    Raises:
        FileNotFoundError, ValueError, OSError: the source is missing or unusable; the message says what to do.
    """
    if domain not in DOMAINS:
        raise ValueError(f"domain is {domain!r}, but must be one of {DOMAINS}.")
    if source is None:
        return RawImages(domain, folder, (), {})
    groups, split_table = read_groups(group), read_split_table(split)
    layouts = [layout or DEFAULT_LAYOUT] if isinstance(layout, str | None) else list(layout)
    top = acquire(source, folder, folder.parents[2] / "downloads", sha256, domain)
    found = _list_files(top, domain)
    root = root_of(found, domain)
    named = None if labels is None else read_labels(top / root / labels, domain)
    placed = list(place_files(found, root, layouts, named))
    if not any(category for category, _ in placed):
        also, advice = "", "put images in one folder per category, or describe the layout"
        if labels is not None:
            also, advice = f" and are named in {labels}", "correct the layout or the labels"
        raise ValueError(
            f"The source of {domain!r} images, {source}, has no files that fit the layout "
            f"{' or '.join(layouts)} below {top / root}{also}: {advice} in the configuration."
        )
    require_categories({category for category, _ in placed} - {""}, domain)
    unmapped: dict[str, int] = {}
    if mapping is not None:
        placed, unmapped = map_categories(placed, read_mapping(Path(mapping)), domain)
    published = published_splits(
        [path for category, path in placed if category], layouts, split_table, top / root, domain
    )
    files = tuple(sorted(placed, key=lambda pair: pair[1]))
    return RawImages(domain, top / root, files, unmapped, groups, published)


def check_source(
    source: str | None,
    domain: str,
    mapping: str | Path | None = None,
    group: str | Mapping[str, object] | None = None,
    split: Mapping[str, object] | None = None,
) -> None:
    """Refuse a source or a mapping that does not exist, and an unclear group or split, without fetching anything.

    Arguments are as for `open_source`.

    Raises:
        FileNotFoundError, ValueError: with the path that was looked for, and what to do.
    """
    if source is None:
        return
    read_groups(group)
    read_split_table(split)
    require_source(source, domain)
    if mapping is not None:
        read_mapping(Path(mapping))


def _list_files(top: Path, domain: str) -> list[PurePosixPath]:
    """The files below a folder, without ignored ones and names that are not Unicode text, which no table can hold."""
    files = [path for path in _walk(top) if not is_ignored(path)]
    named = [path for path in files if _is_text(path)]
    if len(named) < len(files):
        logger.warning("%s: left out %d files whose names are not valid UTF-8.", domain, len(files) - len(named))
    return named


def _is_text(path: PurePosixPath) -> bool:
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:
        return False
    return True


def _walk(top: Path) -> Iterator[PurePosixPath]:
    """All files below a folder, following symbolic links, each folder once."""
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
    logger.warning("Left out the folder %s with everything in it: %s.", error.filename, error.strerror)
