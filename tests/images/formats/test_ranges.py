"""Which values are black and white, where a file does not say so: ranges, outliers, masks, marks for no measurement."""

from __future__ import annotations

import io
import warnings

import imagecodecs
import numpy as np
import pytest
import tifffile

from mixvision.images.decoding import Decoding, decode_file
from mixvision.images.formats.depth import to_8_bits

SIDE = 64
RAMP = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)
PART = RAMP > 0.3  # measured
ONE = np.zeros((SIDE, SIDE), bool)
ONE[0, 5] = True


def tiff_of(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def decode(tmp_path, content: bytes):
    (tmp_path / "picture").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as of an overflow
        return decode_file(tmp_path / "picture", Decoding(size=SIDE))


FLOATS = {  # values, levels from 0 to 1, and the end of what was assumed
    "one reflection": (np.where(ONE, 1.2, RAMP), np.where(ONE, 1, RAMP), "0 to 1.2; the rest is clipped"),
    "highlights of 1.3": (RAMP * 1.3, np.minimum(RAMP * 1.3, 1), "0 to 1.3; the rest is clipped"),
    "highlights of 3": (RAMP * 3, np.minimum(RAMP * 3, 1), "0 to 3; the rest is clipped"),
    "a hot pixel": (np.where(ONE, 250, RAMP), np.where(ONE, 1, RAMP), "0 to 1 without 250"),
    "many outliers": (
        np.where(RAMP > 0.995, 5 + RAMP, RAMP),
        np.minimum(np.where(RAMP > 0.995, 1, RAMP), 1),
        "0 to 6; the rest is clipped",
    ),
    "dark, in units of white": (RAMP / 4, RAMP / 4, "0 to 0.25"),
    "percent": (RAMP * 100, RAMP, "0 to 100"),
    "up to 200 of 255": (RAMP * 200, RAMP * 200 / 255, "0 to 200"),
    "any other": (RAMP * 1500, RAMP, "0 to 1500"),
    "standard scores": (RAMP * 6 - 3, RAMP, "-3 to 3"),
    "below zero": (RAMP - 2, RAMP, "-2 to -1"),
    "-9999 for nothing": (np.where(PART, RAMP, -9999), RAMP * PART, "0.3001 to 1 without -9999"),
    "-9999 for nothing, to 255": (np.where(PART, RAMP * 255, -9999), RAMP * PART, "76.53 to 255 without -9999"),
    "-9999 for nothing, from -1": (
        np.where(PART, RAMP * 2 - 1, -9999), RAMP * PART, "-0.3998 to 1 without -9999"
    ),
    "1e20 for nothing": (np.where(PART, RAMP, 1e20), np.where(PART, RAMP, 1), "0.3001 to 1 without 1e+20"),
    "the lowest number for nothing": (np.where(PART, RAMP, -3.4028235e38), RAMP * PART, "0.3001 to 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", FLOATS)
def test_floats_show_what_most_of_their_values_say(tmp_path, name):
    values, expected, assumed = FLOATS[name]
    record, pixels = decode(tmp_path, tiff_of(values.astype(np.float32)))
    assert record.reason == "" and record.assumed.endswith(f"as the values are {assumed}")
    np.testing.assert_allclose(pixels[..., 0], expected * 255, atol=1)


@pytest.mark.parametrize("white", [1, 255, 60_000])
@pytest.mark.parametrize("extreme", [0, np.inf])
def test_half_precision_is_read_without_a_warning(tmp_path, white, extreme):
    values = np.where(ONE & (extreme > 0), extreme, RAMP * white)
    record, pixels = decode(tmp_path, tiff_of(values.astype(np.float16)))
    assert record.reason == ""
    expected = np.where(ONE & (extreme > 0), 1, RAMP * white / {60_000: 65_535}.get(white, white))
    np.testing.assert_allclose(pixels[..., 0], expected * 255, atol=1)


WHOLE = {
    "computed tomography": (RAMP * 4080 - 1024, np.int16, RAMP, "-1024 is black and 3056 white"),
    "computed tomography with metal": (
        np.where(ONE, 30_000, RAMP * 4080 - 1024), np.int16, np.where(ONE, 1.02, RAMP / 0.98), "-1024 is black"
    ),
    "nothing measured": (np.where(PART, RAMP * 4095, -32768), np.int16, RAMP * PART, "0 is black and 4095 white"),
    "a mask of 0 and 1": (PART, np.uint16, PART, "1 of 16 bits used"),
    "a mask of 0 to 3": (RAMP * 3, np.uint16, np.rint(RAMP * 3) / 3, "2 of 16 bits used"),
    "a mask of 0 to 5": (RAMP * 5, np.uint16, np.rint(RAMP * 5) / 15, "4 of 16 bits used"),
    "8 bits in 16, dark": (RAMP * 100, np.uint16, RAMP * 100 / 255, "8 of 16 bits used"),
    "signed 8 bits, dull": (RAMP * 50 - 40, np.int8, (RAMP * 50 + 88) / 255, "-128 is black and 127 white"),
    "8 bits, very dark": (RAMP * 3, np.uint8, np.rint(RAMP * 3) / 255, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_show_what_their_values_say(tmp_path, name):
    values, dtype, expected, assumed = WHOLE[name]
    record, pixels = decode(tmp_path, tiff_of(np.rint(values).astype(dtype)))
    assert record.reason == "" and record.assumed.startswith(assumed)
    np.testing.assert_allclose(pixels[..., 0], np.minimum(expected * 255, 255), atol=1 if "metal" not in name else 4)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_many_samples_have_the_levels_of_few(tmp_path, dtype):
    """Above a number of samples, a table converts them: each value keeps its level."""
    values = np.arange(2**16, dtype=np.uint16).view(dtype).reshape(256, 256)
    few, many = (to_8_bits(array, 16)[0] for array in (values, np.tile(values, (3, 1))))
    np.testing.assert_array_equal(np.tile(few, (3, 1)), many)


@pytest.mark.parametrize("kind", ["tiff", "png", "jp2"])
@pytest.mark.parametrize(("colour_bits", "opacity_bits"), [(12, 12), (12, 16), (16, 12), (8, 8), (16, 1)])
def test_colours_and_opacity_have_depths_of_their_own(tmp_path, kind, colour_bits, opacity_bits):
    colour, opacity = (np.rint(part * (2**bits - 1)) for part, bits in ((RAMP, colour_bits), (PART, opacity_bits)))
    samples = np.dstack([colour, colour, colour, opacity]).astype(np.uint16)
    match kind:
        case "tiff":
            content = tiff_of(samples, photometric="rgb", extrasamples=["unassalpha"])
        case "png":
            content = imagecodecs.png_encode(samples)
        case _:
            content = imagecodecs.jpeg2k_encode(samples, level=0, reversible=True)
    record, pixels = decode(tmp_path, content)
    assert record.reason == ""
    np.testing.assert_allclose(pixels[..., 0], np.where(PART, RAMP, 1) * 255, atol=1)
