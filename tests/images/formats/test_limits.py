"""Small files that would fill the memory or take minutes, and what the reason says where a file is not used."""

from __future__ import annotations

import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from mixvision.images.decoding import Decoding, decode_file

SIDE = 64
GREY = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 16
NOISE = np.random.default_rng(0).integers(0, 65536, (SIDE, SIDE, 3)).astype(np.uint16)


def decode(tmp_path, content: bytes, **limits):
    (tmp_path / "picture").write_bytes(content)
    return decode_file(tmp_path / "picture", Decoding(size=32, **limits))


def tiff_around(part: bytes, compression: int, bits: int, photometric: int = 1, samples: int = 1) -> bytes:
    """A TIFF of 64x64 pixels in one strip, which is compressed already."""
    part += bytes(len(part) % 2)
    tags = {256: SIDE, 257: SIDE, 258: bits, 259: compression, 262: photometric, 273: 8, 277: samples, 278: SIDE}
    tags[279] = len(part)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(part)) + part + struct.pack("<H", len(tags)) + entries + bytes(4)


def tiff_of(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, metadata=None, **options)
    return stream.getvalue()


def encoded(array: np.ndarray, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


LARGE = np.zeros((2000, 2000), np.uint16)
INSIDE = {
    "JPEG 2000": (34712, 16, imagecodecs.jpeg2k_encode(LARGE, level=0, reversible=True)),
    "JPEG XL": (50002, 16, imagecodecs.jpegxl_encode(LARGE, effort=1)),
    "PNG": (34933, 16, imagecodecs.png_encode(LARGE)),
    "LERC": (34887, 16, imagecodecs.lerc_encode(LARGE)),
    "WebP": (50001, 8, imagecodecs.webp_encode(np.zeros((2000, 2000, 3), np.uint8), lossless=True)),
}


@pytest.mark.parametrize("name", INSIDE)
def test_pictures_inside_a_tiff_are_not_decoded(tmp_path, name, monkeypatch):
    """They have sizes of their own: a strip of 64x64 pixels could hold 20000x20000."""
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda *_, **__: pytest.fail("decoded"))
    compression, bits, part = INSIDE[name]
    content = tiff_around(part, compression, bits, *((2, 3) if name == "WebP" else ()))
    assert decode(tmp_path, content)[0].reason == (
        f"unsupported image: TIFF with {name} inside, save it with LZW or Deflate"
    )


@pytest.mark.parametrize("side", [SIDE, 2000])
@pytest.mark.parametrize("scans", [0, 300])
def test_a_jpeg_inside_a_tiff_has_the_size_of_its_strip_and_few_scans(tmp_path, side, scans):
    content = encoded(np.full((side, side), 100, np.uint8), "JPEG", progressive=True)
    place = content.rindex(b"\xff\xda")
    content = content[:place] + content[place:-2] * (1 + scans) + b"\xff\xd9"
    record, pixels = decode(tmp_path, tiff_around(content, 7, 8))
    if side == SIDE and not scans:
        assert record.reason == "" and (pixels == 100).all()
    else:
        assert record.reason.startswith("damaged image: decoder error")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tile_larger_than_the_picture_counts(tmp_path, dtype):
    content = bytearray(tiff_of(GREY.astype(dtype), tile=(64, 64), compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        places = [tag.valueoffset for tag in file.pages[0].tags if tag.code in (322, 323)]
    assert decode(tmp_path, bytes(content))[0].reason == ""
    for place in places:
        content[place : place + 4] = struct.pack("<I", 20_000)
    assert decode(tmp_path, bytes(content))[0].reason == (
        f"too many bytes: {4 * 10**8 * np.dtype(dtype).itemsize} when decoded, over max_decoded_bytes, 320000000"
    )


def test_a_volume_is_no_picture(tmp_path):
    content = tiff_of(np.zeros((16, 64, 64), np.uint16), volumetric=True, tile=(16, 64, 64))
    assert decode(tmp_path, content)[0].reason == "unusual samples: a volume"


COLOURS = NOISE[..., :3]
FOUR = np.dstack([NOISE, NOISE[..., 0]])
DECODED = {  # bytes of a pixel
    "PNG": (encoded(COLOURS.astype(np.uint8), "PNG"), 3),
    "PNG of 16 bits with opacity": (imagecodecs.png_encode(FOUR), 8),
    "JPEG": (encoded(COLOURS.astype(np.uint8), "JPEG"), 3),
    "WebP": (encoded(COLOURS.astype(np.uint8), "WEBP"), 6),
    "AVIF": (encoded(COLOURS.astype(np.uint8), "AVIF"), 6),
    "JPEG 2000": (encoded(COLOURS.astype(np.uint8), "JPEG2000"), 6),
    "JPEG 2000 of 16 bits with opacity": (imagecodecs.jpeg2k_encode(FOUR, level=0, reversible=True), 8),
    "TIFF": (tiff_of(COLOURS.astype(np.uint8), photometric="rgb"), 3),
    "TIFF of doubles with opacity": (tiff_of(FOUR / 65535, photometric="rgb", extrasamples=["unassalpha"]), 32),
}


@pytest.mark.parametrize("name", DECODED)
def test_bytes_of_the_decoded_picture_are_limited(tmp_path, name):
    content, pixel = DECODED[name]
    size = SIDE * SIDE * pixel
    assert decode(tmp_path, content, max_decoded_bytes=size)[0].reason == ""
    assert decode(tmp_path, content, max_decoded_bytes=size - 1)[0].reason == (
        f"too many bytes: {size} when decoded, over max_decoded_bytes, {size - 1}"
    )


@pytest.mark.parametrize("name", DECODED)
def test_a_file_that_took_too_long_is_not_used(tmp_path, name):
    """Also where the decoder cannot be stopped."""
    record, pixels = decode(tmp_path, DECODED[name][0], max_seconds=1e-9)
    assert pixels is None and record.reason == "too slow: decoding took over max_seconds, 1e-09"


def test_a_small_file_of_a_large_picture_is_stopped_early(tmp_path, monkeypatch):
    """It is given to the decoder in many parts, with a look at the clock before each."""
    reads = []
    monkeypatch.setattr("mixvision.images.content.Clock.check", lambda _: reads.append(1))
    content = encoded(np.zeros((1500, 1500), np.uint8), "JPEG", progressive=True)
    place = content.rindex(b"\xff\xda")
    content = content[:place] + content[place:-2] * 80 + b"\xff\xd9"
    assert len(content) < 60_000 and decode(tmp_path, content)[0].reason == ""
    assert len(reads) > 10


UNSUPPORTED = {
    "JPEG of 12 bits, convert it to PNG or TIFF": imagecodecs.jpeg_encode(GREY >> 4, bitspersample=12),
    "lossless JPEG, convert it to PNG or TIFF": imagecodecs.ljpeg_encode(GREY),
    "JPEG-LS, convert it to PNG or TIFF": imagecodecs.jpegls_encode(GREY),
    "coloured PFM, convert it to TIFF": b"PF\n64 64\n-1.0\n" + bytes(64 * 64 * 12),
    "TIFF with palette of 16 bits, convert it to RGB": tiff_around(GREY.tobytes(), 1, 16, 3),
    "TIFF with Lab of 16 bits, convert it to RGB": tiff_around(NOISE.tobytes(), 1, 16, 8, 3),
    "TIFF with YCbCr of 16 bits, convert it to RGB": tiff_around(NOISE.tobytes(), 1, 16, 6, 3),
    "TIFF with JPEG inside, save it with LZW or Deflate": tiff_around(
        imagecodecs.jpeg_encode(GREY >> 4, bitspersample=12), 7, 12
    ),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_intact_files_of_unsupported_kinds_are_named(tmp_path, name):
    assert decode(tmp_path, UNSUPPORTED[name])[0].reason == f"unsupported image: {name}"


DULL = COLOURS.astype(np.uint8)
KEPT = {
    "JPEG": encoded(DULL, "JPEG"),
    "PNG": encoded(DULL, "PNG"),
    "GIF": encoded(DULL[..., 0], "GIF"),
    "BMP": encoded(DULL, "BMP"),
    "JPEG 2000": encoded(DULL, "JPEG2000"),
    "TIFF": tiff_of(DULL, photometric="rgb"),
    "grey PNG of 16 bits": imagecodecs.png_encode(NOISE[..., 0].copy()),
}
NOT_KEPT = {
    "WEBP": encoded(DULL, "WEBP", lossless=True),
    "AVIF": encoded(DULL, "AVIF"),
    "pictures of more than 8 bits": tiff_of(NOISE, photometric="rgb"),
    "a compressed TIFF": tiff_of(DULL, photometric="rgb", compression="zlib"),
}
DEEP = [imagecodecs.png_encode(NOISE), imagecodecs.jpeg2k_encode(NOISE, level=0, reversible=True)]


@pytest.mark.parametrize("name", KEPT)
def test_a_cut_file_says_that_a_part_can_be_kept(tmp_path, name):
    content = KEPT[name][: len(KEPT[name]) * 2 // 3]
    assert "accept_truncated: true would keep what is there" in decode(tmp_path, content)[0].reason
    assert decode(tmp_path, content, accept_truncated=True)[0].reason == ""


@pytest.mark.parametrize("accept", [False, True])
@pytest.mark.parametrize("name", NOT_KEPT)
def test_a_cut_file_says_that_no_part_can_be_kept(tmp_path, name, accept):
    for content in [NOT_KEPT[name], *(DEEP if "8 bits" in name else [])]:
        reason = decode(tmp_path, content[: len(content) * 2 // 3], accept_truncated=accept)[0].reason
        assert reason.endswith(f"(accept_truncated keeps no parts of {name})")


def beside_the_pixels(kind: str, size: int) -> bytes:
    """A small picture with so many bytes of nothing before its pixels."""
    if kind == "PPM":
        return b"P6\n#" + bytes(size).replace(b"\0", b"c") + b"\n64 64\n255\n" + bytes(3 * SIDE * SIDE)
    content = encoded(np.zeros((SIDE, SIDE, 3), np.uint8), kind)
    if kind == "JPEG":
        return content[:2] + b"\xff\xfe\0\2" * (size // 4) + content[2:]
    nothing = struct.pack(">I", 0) + b"abCd" + struct.pack(">I", zlib.crc32(b"abCd"))
    return content[:33] + nothing * (size // len(nothing)) + content[33:]


@pytest.mark.parametrize("kind", ["JPEG", "PPM"])
def test_a_header_without_end_is_too_slow(tmp_path, kind):
    """Pillow reads it byte by byte before it knows the picture's size."""
    record, _ = decode(tmp_path, beside_the_pixels(kind, 2_000_000), max_seconds=0.2)
    assert record.reason == "too slow: decoding took over max_seconds, 0.2"


def test_a_png_of_very_many_empty_chunks_is_refused(tmp_path):
    assert decode(tmp_path, beside_the_pixels("PNG", 600_000))[0].reason == ""
    record, _ = decode(tmp_path, beside_the_pixels("PNG", 1_300_000))
    assert record.reason == "too many chunks: over 100000 in a PNG"


@pytest.mark.parametrize(("side", "reason"), [(256, ""), (600, "too many parts: 360000 strips or tiles in a TIFF")])
def test_a_tiff_of_a_tile_for_every_pixel_is_refused(tmp_path, side, reason):
    tags = {256: side, 257: side, 258: 16, 259: 1, 262: 1, 277: 1, 322: 1, 323: 1, 324: 0, 325: 0}
    count = side**2
    places, sizes = 8 + 2 + 12 * len(tags) + 4, 8 + 2 + 12 * len(tags) + 4 + 4 * count
    lists = {324: (count, places), 325: (count, sizes)}
    entries = b"".join(struct.pack("<HHII", tag, 4, *lists.get(tag, (1, value))) for tag, value in tags.items())
    content = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    content += np.full(count, 8, "<u4").tobytes() + np.full(count, 2, "<u4").tobytes()
    record, _ = decode(tmp_path, content)
    assert record.reason.startswith(reason) and bool(record.reason) == bool(reason)


@pytest.mark.parametrize("subsampling", [(2, 2), None])
@pytest.mark.parametrize("accept", [False, True])
def test_subsampled_colours_without_compression_are_refused_rather_than_read_wrongly(tmp_path, subsampling, accept):
    """Blocks of four grey values and two colours: 1.5 bytes a pixel, which Pillow takes for a file that was cut off."""
    tags = {256: SIDE, 257: SIDE, 258: 8, 259: 1, 262: 6, 273: 8, 277: 3, 278: SIDE, 279: SIDE * SIDE * 3 // 2}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()]
    if subsampling:
        entries.append(struct.pack("<HHIHH", 530, 3, 2, *subsampling))
    ifd = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    content = b"II*\0" + struct.pack("<I", 8 + tags[279]) + bytes(tags[279]) + ifd
    record, _ = decode(tmp_path, content, accept_truncated=accept)
    assert record.reason == "unsupported image: TIFF with YCbCr of fewer colours than pixels, convert it to RGB"


@pytest.mark.parametrize("order", ["<", ">"])
def test_samples_of_24_bits_are_refused_rather_than_read_wrongly(tmp_path, order):
    tags = {256: SIDE, 257: SIDE, 258: 24, 259: 1, 262: 1, 273: 8, 277: 1, 278: SIDE, 279: 3 * SIDE * SIDE}
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + tags[279])
    content = start + bytes(tags[279]) + struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    assert decode(tmp_path, content)[0].reason == "unusual samples: 1 x uint24, convert it to 16 bits"
