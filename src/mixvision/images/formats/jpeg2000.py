"""JPEG 2000 pictures of more than 8 bits, of which Pillow wraps coloured ones."""

from __future__ import annotations

import numpy as np

SIZE_MARKER, BITS_OFFSET = b"\xff\x51", 40  # ITU-T T.800, A.5.1: SIZ, and where Ssiz is in it


def bits_of(content: bytes) -> int:
    """Bits of each sample, according to the first component; 8 if the file does not say."""
    place = content.find(SIZE_MARKER) + BITS_OFFSET
    return (content[place] & 0x7F) + 1 if BITS_OFFSET <= place < len(content) else 8


def read_samples(content: bytes) -> np.ndarray:
    """The samples, ``(H, W)`` or ``(H, W, C)``."""
    import imagecodecs

    return imagecodecs.jpeg2k_decode(content)
