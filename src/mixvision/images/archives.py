"""Unpack tar and zip archives: what is safe and within the limits; the rest is refused, file by file, with reasons."""

from __future__ import annotations

import errno
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from mixvision.images.archive_links import follow_links
from mixvision.images.archive_members import Member, NoEndError, members_of
from mixvision.images.layout import root_of
from mixvision.images.litter import is_ignored
from mixvision.parameter_types import require_types
from mixvision.progress import progress

DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError)
SMALL = 10_000_000  # bytes; a small file may be compressed by any ratio
NAME_FAULTS = {errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ}
LONG_NAME = 100


@dataclass(frozen=True)
class Unpacking:
    """The limits of what is unpacked from an archive.

    Args:
        max_bytes: of all files together.
        max_file_bytes: of one file; a larger one is left out.
        max_ratio: of unpacked to packed bytes, of a zip's file (a higher one is left out) and of a whole tar archive.
    """

    max_bytes: int = 1_000_000_000_000
    max_file_bytes: int = 500_000_000
    max_ratio: float = 200.0

    def __post_init__(self) -> None:
        require_types(self)
        for name in ("max_bytes", "max_file_bytes", "max_ratio"):
            if not getattr(self, name) > 0:
                raise ValueError(f"unpacking.{name} is {getattr(self, name)}, but must be above 0.")


def read_unpacking(given: Mapping[str, Any] | None) -> Unpacking:
    """The limits that the setting `unpacking` gives; those that it leaves out are the usual ones.

    Raises:
        ValueError: it has an unknown name or a wrong value.
    """
    names = [field.name for field in fields(Unpacking)]
    if given is not None and (not isinstance(given, Mapping) or not set(given) <= set(names)):
        raise ValueError(f"unpacking is {given!r}, but must be a mapping of some of {', '.join(names)}, or null.")
    return Unpacking(**(given or {}))


def unpack(archive: Path, target: Path, domain: str, limits: Unpacking, strict: bool = False) -> dict[str, str]:
    """Unpack the files of a domain into a folder. Links within the archive become the files that they lead to.

    Args:
        archive: a tar or zip archive.
        target: an empty folder.
        domain: if the archive has folders for both domains, only this one's is unpacked.
        limits: of sizes and ratios.
        strict: whether a tar must have the blocks that end it, without which it may have been cut off; if not, their
            lack is a warning.

    Returns:
        the files that were left out, with reasons.

    Raises:
        ValueError: the archive is damaged, encrypted or unsafe, or holds more than the limits allow.
        OSError: the disk is too small.
    """
    try:
        packed = archive.stat().st_size
        require_ratio = partial(_require_ratio, archive, packed=packed, limits=limits)
        with members_of(archive, require_ratio, _most_bytes(packed, limits), strict) as members:
            return _unpack(archive, members, target, domain, limits)
    except NoEndError as error:
        raise ValueError(
            f"The archive {archive} was not received whole: {error}. Run again to download it again; if the original "
            "is like that, download it yourself and give its path as the source."
        ) from error
    except DAMAGE as error:
        if isinstance(error, _RefusedError) or (isinstance(error, OSError) and error.errno):  # a full disk, say
            raise
        raise ValueError(
            f"The archive {archive} is damaged, encrypted or unsafe ({error}): download or copy it again."
        ) from error


class _RefusedError(ValueError):
    """The archive is not unpacked, although it may be whole; the message says why and what to do."""


def _most_bytes(packed: int, limits: Unpacking) -> int:
    return int(max(limits.max_ratio * packed, SMALL))


def _require_ratio(archive: object, unpacked: int, packed: int, limits: Unpacking) -> None:
    if unpacked > _most_bytes(packed, limits):
        raise _RefusedError(
            f"The archive {archive} unpacks to over {limits.max_ratio:g} times its size, the limit "
            "unpacking.max_ratio: raise it in the study's globals.yml if you trust the archive."
        )


def _unpack(archive: Path, members: list[Member], target: Path, domain: str, limits: Unpacking) -> dict[str, str]:
    members = follow_links(members)
    root = root_of([member.path for member in members], domain)
    wanted = [member for member in members if member.path.is_relative_to(root) and not is_ignored(member.path)]
    wanted = [replace(member, reason=member.reason or _over_limits(member, limits)) for member in wanted]
    taken = [member for member in wanted if not member.reason]
    if wanted and not taken:
        first = wanted[0]
        raise _RefusedError(
            f"No file of the archive {archive} can be unpacked, such as {str(first.path)!r}: "
            f"{first.reason.removeprefix('unreadable file: ')}. Unpack it yourself, and give the folder as the source."
        )
    needed = sum(member.size for member in taken)
    _require_ratio(archive, needed, archive.stat().st_size, limits)
    _require_room(archive, needed, target, limits)
    refused = {member.path.as_posix(): member.reason for member in wanted if member.reason}
    for member in progress(taken, desc=f"unpacking {archive.name}", unit="file"):
        try:
            _write(member, target)
        except OSError as error:
            if error.errno not in NAME_FAULTS:
                raise
            refused[_short(member.path)] = f"unreadable file: its name cannot be used here: {error.strerror}"
    return refused


def _short(path: PurePosixPath) -> str:
    """The path with names of at most 100 characters, for tables."""
    return "/".join(part if len(part) <= LONG_NAME else f"{part[:LONG_NAME]}..." for part in path.parts)


def _over_limits(member: Member, limits: Unpacking) -> str:
    if member.size > limits.max_file_bytes:
        return f"too many bytes: {member.size} is over unpacking.max_file_bytes, {limits.max_file_bytes}"
    ratio = member.size / max(member.packed or member.size, 1)
    if member.size > SMALL and ratio > limits.max_ratio:
        return f"too many bytes: compressed {ratio:.0f}-fold, over unpacking.max_ratio, {limits.max_ratio:g}"
    return ""


def _require_room(archive: Path, needed: int, target: Path, limits: Unpacking) -> None:
    if needed > limits.max_bytes:
        raise _RefusedError(
            f"The files of the archive {archive} take {needed} bytes, over unpacking.max_bytes, {limits.max_bytes}: "
            "raise it in the study's globals.yml if you trust the archive."
        )
    free = shutil.disk_usage(target).free
    if needed > free:
        raise _RefusedError(
            f"The files of the archive {archive} take {needed / 1e9:.1f} GB, but the disk of {target.absolute()} has "
            f"only {free / 1e9:.1f} GB left: make room, or give an unpacked folder as the source."
        )


def _write(member: Member, target: Path) -> None:
    path = target / member.path
    path.parent.mkdir(parents=True, exist_ok=True)
    left = member.size
    with member.open() as source, path.open("wb") as file:
        while block := source.read(min(2**20, left + 1)):
            left -= len(block)
            if left < 0:
                raise ValueError(f"{str(member.path)!r} is longer than the archive says")
            file.write(block)
