"""Pictures of every depth and sample type: an array is written, and the pixels are compared with its values."""

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
DECODING = Decoding(size=SIDE)
RAMP = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)
SLOPE = RAMP.T
UP_TO = {bits: 2**bits - 1 for bits in (8, 10, 12, 14, 16, 32)}


def whole(fraction: np.ndarray, bits: int, dtype=np.uint16) -> np.ndarray:
    return np.rint(fraction * UP_TO[bits]).astype(dtype)


def coloured(*channels: np.ndarray) -> np.ndarray:
    return np.stack(channels, axis=-1)


def decode(tmp_path, content: bytes):
    (tmp_path / "picture").write_bytes(content)
    return decode_file(tmp_path / "picture", DECODING)


def tiff_of(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def packed_tiff(samples: np.ndarray, bits: int, photometric: int = 1) -> bytes:
    """Samples ``(H, W)`` or ``(H, W, 3)`` of 1 to 16 bits, packed without gaps, as scanners and cameras write them."""
    channels = samples.shape[2] if samples.ndim == 3 else 1
    places = (samples.astype(np.uint32)[..., None] >> np.arange(bits)[::-1]) & 1
    rows = np.packbits(places.astype(np.uint8).reshape(len(samples), -1), axis=1).tobytes()
    tags = {256: samples.shape[1], 257: len(samples), 258: bits, 259: 1, 262: photometric, 277: channels}
    tags |= {278: len(samples), 273: 8 + 2 + 12 * 9 + 4, 279: len(rows)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + rows


def png_of(rows: list[bytes], depth: int, kind: int, size: tuple[int, int], *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of unfiltered rows, with further chunks before its pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


GREY = {
    "12 bits, packed": (packed_tiff(whole(RAMP, 12), 12), RAMP, ""),
    "10 bits, packed": (packed_tiff(whole(RAMP, 10), 10), RAMP, ""),
    "12 bits, packed, white is lowest": (packed_tiff(whole(RAMP, 12), 12, 0), 1 - RAMP, ""),
    "signed 8 bits, LZW": (
        tiff_of((RAMP * 255 - 128).astype(np.int8), compression="lzw"),
        RAMP,
        "-128 is black and 127 white, as the values are -128 to 127",
    ),
    "signed 16 bits, big-endian, LZW": (
        tiff_of((RAMP * 32767).astype(np.int16), compression="lzw", byteorder=">", predictor=True), RAMP, ""
    ),
    "float, big-endian, predictor": (
        tiff_of(RAMP.astype(np.float32), compression="zlib", predictor=3, byteorder=">"),
        RAMP,
        "0 is black and 1 white, as the values are 0 to 1",
    ),
    "16 bits, Zstandard": (tiff_of(whole(RAMP, 16), compression="zstd"), RAMP, ""),
    "a white that is stated too low": (
        tiff_of(whole(RAMP, 12), extratags=[(341, 3, 1, 0, False)]),
        RAMP,
        "12 of 16 bits used, as the largest value is 4095",
    ),
    "signed 16 bits with a little noise below 0": (
        tiff_of((RAMP * 4115 - 20).astype(np.int16)),
        np.clip(RAMP * 4115 - 20, 0, None) / 4095,
        "0 is black and 4095 white, as the values are -20 to 4095",
    ),
    "float slightly above 1": (
        tiff_of((RAMP * 1.05).astype(np.float32)),
        np.minimum(RAMP * 1.05, 1),
        "0 is black and 1 white, as the values are 0 to 1.05",
    ),
    "float slightly below 0": (
        tiff_of((RAMP - 0.001).astype(np.float32)),
        np.maximum(RAMP - 0.001, 0),
        "0 is black and 1 white, as the values are -0.001 to 0.999",
    ),
    "float to 4095": (
        tiff_of((RAMP * 4095).astype(np.float32)), RAMP, "0 is black and 4095 white, as the values are 0 to 4095"
    ),
    "float with a value for nothing": (
        tiff_of(np.where(RAMP < 0.1, -9999, RAMP).astype(np.float32), extratags=[(42113, 2, 6, "-9999", False)]),
        np.where(RAMP < 0.1, 0, RAMP),
        "0 is black and 1 white, as the values are 0.1001 to 1",
    ),
    "12 bits in 16": (tiff_of(whole(RAMP, 12)), RAMP, "12 of 16 bits used, as the largest value is 4095"),
    "10 bits in 16": (tiff_of(whole(RAMP, 10)), RAMP, "10 of 16 bits used, as the largest value is 1023"),
    "8 bits in 16": (tiff_of(whole(RAMP, 8)), RAMP, "8 of 16 bits used, as the largest value is 255"),
    "14 bits in 16, Deflate": (
        tiff_of(whole(RAMP, 14), compression="zlib", predictor=True),
        RAMP,
        "14 of 16 bits used, as the largest value is 16383",
    ),
    "12 bits in 16, stated": (tiff_of(whole(RAMP, 12), extratags=[(341, 3, 1, 4095, False)]), RAMP, ""),
    "12 bits in 16, and 16 stated": (
        tiff_of(whole(RAMP, 12), extratags=[(341, 3, 1, 65535, False)]),
        RAMP * 4095 / 65535,
        "",
    ),
    "16 bits": (tiff_of(whole(RAMP, 16)), RAMP, ""),
    "16 bits, big-endian": (tiff_of(whole(RAMP, 16), byteorder=">"), RAMP, ""),
    "16 bits, tiles, BigTIFF": (tiff_of(whole(RAMP, 16), tile=(16, 16), bigtiff=True), RAMP, ""),
    "16 bits, white is lowest": (tiff_of(whole(RAMP, 16), photometric="miniswhite"), 1 - RAMP, ""),
    "8 bits, white is lowest": (tiff_of(whole(RAMP, 8, np.uint8), photometric="miniswhite"), 1 - RAMP, ""),
    "32 bits": (tiff_of(whole(RAMP, 32, np.uint32)), RAMP, ""),
    "16 bits in 32": (
        tiff_of(whole(RAMP, 16, np.uint32)),
        RAMP,
        "16 of 32 bits used, as the largest value is 65535",
    ),
    "signed 16 bits from 0": (tiff_of((RAMP * 32767).astype(np.int16)), RAMP, ""),
    "signed 16 bits": (
        tiff_of((RAMP * 65535 - 32768).astype(np.int16)),
        RAMP,
        "-32768 is black and 32767 white, as the values are -32768 to 32767",
    ),
    "signed 8 bits": (
        tiff_of((RAMP * 255 - 128).astype(np.int8)),
        RAMP,
        "-128 is black and 127 white, as the values are -128 to 127",
    ),
    "float to 1": (tiff_of(RAMP.astype(np.float32)), RAMP, "0 is black and 1 white, as the values are 0 to 1"),
    "double to 1": (tiff_of(RAMP), RAMP, "0 is black and 1 white, as the values are 0 to 1"),
    "half to 1": (tiff_of(RAMP.astype(np.float16)), RAMP, "0 is black and 1 white, as the values are 0 to 1"),
    "float to 255": (
        tiff_of((RAMP * 255).astype(np.float32)),
        RAMP,
        "0 is black and 255 white, as the values are 0 to 255",
    ),
    "float to 65535": (
        tiff_of((RAMP * 65535).astype(np.float32)),
        RAMP,
        "0 is black and 65535 white, as the values are 0 to 6.554e+04",
    ),
    "float from -1 to 1": (
        tiff_of((RAMP * 2 - 1).astype(np.float32)),
        RAMP,
        "-1 is black and 1 white, as the values are -1 to 1",
    ),
    "float from -1000 to 3000": (
        tiff_of((RAMP * 4000 - 1000).astype(np.float32)),
        RAMP,
        "-1000 is black and 3000 white, as the values are -1000 to 3000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GREY)
def test_grey_tiffs_show_what_their_values_say(tmp_path, name):
    content, expected, assumed = GREY[name]
    record, pixels = decode(tmp_path, content)
    assert (record.reason, record.assumed) == ("", assumed)
    np.testing.assert_allclose(pixels, np.repeat(expected[..., None] * 255, 3, axis=-1), atol=1)


def test_values_that_are_no_numbers_are_black_or_white(tmp_path):
    values = RAMP.astype(np.float32)
    values[:8, :8], values[8:16, :8], values[16:24, :8] = np.nan, np.inf, -np.inf
    _, pixels = decode(tmp_path, tiff_of(values))
    assert (pixels[:8, :8] == 0).all() and (pixels[8:16, :8] == 255).all() and (pixels[16:24, :8] == 0).all()


def test_lzw_which_tifffile_needs_a_package_for_is_read_by_pillow(tmp_path):
    stream = io.BytesIO()
    Image.fromarray(whole(RAMP, 12)).save(stream, "TIFF", compression="tiff_lzw")
    record, pixels = decode(tmp_path, stream.getvalue())
    assert record.assumed == "12 of 16 bits used, as the largest value is 4095"
    np.testing.assert_allclose(pixels[..., 0], RAMP * 255, atol=1)


THREE = coloured(RAMP, SLOPE, 1 - RAMP)
COLOURED = {
    "16 bits": tiff_of(whole(THREE, 16), photometric="rgb"),
    "12 bits in 16": tiff_of(whole(THREE, 12), photometric="rgb"),
    "16 bits by planes": tiff_of(np.moveaxis(whole(THREE, 16), -1, 0), photometric="rgb", planarconfig="separate"),
    "8 bits by planes": tiff_of(
        np.moveaxis(whole(THREE, 8, np.uint8), -1, 0), photometric="rgb", planarconfig="separate"
    ),
    "float": tiff_of(THREE.astype(np.float32), photometric="rgb"),
    "float to 255": tiff_of((THREE * 255).astype(np.float32), photometric="rgb"),
    "32 bits": tiff_of(whole(THREE, 32, np.uint32), photometric="rgb"),
    "12 bits, packed": packed_tiff(whole(THREE, 12), 12, 2),
    "12 bits in 16, LZW": tiff_of(whole(THREE, 12), photometric="rgb", compression="lzw", predictor=True),
    "16 bits by planes, LZW": tiff_of(
        np.moveaxis(whole(THREE, 16), -1, 0), photometric="rgb", planarconfig="separate", compression="lzw"
    ),
    "8 bits by planes, big-endian BigTIFF": tiff_of(
        np.moveaxis(whole(THREE, 8, np.uint8), -1, 0), photometric="rgb", planarconfig="separate", bigtiff=True,
        byteorder=">",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COLOURED)
def test_coloured_tiffs_show_what_their_values_say(tmp_path, name):
    record, pixels = decode(tmp_path, COLOURED[name])
    assert record.reason == ""
    np.testing.assert_allclose(pixels, THREE * 255, atol=1)


@pytest.mark.parametrize("colours", [1, 3])
def test_opacity_of_16_bits_is_blended_onto_white(tmp_path, colours):
    values = whole(coloured(*[RAMP] * colours, SLOPE), 16)
    kind = "rgb" if colours == 3 else "minisblack"
    record, pixels = decode(tmp_path, tiff_of(values, photometric=kind, extrasamples=["unassalpha"]))
    assert record.reason == ""
    np.testing.assert_allclose(pixels[..., 0], (RAMP * SLOPE + 1 - SLOPE) * 255, atol=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colours", [1, 3])
def test_colours_that_were_multiplied_by_their_opacity(tmp_path, colours, dtype):
    bits = 8 * np.dtype(dtype).itemsize
    values = whole(coloured(*[RAMP * SLOPE] * colours, SLOPE), bits, dtype)
    kind = "rgb" if colours == 3 else "minisblack"
    record, pixels = decode(tmp_path, tiff_of(values, photometric=kind, extrasamples=["assocalpha"]))
    assert record.reason == ""
    np.testing.assert_allclose(pixels[..., 0], (RAMP * SLOPE + 1 - SLOPE) * 255, atol=2)


def test_more_samples_than_colours_and_opacity_are_refused(tmp_path):
    record, _ = decode(
        tmp_path, tiff_of(whole(coloured(*[RAMP] * 5), 16), photometric="minisblack", planarconfig="contig")
    )
    assert record.reason == "unusual samples: 5 x uint16, but only colours and opacity can be used"


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_thumbnail_beside_the_picture_is_ignored(tmp_path, tagged, dtype):
    picture, stream = whole(RAMP, 8 * np.dtype(dtype).itemsize, dtype), io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        file.write(picture)
        file.write(255 - picture[::4, ::4], subfiletype=1 if tagged else 0)
    record, pixels = decode(tmp_path, stream.getvalue())
    assert (record.reason, record.width, record.height) == ("", SIDE, SIDE)
    np.testing.assert_allclose(pixels[..., 0], RAMP * 255, atol=1)


def test_a_thumbnail_before_the_picture_is_ignored(tmp_path):
    picture, stream = whole(RAMP, 8, np.uint8), io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        file.write(255 - picture[::4, ::4], subfiletype=1)
        file.write(picture)
    _, pixels = decode(tmp_path, stream.getvalue())
    np.testing.assert_allclose(pixels[..., 0], RAMP * 255, atol=1)


def test_a_smaller_picture_of_another_shape_is_a_second_picture(tmp_path):
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        file.write(whole(RAMP, 8, np.uint8))
        file.write(whole(RAMP[:20, :30], 8, np.uint8))
    assert decode(tmp_path, stream.getvalue())[0].reason == "animated or several pages: 2 or more"


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_transparent_level_of_grey_is_white(tmp_path, depth):
    """Level 1 of a PNG is transparent, and only it."""
    levels = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) // 7 % min(2**depth, 1000)
    bits = (levels[..., None] >> np.arange(depth)[::-1]) & 1
    rows = [row.tobytes() for row in np.packbits(bits.astype(np.uint8).reshape(SIDE, -1), axis=1)]
    significant = [(b"sBIT", bytes([16]))] if depth == 16 else []
    content = png_of(rows, depth, 0, (SIDE, SIDE), *significant, (b"tRNS", struct.pack(">H", 1)))
    record, pixels = decode(tmp_path, content)
    assert record.reason == ""
    expected = np.where(levels == 1, 255, levels * 255 / (2**depth - 1))
    np.testing.assert_allclose(pixels[..., 1], expected, atol=1)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_transparent_colour_is_white(tmp_path, depth):
    values = whole(THREE, depth, np.uint8 if depth == 8 else np.uint16)
    values[:32] = UP_TO[depth] // 3
    rows = [row.astype(f">u{depth // 8}").tobytes() for row in values]
    key = struct.pack(">HHH", *[UP_TO[depth] // 3] * 3)
    _, pixels = decode(tmp_path, png_of(rows, depth, 2, (SIDE, SIDE), (b"tRNS", key)))
    assert (pixels[:32] == 255).all()
    np.testing.assert_allclose(pixels[32:], THREE[32:] * 255, atol=1)


@pytest.mark.parametrize("stated", [True, False])
def test_a_png_of_12_bits_in_16(tmp_path, stated):
    rows = [row.astype(">u2").tobytes() for row in whole(RAMP, 12)]
    chunks = [(b"sBIT", bytes([12]))] if stated else []  # the samples are scaled to all 16 bits then
    record, pixels = decode(tmp_path, png_of(rows, 16, 0, (SIDE, SIDE), *chunks))
    assert record.assumed == ("" if stated else "12 of 16 bits used, as the largest value is 4095")
    np.testing.assert_allclose(pixels[..., 0], RAMP * 255 * (4095 / 65535 if stated else 1), atol=1)


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize(("kind", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_coloured_and_transparent_pngs_of_16_bits(tmp_path, kind, channels, bits, stated):
    colours = [RAMP, SLOPE, 1 - RAMP][: channels - (kind in (4, 6))]
    opacity = [np.ones_like(RAMP)] if kind in (4, 6) else []
    values = np.concatenate(
        [whole(coloured(*colours), bits), *(whole(part, 16)[..., None] for part in opacity)], axis=-1
    )
    rows = [row.astype(">u2").tobytes() for row in values]
    chunks = [(b"sBIT", bytes([bits] * channels))] if stated else []
    record, pixels = decode(tmp_path, png_of(rows, 16, kind, (SIDE, SIDE), *chunks))
    guessed = bits == 12 and not stated
    assert record.assumed == ("12 of 16 bits used, as the largest value is 4095" if guessed else "")
    scale = 255 * (4095 / 65535 if bits == 12 and stated else 1)
    np.testing.assert_allclose(pixels[..., 0], RAMP * scale, atol=1)


def test_a_transparent_colour_of_16_bits_is_compared_with_all_of_them(tmp_path):
    values = np.full((SIDE, SIDE, 3), 0x8000, np.uint16)
    values[:32] += 1  # the same in the upper 8 bits
    rows = [row.astype(">u2").tobytes() for row in values]
    key = struct.pack(">HHH", *[0x8001] * 3)
    chunks = [(b"sBIT", bytes([16] * 3)), (b"tRNS", key)]
    _, pixels = decode(tmp_path, png_of(rows, 16, 2, (SIDE, SIDE), *chunks))
    assert (pixels[:32] == 255).all() and (pixels[32:] == 128).all()


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("colours", [1, 3])
def test_jpeg_2000_of_more_than_8_bits(tmp_path, colours, bits):
    expected = [RAMP, SLOPE, 1 - RAMP][:colours]
    values = whole(coloured(*expected), bits)
    content = imagecodecs.jpeg2k_encode(values.squeeze(), level=0, reversible=True, bitspersample=bits)
    record, pixels = decode(tmp_path, content)
    assert record.reason == ""
    np.testing.assert_allclose(pixels[..., :colours], coloured(*expected) * 255, atol=1)
