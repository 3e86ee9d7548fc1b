"""What is in tar and zip archives: files and links, by names as people wrote them."""

from __future__ import annotations

import logging
import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Self

logger = logging.getLogger(__name__)

DRIVE = re.compile(r"[A-Za-z]:" if os.name == "nt" else r"[A-Za-z]:[/\\]")  # elsewhere "a: apples" is a name
LONG_HEADERS = {  # of names and attributes that do not fit into a usual one
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
}
MOST_IN_HEADER = 2**20  # bytes
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}  # of zips, that are read
METHODS |= {getattr(zipfile, "ZIP_ZSTANDARD", zipfile.ZIP_STORED)}  # by newer Pythons
OTHER_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
ENCRYPTED = 0x1  # flag of a zip's member
UTF8_NAME = 0x800  # flag of a zip's member
UNICODE_PATH = 0x7075  # extra field of a zip's member


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


class NoEndError(ValueError):
    """The archive does not have the blocks that end a tar: it was probably cut off."""


class LongHeaderError(ValueError):
    """A header of a tar claims more bytes than names and attributes need: reading it would fill the memory."""


class Header(tarfile.TarInfo):
    """A header of a tar that is not too long to be read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in LONG_HEADERS and header.size > MOST_IN_HEADER:
            raise LongHeaderError(f"a header in it has {header.size} bytes, but at most {MOST_IN_HEADER} are read")
        return header


@contextmanager
def members_of(archive: Path, require_ratio: Callable[[int], None], most: int, strict: bool) -> Iterator[list[Member]]:
    """The members of an undamaged archive, while it is open.

    Args:
        archive: a tar or zip archive.
        require_ratio: is called with the bytes that a tar unpacks to, as far as these are known.
        most: the bytes that a compressed tar may hold behind its end.
        strict: whether a tar must have the blocks that end it; otherwise there is a warning.

    Raises:
        NoEndError: it was probably cut off.
        tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError: it is damaged or unsafe.
    """
    if is_tar(archive):
        with tarfile.open(archive, tarinfo=Header) as tar:
            yield _members_of_tar(tar, require_ratio, most, strict)
    else:
        with zipfile.ZipFile(archive) as packed:
            _warn_of_unknown_names(archive, packed)
            yield [_member_of_zip(packed, info) for info in packed.infolist() if not _zip_name(info).endswith("/")]


def is_tar(path: Path) -> bool:
    """Whether a file is a tar archive, perhaps compressed; not one whose beginning is damaged."""
    try:
        tarfile.open(path, tarinfo=Header).close()
    except LongHeaderError:
        return True
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError):  # the beginning of one that was cut off
        return False
    return True


def nothing() -> IO[bytes]:
    """The content of what cannot be opened."""
    raise ValueError("a link has no content of its own")


def _members_of_tar(
    tar: tarfile.TarFile, require_ratio: Callable[[int], None], most: int, strict: bool
) -> list[Member]:
    """The members of an undamaged archive; tarfile itself would take a damaged header for the archive's end."""
    members, is_more = [], True
    while is_more:
        while (member := tar.next()) is not None:
            require_ratio(member.offset_data + member.size)
            if not member.isdir():
                members.append(_member_of_tar(tar, member))
        _require_end(tar, strict)
        is_more = _go_to_appended(tar, most)
    return members


def _require_end(tar: tarfile.TarFile, strict: bool) -> None:
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    end = tar.fileobj.read(tarfile.BLOCKSIZE)
    if end.strip(b"\0"):
        raise tarfile.ReadError("a header in it is damaged")
    if len(end) < tarfile.BLOCKSIZE:
        if strict:
            raise NoEndError("the blocks that end a tar are missing, so it was probably cut off")
        logger.warning("The archive %s has no end: files may be missing, if it was not copied whole.", tar.name)


def _go_to_appended(tar: tarfile.TarFile, most: int) -> bool:
    """Whether another tar follows the end of one, as after `cat a.tar b.tar`; its members are next then."""
    assert tar.fileobj is not None
    place = tar.fileobj.tell()
    last = place + most
    while (block := tar.fileobj.read(2**20)) and place < last:  # a compressed archive's checksum is at its end
        zeros = len(block) - len(block.lstrip(b"\0"))
        if zeros < len(block):
            tar.fileobj.seek(place + zeros // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE)
            return _is_header_next(tar, last)
        place += zeros
    return False


def _is_header_next(tar: tarfile.TarFile, last: int) -> bool:
    assert tar.fileobj is not None
    place = tar.fileobj.tell()
    try:
        Header.frombuf(tar.fileobj.read(tarfile.BLOCKSIZE), tar.encoding or "utf-8", tar.errors or "strict")
    except tarfile.HeaderError:
        logger.warning("The archive %s has something behind its end that is no tar: it is left out.", tar.name)
        while tar.fileobj.tell() < last and tar.fileobj.read(2**20):
            pass
        return False
    tar.offset = place
    return True


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
    fault = _fault_of_zip(info)
    if fault:
        return Member(path, info.file_size, nothing, info.compress_size, reason=f"unreadable file: {fault}")
    if stat.S_ISLNK(info.external_attr >> 16) and info.file_size < 4096:
        target = packed.read(info).decode("utf-8", "replace")
        return _link(path, target, PurePosixPath(target).is_absolute(), path.parent)
    return Member(path, info.file_size, lambda: packed.open(info), info.compress_size)


def _fault_of_zip(info: zipfile.ZipInfo) -> str:
    """Why a member of a zip cannot be read, or ""."""
    if info.flag_bits & ENCRYPTED:
        return "encrypted in the archive"
    if info.compress_type not in METHODS:
        name = OTHER_METHODS.get(info.compress_type, f"method {info.compress_type}")
        return f"compressed by {name}, which is not supported"
    return ""


def _zip_name(info: zipfile.ZipInfo) -> str:
    """A member's name: macOS and others write UTF-8 without saying so, and .NET wrote backslashes."""
    return (_utf8_name(info) or info.filename).replace("\\", "/")


def _utf8_name(info: zipfile.ZipInfo) -> str | None:
    """A member's name, if it is in UTF-8; None if it is in an old code page."""
    if info.flag_bits & UTF8_NAME or info.filename.isascii():
        return info.filename
    raw = info.filename.encode("cp437")  # as the file has it
    with suppress(UnicodeDecodeError):
        return _unicode_path(info.extra, raw) or raw.decode("utf-8")
    return None


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
    if path.is_absolute() or ".." in path.parts or DRIVE.match(name):
        raise ValueError(f"{name!r} would lie outside the folder it is unpacked to")
    return path


def _warn_of_unknown_names(archive: Path, packed: zipfile.ZipFile) -> None:
    """Say which names are in a code page that the archive does not name."""
    names = [_zip_name(info) for info in packed.infolist() if not info.filename.isascii() and _utf8_name(info) is None]
    if names:
        text = "%s: %d names are in an unknown code page and read as that of DOS, such as %r. If that looks wrong, %s."
        advice = "unpack the archive with a program that knows the code page (unzip -O), and give the folder"
        logger.warning(text, archive, len(names), names[0], advice)


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
        return Member(path, 0, nothing, reason=f"unreadable file: a link out of the archive: {target}")
    return Member(path, 0, nothing, link=PurePosixPath(*parts))
