"""Unpack tar and zip archives: what is safe and within the limits; the rest is refused, file by file, with reasons."""

from __future__ import annotations

import errno
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from tqdm import tqdm

from mixvision.images.layout import is_ignored, root_of

DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError)
SUFFIXES = {"tar", "tgz", "tbz", "tbz2", "txz", "zip"}
SMALL = 10_000_000  # bytes; a small file may be compressed by any ratio
LINKS_IN_A_ROW = 40
ALIASES_PER_FILE = 20  # links to folders may repeat the files at most so often
NAME_FAULTS = {errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EILSEQ}
LONG_NAME = 100
UTF8_NAME = 0x800  # flag of a zip's member
UNICODE_PATH = 0x7075  # extra field of a zip's member
NOT_ARCHIVES = (
    (b"\x28\xb5\x2f\xfd", "is compressed by Zstandard, which is not supported: unpack it (tar --zstd -xf)"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive, which is not supported: unpack it"),
    (b"Rar!\x1a\x07", "is a RAR archive, which is not supported: unpack it"),
    (b"\x04\x22\x4d\x18", "is compressed by LZ4, which is not supported: unpack it"),
)


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


@dataclass(frozen=True)
class Member:
    """A file or link in an archive.

    Args:
        path: its path, or that of a link by which it is reached as well.
        size: in bytes, as the archive says.
        open: opens its content.
        packed: its size in the archive, if known.
        link: the path in the archive that it leads to, if it is a link.
        reason: why it cannot be unpacked, or "".
    """

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]]
    packed: int | None = None
    link: PurePosixPath | None = None
    reason: str = ""


def require_archive(path: Path) -> None:
    """Refuse a file that is no tar or zip archive.

    Raises:
        ValueError: it is another kind of file, or damaged; the message says which, and what to do.
    """
    if _is_tar(path) or zipfile.is_zipfile(path):
        return
    with path.open("rb") as file:
        head = file.read(512)
    known = next((what for start, what in NOT_ARCHIVES if head.startswith(start)), None)
    if known is not None:
        raise ValueError(f"The archive {path} {known}, and give the folder as the source.")
    if head.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0").startswith((b"<", b"{")):
        raise ValueError(f"{path} is a web page or a text, not an archive: download it again, by its direct address.")
    if SUFFIXES.intersection(path.name.lower().split(".")):
        raise ValueError(f"The archive {path} is damaged: download or copy it again.")
    raise ValueError(f"{path} is neither a folder nor a tar or zip archive: give one of these as the source.")


def unpack(archive: Path, target: Path, domain: str, limits: Unpacking) -> dict[str, str]:
    """Unpack the files of a domain into a folder. Links within the archive become the files that they lead to.

    Args:
        archive: a tar or zip archive.
        target: an empty folder.
        domain: if the archive has folders for both domains, only this one's is unpacked.
        limits: of sizes and ratios.

    Returns:
        the files that were left out, with reasons.

    Raises:
        ValueError: the archive is damaged, encrypted or unsafe, or holds more than the limits allow.
        OSError: the disk is too small.
    """
    try:
        with _members_of(archive, limits) as members:
            return _unpack(archive, members, target, domain, limits)
    except DAMAGE as error:
        if isinstance(error, _TooMuchError) or (isinstance(error, OSError) and error.errno):  # a full disk, say
            raise
        raise ValueError(
            f"The archive {archive} is damaged, encrypted or unsafe ({error}): download or copy it again."
        ) from error


def _is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (EOFError, zlib.error, lzma.LZMAError, OSError):  # the beginning of a compressed file that was cut off
        return False


class _TooMuchError(ValueError):
    """The archive holds more than the limits or the disk allow."""


def _require_ratio(archive: object, unpacked: int, packed: int, limits: Unpacking) -> None:
    if unpacked > max(limits.max_ratio * packed, SMALL):
        raise _TooMuchError(
            f"The archive {archive} unpacks to over {limits.max_ratio:g} times its size, the limit "
            "unpacking.max_ratio: raise it in the study's globals.yml if you trust the archive."
        )


def _unpack(archive: Path, members: list[Member], target: Path, domain: str, limits: Unpacking) -> dict[str, str]:
    members = _follow_links(members)
    root = root_of([member.path for member in members], domain)
    wanted = [member for member in members if member.path.is_relative_to(root) and not is_ignored(member.path)]
    wanted = [replace(member, reason=member.reason or _over_limits(member, limits)) for member in wanted]
    taken = [member for member in wanted if not member.reason]
    needed = sum(member.size for member in taken)
    _require_ratio(archive, needed, archive.stat().st_size, limits)
    _require_room(archive, needed, target, limits)
    refused = {member.path.as_posix(): member.reason for member in wanted if member.reason}
    for member in tqdm(taken, desc=f"unpacking {archive.name}", unit="file"):
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
        raise _TooMuchError(
            f"The files of the archive {archive} take {needed} bytes, over unpacking.max_bytes, {limits.max_bytes}: "
            "raise it in the study's globals.yml if you trust the archive."
        )
    free = shutil.disk_usage(target).free
    if needed > free:
        raise _TooMuchError(
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


@contextmanager
def _members_of(archive: Path, limits: Unpacking) -> Iterator[list[Member]]:
    if _is_tar(archive):
        with tarfile.open(archive) as tar:
            yield _members_of_tar(tar, archive.stat().st_size, limits)
    else:
        with zipfile.ZipFile(archive) as packed:
            yield [_member_of_zip(packed, info) for info in packed.infolist() if not _zip_name(info).endswith("/")]


def _members_of_tar(tar: tarfile.TarFile, packed: int, limits: Unpacking) -> list[Member]:
    """The members of an undamaged archive; tarfile itself would take a damaged header for the archive's end."""
    members = []
    while (member := tar.next()) is not None:
        _require_ratio(tar.name, member.offset_data + member.size, packed, limits)
        if not member.isdir():
            members.append(_member_of_tar(tar, member))
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError("a header in it is damaged")
    left = max(limits.max_ratio * packed, SMALL)
    while (block := tar.fileobj.read(2**20)) and left > 0:  # a compressed archive's checksum is at its end
        left -= len(block)
    return members


def _member_of_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    path = _safe(info.name if "/" in info.name else info.name.replace("\\", "/"))

    def content() -> IO[bytes]:
        file = tar.extractfile(info)
        assert file is not None
        return file

    if info.issym():
        return _link(path, info.linkname, PurePosixPath(info.linkname).is_absolute(), path.parent)
    if info.islnk():
        return _link(path, info.linkname, False, PurePosixPath())
    reason = "" if info.isreg() else "unreadable file: a device or a named pipe"
    return Member(path, info.size, content, reason=reason)


def _member_of_zip(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    path = _safe(_zip_name(info))
    if stat.S_ISLNK(info.external_attr >> 16) and info.file_size < 4096:
        target = packed.read(info).decode("utf-8", "replace")
        return _link(path, target, PurePosixPath(target).is_absolute(), path.parent)
    return Member(path, info.file_size, lambda: packed.open(info), info.compress_size)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """A member's name: macOS and others write UTF-8 without saying so, and .NET wrote backslashes."""
    name = info.filename
    if not info.flag_bits & UTF8_NAME and not name.isascii():
        raw = name.encode("cp437")  # as the file has it
        with suppress(UnicodeDecodeError):  # then it is an old name in the code page that zip files had at first
            name = _unicode_path(info.extra, raw) or raw.decode("utf-8")
    return name.replace("\\", "/")


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    """The name in Info-ZIP's extra field, if it belongs to this name (APPNOTE.TXT, 4.6.9)."""
    while len(extra) >= 4:
        kind, size = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and int.from_bytes(field[1:5], "little") == zlib.crc32(raw):
            return field[5:].decode("utf-8")
    return None


def _safe(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or PureWindowsPath(name).drive:
        raise ValueError(f"{name!r} would lie outside the folder it is unpacked to")
    return path


def _link(path: PurePosixPath, target: str, absolute: bool, parent: PurePosixPath) -> Member:
    """A link, or a refused one if it leads out of the archive."""
    parts = list(parent.parts)
    for part in PurePosixPath(target).parts:
        if part == ".." and not parts:
            absolute = True
        elif part == "..":
            parts.pop()
        else:
            parts.append(part)
    if absolute:
        return Member(path, 0, _nothing, reason=f"unreadable file: a link out of the archive: {target}")
    return Member(path, 0, _nothing, link=PurePosixPath(*parts))


def _nothing() -> IO[bytes]:
    raise ValueError("a link has no content of its own")


def _follow_links(members: list[Member]) -> list[Member]:
    """The members with every link replaced by the file it leads to, or by all files of the folder it leads to.

    Raises:
        ValueError: links repeat the archive's files too often.
    """
    links = {member.path: member.link for member in members if member.link is not None}
    if not links:
        return members
    files = {member.path: member for member in members if member.link is None}
    within = defaultdict(list)  # files by each of the folders above them
    for file in files:
        for folder in file.parents:
            within[folder].append(file)
    found = list(files.values())
    most = ALIASES_PER_FILE * (len(members) + 50)
    for path in links:
        target = _resolved(path, links)
        if target is not None and target in files:
            found.append(replace(files[target], path=path))
        elif target is None:
            found.append(Member(path, 0, _nothing, reason="unreadable file: a link that leads back to itself"))
        elif path.is_relative_to(target):
            found.append(Member(path, 0, _nothing, reason="unreadable file: a link to a folder that contains it"))
        else:
            inside = within.get(target, [])
            found += [replace(files[file], path=path / file.relative_to(target)) for file in inside]
            if not inside:
                found.append(Member(path, 0, _nothing, reason=f"unreadable file: a link to nothing: {links[path]}"))
        if len(found) > most:
            raise ValueError("its links repeat its files too often")
    return found


def _resolved(path: PurePosixPath, links: dict[PurePosixPath, PurePosixPath]) -> PurePosixPath | None:
    """Where a path leads when all links in it are followed; None if they go round in circles."""
    for _ in range(LINKS_IN_A_ROW):
        upwards = next((place for place in (*reversed(path.parents), path) if place in links), None)
        if upwards is None:
            return path
        path = links[upwards] / path.relative_to(upwards)
    return None
