"""JPEG files without their end, and with more scans than any picture needs."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from mixvision.images.formats.recognise import Undecodable

END, SCAN = b"\xff\xd9", b"\xff\xda"
MAX_SCANS = 100  # a progressive JPEG has about ten; each costs a pass over the picture


def refuse_many_scans(content: bytes) -> None:
    """Refuse a small file that would keep the decoder busy for minutes.

    Raises:
        Undecodable: it has more than 100 scans.
    """
    scans = content.count(SCAN)  # in the compressed data, 255 is never followed by this byte
    if scans > MAX_SCANS:
        raise Undecodable(f"too many scans: {scans} in a JPEG, at most {MAX_SCANS}")


def with_end(content: bytes) -> bytes:
    """The file with the end marker that it lacks."""
    return content.removesuffix(b"\xff") + END


def is_complete(content: bytes) -> bool:
    """Whether a JPEG without its end marker has all its pixels.

    A decoder makes up what is missing from whatever follows. So if two different ends, and none at all, give the
    same picture, nothing is missing.
    """
    body = content.removesuffix(b"\xff")
    tails = (b"", b"\x55" * 64, b"\xaa" * 64)  # a missing bit is 0 in one of them and 1 in another
    try:
        pictures = (np.asarray(Image.open(io.BytesIO(body + tail + END), formats=["JPEG"])) for tail in tails)
        first = next(pictures)
        return all(np.array_equal(picture, first) for picture in pictures)
    except Exception:  # the file is damaged in other ways as well
        return False
