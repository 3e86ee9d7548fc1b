"""JPEG files without their end, with more scans than any picture needs, and of kinds that are not read."""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image

from mixvision.images.formats.recognise import Undecodable

END, SCAN = b"\xff\xd9", b"\xff\xda"
RESTARTS = range(0xD0, 0xD8)
LOSSLESS, JPEG_LS = (0xC3, 0xC7, 0xCB, 0xCF), 0xF7  # markers of frames
NO_FRAMES = (0xC4, 0xC8, 0xCC)  # between those of frames, 0xC0 to 0xCF
MAX_SCANS = 100  # a progressive JPEG has about ten; each costs a pass over the picture


def refuse_many_scans(content: bytes) -> None:
    """Refuse a small file that would keep the decoder busy for minutes.

    Raises:
        Undecodable: it has more than 100 scans.
    """
    if content.count(SCAN) <= MAX_SCANS:  # also in texts and in what follows the picture, such as a phone's video
        return
    scans, place = 0, 2
    while 0 <= place < len(content) - 3 and scans <= MAX_SCANS:
        marker = content[place : place + 2]
        if marker == END:
            break
        is_scan = marker == SCAN
        scans += is_scan
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if is_scan:
            place = _after_scan(content, place)
    if scans > MAX_SCANS:
        raise Undecodable(f"too many scans: over {MAX_SCANS} in a JPEG")


def _after_scan(content: bytes, place: int) -> int:
    """Where the next marker is; in compressed data, 255 is followed by 0 or by the number of a restart."""
    while True:
        place = content.find(b"\xff", place)
        if place < 0 or place + 1 >= len(content):
            return len(content)
        if content[place + 1] not in (0, 0xFF, *RESTARTS):
            return place
        place += 1 if content[place + 1] == 0xFF else 2


def unsupported_kind(content: bytes) -> str:
    """What keeps an intact file from being read, such as "lossless JPEG"; "" if its header shows nothing unusual."""
    place = 2
    while 0 <= place < len(content) - 4 and content[place] == 0xFF:
        marker, bits = content[place + 1], content[place + 4]
        if marker == JPEG_LS:
            return "JPEG-LS"
        if marker in LOSSLESS:
            return "lossless JPEG"
        if 0xC0 <= marker <= 0xCF and marker not in NO_FRAMES:
            return f"JPEG of {bits} bits" if bits != 8 else ""
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return ""


def with_end(content: bytes) -> bytes:
    """The file with the end marker that it lacks."""
    return content.removesuffix(b"\xff") + END


def is_complete(content: bytes) -> bool:
    """Whether a JPEG without its end marker has all its pixels.

    A decoder makes up what is missing from whatever follows. So if two different ends, and none at all, give the
    same picture, nothing is missing. Where a restart is due, it reads on only after the restart's marker.
    """
    body = content.removesuffix(b"\xff")
    fillings = (b"\x55" * 64, b"\xaa" * 64)  # a missing bit is 0 in one of them and 1 in the other
    restarts = re.findall(rb"\xff([\xd0-\xd7])", body)
    due = bytes([0xFF, RESTARTS[(RESTARTS.index(restarts[-1][0]) + 1) % len(RESTARTS) if restarts else 0]])
    tails = (b"", *fillings, *(due + filling for filling in fillings))
    try:
        pictures = (np.asarray(Image.open(io.BytesIO(body + tail + END), formats=["JPEG"])) for tail in tails)
        first = next(pictures)
        return all(np.array_equal(picture, first) for picture in pictures)
    except Exception:  # the file is damaged in other ways as well
        return False
