"""Replace files and folders completely or not at all, whatever ends the process; and tell whether a file changed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

LARGE = 4 * 2**20  # bytes that are read at each end of a file


@contextmanager
def replacing_file(file: Path) -> Iterator[Path]:
    """Yield a path beside `file` to write to; what is there replaces `file` at the end, unless an error occurs.

    One process writes a file at a time, so what a killed one left is overwritten by the next.
    """
    partial = file.with_name(f".{file.stem}.partial{file.suffix}")
    try:
        yield partial
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it replaces `folder` at the end, unless an error occurs."""
    partial, old = (folder.with_name(f".{folder.name}.{word}") for word in ("partial", "old"))
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def checksum_of(file: Path) -> str:
    """The BLAKE2 digest of a file's bytes."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "blake2b").hexdigest()


def digest_of(path: Path) -> str:
    """A short digest of what a file or folder holds, the same wherever it is; of large files of their size and ends."""
    inside = (file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))  # no .DS_Store
    files = [path] if path.is_file() else sorted(inside)
    digest = hashlib.blake2b(digest_size=8)
    for file in files:
        status = file.stat()
        digest.update(f"{file.relative_to(path)} {_digest_of_file(file, status.st_mtime_ns, status.st_size)}".encode())
    return digest.hexdigest()


@lru_cache(maxsize=4096)
def _digest_of_file(file: Path, _: int, size: int) -> str:
    """By the file's stamp, so that one that has not changed is read once."""
    digest = hashlib.blake2b(str(size).encode(), digest_size=8)
    with file.open("rb") as content:
        digest.update(content.read(LARGE))
        if size > LARGE:
            content.seek(max(LARGE, size - LARGE))
            digest.update(content.read(LARGE))
    return digest.hexdigest()
