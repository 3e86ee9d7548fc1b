"""Sources of images: a folder, an archive, a URL or a bundled sample, as files with categories."""

from __future__ import annotations

import errno
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

from mixvision.addresses import shown
from mixvision.images.acquisition import REFUSED, STAMP, acquire, require_source
from mixvision.images.archives import Unpacking
from mixvision.images.file_tables import FileTable
from mixvision.images.groups import Groups, read_groups
from mixvision.images.labels.matching import match_labels, missing_files
from mixvision.images.labels.reading import Labels, read_label_source, read_labels
from mixvision.images.labels.rows import LabelSource, is_image
from mixvision.images.layout import (
    DEFAULT_LAYOUT,
    map_categories,
    place_files,
    read_mapping,
    require_clear_domain,
    require_layouts,
    root_of,
)
from mixvision.images.litter import litter_in, warn_of_doubtful_folders
from mixvision.images.published import known_splits, published_splits, read_split_table
from mixvision.images.split_folders import (
    require_categories,
    warn_of_inner_splits,
    warn_of_split_categories,
    without_texts,
)
from mixvision.parameter_types import require_choice
from mixvision.vocabulary import DOMAINS

logger = logging.getLogger(__name__)

OWN_FILES = {STAMP, REFUSED}
MOST_LINKS = 8  # to the same folder


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
        refused: by path, why a file cannot be used, such as a link that leads nowhere; these are among the files.
    """

    domain: str
    root: Path
    files: tuple[tuple[str, str], ...]
    unmapped: dict[str, int]
    groups: Groups | None = None
    published: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


def open_source(  # noqa: PLR0913 (the settings of a source, by keyword)
    source: str | None,
    domain: str,
    folder: Path,
    sha256: str | None = None,
    layout: str | list[str] | None = None,
    mapping: str | Path | None = None,
    labels: str | Mapping[str, object] | None = None,
    group: str | Mapping[str, object] | None = None,
    split: Mapping[str, object] | None = None,
    unpacking: Unpacking | None = None,
) -> RawImages:
    """List the files of one domain, after fetching and unpacking them where needed.

    Args:
        source: a folder (used in place), a tar or zip archive, a URL, "package:mnist" or "package:digits". If it
            holds a folder "nice" and a folder "real" and no others, only the domain's is used, so one source can serve
            both domains. None: the study does not have this domain, and there are no files.
        domain: "nice" or "real".
        folder: where archives are unpacked and samples written, replaced when the source changes; downloads are
            kept three folders up, in "downloads".
        sha256: the archive's checksum, or None.
        layout: patterns of file paths below the root, the first that matches counts: "{category}" stands for
            the category, "{split}" for a published split, "*" for anything within a name, "**" for anything at any
            depth; what fits one that begins with "!" is left out. None: "{category}/**", if the folders leave no
            doubt.
        mapping: a YAML file {category: [patterns of category folders]}; folders that match none are left out.
        labels: for sources whose paths do not name the category: the file or folder that does, as a path below the
            root, or {table, file, label} with its columns; see `labels`. The layout has no "{category}" then (None:
            "**"); files that fit it but are not in the labels are outside the layout. A column named split gives
            published splits.
        group: which images must stay in one split; see `groups.read_groups`. None: each image is by itself.
        split: the table of published splits, if the layout does not name them; see `published.read_split_table`.
        unpacking: limits of what is unpacked from an archive; None: the usual ones.

    Names of categories are in Unicode's composed form (NFC), whatever form the file system uses.

    Raises:
        FileNotFoundError, ValueError, OSError: the source is missing or unusable; the message says what to do.
    """
    require_choice("domain", domain, DOMAINS)
    if source is None:
        return RawImages(domain, folder, (), {})
    groups, split_table, label_source = _read_settings(domain, group, split, labels, layout)
    default = DEFAULT_LAYOUT if label_source is None else "**"
    layouts = [layout or default] if isinstance(layout, str | None) else list(layout)
    acquired = acquire(source, folder, folder.parents[2] / "downloads", sha256, domain, unpacking)
    top = acquired.folder
    found, faults = list_files(top, acquired.refused, domain)
    root = root_of(found, domain, labelled=label_source is not None)
    tables = {root / table for table in (groups and groups.table, split_table and split_table.table) if table}
    found = [path for path in found if path not in tables]
    if layout is None and label_source is None:
        require_clear_domain(found, root, domain)
    labelled = None if label_source is None else read_labels(label_source, top / root, domain, top)
    names: dict[str, str] = {}  # of files in the labels, by path

    def label(paths: list[str]) -> dict[str, str]:
        assert labelled is not None
        names.update(match_labels(paths, labelled, domain))
        return {path: labelled.categories.get(name, "") for path, name in names.items()}

    placed = place_files(found, root, layouts, None if labelled is None else label)
    _require_placed(placed, shown(source), domain, layouts, top / root, labelled, label_source)
    refused = {path.relative_to(root).as_posix(): why for path, why in faults.items() if path.is_relative_to(root)}
    if labelled is not None:
        missing = missing_files(labelled, names.values(), [path for _, path in placed], domain)
        refused |= missing | {path: labelled.refused[name] for path, name in names.items() if name in labelled.refused}
        placed += [(labelled.categories[path], path) for path in missing]
    if layout is None and labelled is None:
        placed = without_texts(placed, domain)
        require_categories(placed, domain)
        warn_of_inner_splits(placed, domain)
        warn_of_doubtful_folders((path for category, path in placed if category), domain)
    elif labelled is None:
        warn_of_split_categories({category for category, _ in placed} - {""}, domain)
    unmapped: dict[str, int] = {}
    if mapping is not None:
        placed, unmapped = map_categories(placed, read_mapping(Path(mapping)), domain)
    files = tuple(sorted(placed, key=lambda pair: pair[1]))
    paths = [path for category, path in files if category and path not in refused]
    published = published_splits(paths, layouts, split_table, top / root, domain)
    if not published and labelled is not None:
        published = known_splits({path: labelled.splits.get(names[path], "") for path in paths}, domain)
    return RawImages(domain, top / root, files, unmapped, groups, published, refused)


def _require_placed(
    placed: list[tuple[str, str]],
    source: str | None,
    domain: str,
    layouts: list[str],
    root: Path,
    labels: Labels | None,
    label_source: LabelSource | None,
) -> None:
    """Refuse a source in which no file has a category."""
    if any(category for category, _ in placed):
        return
    also, advice = "", f'put images in one folder per category, or set {domain}.layout, such as "{{category}}/*",'
    if labels is not None and label_source is not None:
        also, advice = f" and are named in {label_source.place}", "correct the layout or the labels"
        if labels.categories and placed:
            file = next(iter(labels.categories))
            path = next((path for _, path in placed if is_image(path)), placed[0][1])
            also += f" (which names files such as {file!r}, and the source has files such as {path!r})"
    raise ValueError(
        f"The source of {domain!r} images, {source}, has no files that fit the layout "
        f"{' or '.join(layouts)} below {root}{also}: {advice} in globals.yml of your environment."
    )


def check_source(
    source: str | None,
    domain: str,
    mapping: str | Path | None = None,
    group: str | Mapping[str, object] | None = None,
    split: Mapping[str, object] | None = None,
    labels: str | Mapping[str, object] | None = None,
    layout: str | list[str] | None = None,
) -> None:
    """Refuse a source or mapping that does not exist, and unclear settings of it, without fetching anything.

    Arguments are as for `open_source`.

    Raises:
        FileNotFoundError, ValueError: with the path that was looked for, and what to do.
    """
    if source is None:
        return
    _read_settings(domain, group, split, labels, layout)
    require_source(source, domain)
    if mapping is not None:
        read_mapping(Path(mapping))


def _read_settings(
    domain: str,
    group: str | Mapping[str, object] | None,
    split: Mapping[str, object] | None,
    labels: str | Mapping[str, object] | None,
    layout: str | list[str] | None,
) -> tuple[Groups | None, FileTable | None, LabelSource | None]:
    try:
        settings = read_groups(group), read_split_table(split), read_label_source(labels)
        require_layouts(layout, labels is not None)
        return settings
    except ValueError as error:
        raise ValueError(f"{domain}.{error}") from None  # the messages begin with the setting


def list_files(
    top: Path, refused: Mapping[str, str], domain: str
) -> tuple[list[PurePosixPath], dict[PurePosixPath, str]]:
    """The files below a folder without those of systems, and those that cannot be used, with the reason.

    Args:
        top: the folder.
        refused: files that are to be among them with a reason, by path below the folder.
        domain: for messages.
    """
    faults = {PurePosixPath(path): reason for path, reason in refused.items()}
    found, litter = list(faults), Counter[str]()
    for path, reason in _walk(top):
        if left := litter_in(path):
            litter[left] += 1
            continue
        if not _is_text(path):  # no table can hold such a name
            path, reason = PurePosixPath(_escaped(path)), "unreadable file: its name is not valid UTF-8"
        if reason:
            faults[path] = reason
        found.append(path)
    litter = Counter({name: count for name, count in litter.items() if name not in OWN_FILES})
    if litter:
        names = ", ".join(f"{name} ({count})" for name, count in sorted(litter.items())[:10])
        logger.info("%s: left out hidden files and those of systems: %s.", domain, names)
    return found, faults


def _is_text(path: PurePosixPath) -> bool:
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(path: PurePath) -> str:
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _walk(top: Path) -> Iterator[tuple[PurePosixPath, str]]:
    """All files below a folder with "", following symbolic links; and the links that are not followed, with reasons.

    A folder that several links lead to is listed under each of them, so that its files are counted as copies.
    """
    visits, real_paths = Counter[str](), {}
    for parent, folders, names in os.walk(top, onerror=_warn_of_unreadable, followlinks=True):
        relative = PurePosixPath(Path(parent).relative_to(top).as_posix())
        real = real_paths[relative] = os.path.realpath(parent)
        visits[real] += 1
        above = {real_paths[place] for place in relative.parents} if relative.parts else set()
        reason = "unreadable file: a link to a folder that contains it" if real in above else ""
        if visits[real] > MOST_LINKS:
            reason = f"unreadable file: one of over {MOST_LINKS} links to the same folder"
        if reason:
            folders.clear()
            yield relative, reason
            continue
        folders.sort()
        yield from ((relative / name, _fault_of_link(Path(parent, name))) for name in sorted(names))


def _fault_of_link(path: Path) -> str:
    """Why a link leads to no file, or ""; "" also for what is no link."""
    if not path.is_symlink():
        return ""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return "unreadable file: a link that leads back to itself"
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return f"unreadable file: a link to nothing: {_escaped(path.readlink())}"
        return f"unreadable file: a link that cannot be followed: {error.strerror}"
    return ""


def _warn_of_unreadable(error: OSError) -> None:
    logger.warning("Left out the folder %s with everything in it: %s.", error.filename, error.strerror)
