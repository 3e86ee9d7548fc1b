"""Hashes of whole pictures: for equal ones, and for ones that look alike."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

HASH_SIDE = 32
THUMBNAIL_SIDE = 16
ROWS = 1024  # hashed together


def pixels_hash(picture: Image.Image, pixels: np.ndarray | None = None) -> str:
    """SHA-256 of the size and all pixels of the picture: equal for equal pictures, not for equal centres.

    Args:
        picture: in RGB.
        pixels: the same as an array, if it is at hand.
    """
    digest = hashlib.sha256(f"{picture.width}x{picture.height}".encode())
    if pixels is not None:
        digest.update(pixels.data)
        return digest.hexdigest()
    if picture.height <= ROWS:
        digest.update(picture.tobytes())
        return digest.hexdigest()
    for top in range(0, picture.height, ROWS):  # all bytes of 80 million pixels would take 240 MB
        digest.update(picture.crop((0, top, picture.width, min(top + ROWS, picture.height))).tobytes())
    return digest.hexdigest()


def thumbnail_of(picture: Image.Image) -> np.ndarray:
    """The whole picture squashed to 16x16 and area-averaged, uint8 (16, 16, 3): what the hash is of, in colour."""
    return np.asarray(picture.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX))


def perceptual_hash(picture: Image.Image) -> int:
    """The 64-bit DCT hash of the whole picture: which of its 8x8 lowest frequencies are above their median.

    Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2.1: grey, averaged
    to 32x32; as in the ImageHash package, the constant frequency is among the 64.
    """
    grey = np.asarray(picture.convert("L").resize((HASH_SIDE, HASH_SIDE), Image.Resampling.BOX))
    frequencies = _LOWEST_FREQUENCIES @ grey.astype(np.float64) @ _LOWEST_FREQUENCIES.T
    frequencies = np.round(frequencies, 6)  # a flat picture has zeros here, not rounding noise
    middle = np.sort(frequencies, axis=None)[31:33].mean()  # the median, faster than np.median
    bits = frequencies > middle
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


# The first 8 rows of the DCT-II matrix; computed here because SciPy's would have to be loaded in every worker process.
_LOWEST_FREQUENCIES = 2 * np.cos(np.pi / (2 * HASH_SIDE) * np.outer(np.arange(8), 2 * np.arange(HASH_SIDE) + 1))
