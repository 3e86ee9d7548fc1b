"""PNG files: the parts that pixels need, and transparent levels of grey."""

from __future__ import annotations

import zlib

import numpy as np
from PIL import Image

from mixvision.images.formats.recognise import Undecodable

SIGNATURE = 8  # bytes
NEEDED = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"}
MAX_CHUNKS = 100_000
SMALLEST_CHUNK = 12  # bytes
GREY, RGB = 0, 2  # colour types
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by colour type
AT_ONCE = 2**20  # bytes that are decompressed together


def without_texts(content: bytes) -> bytes:
    """The file with only the chunks that its pixels need: a large or damaged text or profile says nothing about them.

    EXIF is kept if its checksum is right. What follows an incomplete chunk is left as it is.
    """
    parts, place = [content[:SIGNATURE]], SIGNATURE
    for _ in range(MAX_CHUNKS):
        end = place + SMALLEST_CHUNK + int.from_bytes(content[place : place + 4], "big")
        if end > len(content) or place == len(content):
            break
        name = content[place + 4 : place + 8]
        if name in NEEDED or (name == b"eXIf" and _is_intact(content[place:end])):
            parts.append(content[place:end])
        place = end
    return b"".join([*parts, content[place:]])


def refuse_many_chunks(content: bytes) -> None:
    """Refuse a file of very many small chunks, each of which takes Pillow hundreds of bytes and some time.

    Raises:
        Undecodable: it has more than 100,000 chunks.
    """
    place, count = SIGNATURE, 0
    while place < len(content) and len(content) > SMALLEST_CHUNK * MAX_CHUNKS:
        place, count = place + SMALLEST_CHUNK + int.from_bytes(content[place : place + 4], "big"), count + 1
        if count > MAX_CHUNKS:
            raise Undecodable(f"too many chunks: over {MAX_CHUNKS} in a PNG")


def lacks_rows(image: Image.Image, content: bytes) -> bool:
    """Whether a picture's data end before its last row, which Pillow then leaves black without a word.

    Only pictures whose last row is black are looked at, as this takes a second decompression. Interlaced ones are not.
    """
    depth, kind, interlaced = content[24], content[25], content[28]
    last_row = image.crop((0, image.height - 1, *image.size))
    if interlaced or last_row.getbbox(alpha_only=False):  # the box around what is not 0
        return False
    row = 1 + (image.width * depth * SAMPLES[kind] + 7) // 8
    decompressor, length, place = zlib.decompressobj(), 0, SIGNATURE
    while place < len(content) and content[place + 4 : place + 8] != b"IEND":
        end = place + SMALLEST_CHUNK + int.from_bytes(content[place : place + 4], "big")
        if content[place + 4 : place + 8] == b"IDAT":
            rest = content[place + 8 : end - 4]
            while rest and length < row * image.height:
                length += len(decompressor.decompress(rest, AT_ONCE))
                rest = decompressor.unconsumed_tail
        place = end
    return length < row * image.height


def _is_intact(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def states_significant_bits(content: bytes) -> bool:
    """Whether the file says how many bits its samples had before they were scaled to all 16 (chunk sBIT)."""
    return b"sBIT" in content[: content.find(b"IDAT")]


def is_deep_and_coloured(content: bytes) -> bool:
    """Whether the file has colours or opacity of 16 bits, of which Pillow keeps 8."""
    return content[24] == 16 and content[25] != GREY


def read_samples(content: bytes) -> np.ndarray:
    """All bits of the samples, uint16 ``(H, W, C)`` with C 2 to 4: grey or RGB, and opacity if there is some."""
    import imagecodecs

    return imagecodecs.png_decode(without_texts(content))


def opacity(image: Image.Image, content: bytes) -> np.ndarray | None:
    """Where a grey or RGB picture with one transparent colour is opaque, bool ``(H, W)``; None if it has none.

    Pillow compares the colour as the file writes it, with 1 to 16 bits, to samples that it has scaled.
    """
    colour = image.info.get("transparency")
    depth, kind = content[24], content[25]
    if kind == GREY and isinstance(colour, int) and image.mode in ("L", "I;16"):
        scale = 255 // (2**depth - 1) if depth < 8 else 1
        return np.asarray(image) != colour * scale
    if kind == RGB and isinstance(colour, tuple) and image.mode == "RGB":
        return (np.asarray(image) != np.array(colour)).any(axis=-1)
    return None
