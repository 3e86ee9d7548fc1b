"""What disks and interrupted copies do to files."""

from __future__ import annotations

from pathlib import Path


def flip(file: Path, position: float = 0.5, count: int = 1) -> None:
    """Invert bytes at a relative position in a file, so that nothing but a checksum can notice."""
    content = bytearray(file.read_bytes())
    begin = int(len(content) * position)
    content[begin : begin + count] = bytes(255 - byte for byte in content[begin : begin + count])
    file.write_bytes(content)
