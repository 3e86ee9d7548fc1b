"""The content of a file that may be an image: regular files of a bearable size only, read in bearable time."""

from __future__ import annotations

import io
import stat
import time
from pathlib import Path

from mixvision.images.formats.recognise import HEAD, Undecodable, recognise

READ_AT_ONCE = 2**20  # bytes: larger files are looked at before they are read
SMALL_READ = 1024  # bytes: of headers
READS_BETWEEN_LOOKS = 256  # small ones, at the clock
SPECIAL_FILES = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


def size_of(path: Path) -> int:
    """The size of a regular file in bytes.

    Raises:
        Undecodable: it is none, or cannot be reached. Opening a pipe would wait for ever.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise Undecodable(f"unreadable file: {error.strerror or error}") from None
    special = next((name for is_kind, name in SPECIAL_FILES if is_kind(status.st_mode)), None)
    if special is not None:
        raise Undecodable(f"unreadable file: {special}, not a regular file")
    return status.st_size


def read_content(path: Path, size: int, max_bytes: int) -> bytes:
    """The content of a file that begins like an image.

    Args:
        path: of a regular file.
        size: in bytes.
        max_bytes: most that are read.

    Raises:
        Undecodable: it is too large, is no image (looked at first if it is large), or cannot be read.
    """
    try:
        with path.open("rb") as file:
            if size > READ_AT_ONCE:
                recognise(file.read(HEAD))
                file.seek(0)
            if size > max_bytes:
                raise Undecodable(f"too many bytes: {size} is over max_bytes, {max_bytes}")
            return file.read(size)
    except OSError as error:
        raise Undecodable(f"unreadable file: {error.strerror or error}") from None


class Clock:
    """The time that one file may take.

    Args:
        seconds: of processor time of this thread.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.end = seconds, time.thread_time() + seconds

    def check(self) -> None:
        """Look at the clock.

        Raises:
            Undecodable: the time is up.
        """
        if time.thread_time() > self.end:
            raise Undecodable(f"too slow: decoding took over max_seconds, {self.seconds:g}")


class TimedContent(io.BytesIO):
    """A file's content; reading it fails once the time is up. Decoders read it in many small parts."""

    def __init__(self, content: bytes, clock: Clock) -> None:
        super().__init__(content)
        self.clock, self.reads = clock, 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        if size is None or not 0 <= size < SMALL_READ or self.reads % READS_BETWEEN_LOOKS == 0:
            self.clock.check()
        return super().read(size)
