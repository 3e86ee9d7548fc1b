"""What a file is that was given as an archive: a tar or zip, or something that is not read."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zipfile
import zlib
from pathlib import Path

from mixvision.images.archive_members import is_tar

SUFFIXES = {"tar", "tgz", "tbz", "tbz2", "txz", "zip"}
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
PART = re.compile(r"\.(\d{3}|z\d\d|part\d+)$", re.IGNORECASE)
NOT_READ = (  # the first bytes, what they tell, and the command that unpacks it
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard", "tar --zstd -xf"),
    *((bytes([first]) + b"\x2a\x4d\x18", "compressed by Zstandard or LZ4", "") for first in range(0x50, 0x60)),
    (b"\x04\x22\x4d\x18", "compressed by LZ4", ""),
    (b"\x02\x21\x4c\x18", "compressed by LZ4", ""),
    (b"\x1f\x9d", "compressed by compress (.Z)", "tar -xf"),
    (b"LZIP", "compressed by lzip", "tar --lzip -xf"),
    (b"\x89LZO\0", "compressed by lzop", "tar --lzop -xf"),
    (b"LRZI", "compressed by lrzip", "lrzuntar"),
    (b"\xff\x06\0\0sNaPpY", "compressed by Snappy", ""),
    (b"BZ3v1", "compressed by bzip3", ""),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", ""),
    (b"Rar!\x1a\x07", "a RAR archive", ""),
    (b"MSCF", "a cabinet", ""),
    (b"MSWIM\0\0\0", "a Windows image", ""),
    (b"\x60\xea", "an ARJ archive", ""),
    (b"xar!", "a xar archive", ""),
    (b"!<arch>\n", "an ar archive or a package", ""),
    (b"07070", "a cpio archive", ""),
    (b"hsqs", "a SquashFS image", ""),
    (b"PAR1", "a Parquet file", ""),
    (b"\x89HDF", "an HDF5 file", ""),
)


def require_archive(path: Path) -> None:
    """Refuse a file that is no tar or zip archive.

    Raises:
        ValueError: it is another kind of file, or damaged; the message says which, and what to do.
    """
    with path.open("rb") as file:
        head = file.read(512)
    is_plain_tar = head[257:262] == b"ustar"  # whose first file may have any name
    known = next((row[1:] for row in NOT_READ if head.startswith(row[0]) and not is_plain_tar), None)
    if known is None and (is_tar(path) or zipfile.is_zipfile(path)):
        return
    if path.suffix == ".br":
        known = "compressed by Brotli", ""
    if known is not None:
        what, command = known
        how = f"unpack it ({command})" if command else "unpack it"
        raise ValueError(
            f"The archive {path} is {what}, which is not supported: {how}, and give the folder as the source."
        )
    if PART.search(path.name) or head.startswith(b"PK\x07\x08"):
        raise ValueError(
            f"The archive {path} is one part of several: join them (cat a.zip.0* > a.zip; a program for zip files for "
            ".z01), or unpack them, and give the folder as the source."
        )
    text = _text_in(head) or _text_in(_unpacked_head(path))
    begins = f" It begins with {text!r}." if text else ""
    is_named_so = bool(SUFFIXES.intersection(path.name.lower().split(".")))
    if text.startswith(("<", "{")) or (text and is_named_so):
        raise ValueError(
            f"{path} is a web page or a text, not an archive: download it again, by its direct address.{begins}"
        )
    if is_named_so:
        raise ValueError(f"The archive {path} is damaged: download or copy it again.")
    raise ValueError(f"{path} is neither a folder nor a tar or zip archive: give one of these as the source.{begins}")


def _unpacked_head(path: Path) -> bytes:
    """The beginning of a compressed file's content; empty if it is not compressed, or damaged."""
    for opened in (gzip.open, bz2.open, lzma.open):
        try:
            with opened(path) as file:
                return file.read(512)
        except (OSError, EOFError, zlib.error, lzma.LZMAError):
            continue
    return b""


def _text_in(head: bytes) -> str:
    """The beginning of the web page or text that a file begins with, or ""."""
    text = head.replace(b"\0", b"").decode("utf-8-sig", "replace").lstrip("\ufffd \t\r\n")
    is_page = text.startswith(("<", "{")) and all(map(_is_of_text, text))  # damaged bytes may begin like one
    is_text = b"\0" not in head and not head.startswith(COMPRESSED) and all(map(_is_of_text, head.decode("latin-1")))
    return " ".join(text.split())[:60] if is_page or is_text else ""


def _is_of_text(sign: str) -> bool:
    return sign.isprintable() or sign.isspace() or sign > "\x7f"  # of any encoding
