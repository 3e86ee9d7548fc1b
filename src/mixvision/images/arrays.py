"""Arrays in files, which need not fit the memory."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def new_array(file: Path, shape: tuple[int, ...]) -> np.memmap:
    """A memory-mapped array of zeros in a new file, uint8, to be written to.

    Its room on the disk is taken at once where the system can do so: otherwise a disk that becomes full while the array
    is filled ends the process without a word (SIGBUS).

    Raises:
        OSError: the disk has not enough room.
    """
    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):  # Linux
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    return array
