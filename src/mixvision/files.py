"""Replace files and folders completely or not at all, whatever ends the process; and tell whether a file changed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
