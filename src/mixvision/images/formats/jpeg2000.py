"""JPEG 2000 pictures of more than 8 bits, of which Pillow wraps coloured ones."""

from __future__ import annotations

import numpy as np

START = b"\xff\x4f\xff\x51"  # ITU-T T.800, A.4.1 and A.5.1: the markers SOC and SIZ
COMPONENTS, BITS = 40, 42  # where Csiz and the first Ssiz are after the start


def components_and_bits(content: bytes) -> tuple[int, int]:
    """The number of components, and bits of each sample, according to the first; 0 and 8 if the file does not say."""
    size = content[(place := content.find(START)) : place + BITS + 1]
    if place < 0 or len(size) <= BITS:
        return 0, 8
    return int.from_bytes(size[COMPONENTS:BITS], "big"), (size[BITS] & 0x7F) + 1


def read_samples(content: bytes) -> np.ndarray:
    """The samples, ``(H, W)`` or ``(H, W, C)``."""
    import imagecodecs

    return imagecodecs.jpeg2k_decode(content)
