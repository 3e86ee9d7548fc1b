"""Samples of any depth as 8 bits: what a file's tags do not say is assumed, and the assumption is stated."""

from __future__ import annotations

import numpy as np

from mixvision.images.formats.extremes import NOISE, Extremes, extremes_of

DEPTHS = (1, 2, 4, 8, 10, 12, 14, 16, 24, 32, 64)  # bits of masks, and of what cameras and scanners record
USUAL_WHITES = (255, 1023, 4095, 16383, 65535)  # of floats that are not in units of white
LARGEST_HIGHLIGHT = 4  # in units of white: a sun, a lamp or a reflection may be brighter than paper
ROWS = 128  # converted together
TABLE_PAYS = 2**17  # samples: above these, a table of all 65,536 values is faster


def to_8_bits(
    samples: np.ndarray,
    bits: int,
    stated: tuple[float, float] | None = None,
    white_is_lowest: bool = False,
    nothing: float | None = None,
) -> tuple[np.ndarray, str]:
    """Samples scaled to 0 to 255, and what had to be assumed for it ("" if nothing).

    Args:
        samples: of any shape and any integer or float type.
        bits: of each sample in the file; what an unsigned type holds beyond them is not used.
        stated: the values of black and white, if the file states them; ignored if samples are above white.
        white_is_lowest: whether the lowest value is white (TIFF's PhotometricInterpretation 0).
        nothing: a value that stands for no measurement, if the file has one; it does not count.

    Without stated values, whole numbers that fill 8, 10, 12, 14, ... bits only are taken to have that depth: 12-bit
    pictures saved with 16 bits are common and would be nearly black. Floats up to a few times 1 are in units of white,
    and what is brighter is clipped. Other floats, and values below zero, tell their range by their extremes, without
    outliers (:mod:`.extremes`).
    """
    found = extremes_of(samples, nothing)
    if stated and stated[0] < stated[1] and found.highest <= stated[1]:
        black, white, assumed = (*stated, "")
    else:
        black, white, assumed = _range_of(found, samples.dtype.kind, bits)
    if white <= black:
        white = black + 1
    if white_is_lowest:
        black, white = white, black
    return _scaled(samples, black, white), assumed


def on_white(colours: np.ndarray, alpha: np.ndarray, multiplied: bool) -> np.ndarray:
    """Colours (H, W, C) blended onto white by their opacity (H, W, 1), unless they were multiplied by it before."""
    blended = np.empty_like(colours)
    for top in range(0, len(colours), ROWS):
        part = slice(top, top + ROWS)
        share = alpha[part].astype(np.float32) / 255
        own = colours[part] if multiplied else colours[part] * share
        blended[part] = np.clip(np.rint(own + 255 * (1 - share)), 0, 255)
    return blended


def _range_of(found: Extremes, kind: str, bits: int) -> tuple[float, float, str]:
    """The values of black and white, and what was assumed about them."""
    if kind == "b":
        return 0, 1, ""
    if kind == "f":
        black, white = _range_of_floats(found.low, found.high)
        return black, white, _as_words(black, white, found, "{:.4g}")
    most = bits - 1 if kind == "i" else bits
    if found.low >= -NOISE * found.high:
        depth = _depth_of(found.high, most)
        if found.lowest < 0 or found.marks:
            return 0, 2**depth - 1, _as_words(0, 2**depth - 1, found, "{:.0f}")
        largest = f"{depth} of {bits} bits used, as the largest value is {found.highest:.0f}"
        return 0, 2**depth - 1, largest if found.highest and depth < most else ""
    black, white = (found.low, found.high) if bits > 8 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return black, white, _as_words(black, white, found, "{:.0f}")


def _depth_of(high: float, most: int) -> int:
    """How many of a sample's bits are used; all of few."""
    return most if most <= 8 else min(next(depth for depth in DEPTHS if 2**depth > high), most)


def _range_of_floats(low: float, high: float) -> tuple[float, float]:
    """Usual ranges have some room, as sharpening and other filters leave values slightly outside."""
    if low >= -NOISE * max(high, 0):
        if high <= LARGEST_HIGHLIGHT:
            return 0, 1
        return 0, next((usual for usual in USUAL_WHITES if usual / 2 < high <= usual * (1 + NOISE)), high)
    return (-1, 1) if low >= -1 - NOISE and high <= 1 + NOISE else (low, high)


def _as_words(black: float, white: float, found: Extremes, style: str) -> str:
    room = NOISE * (white - black)
    clipped = found.lowest < black - room or found.highest > white + room
    values = " to ".join(style.format(value) for value in (found.lowest, found.highest))
    left_out = f" without {' and '.join(f'{mark:g}' for mark in found.marks)}" if found.marks else ""
    rest = "; the rest is clipped" if clipped else ""
    return f"{black:g} is black and {white:g} white, as the values are {values}{left_out}{rest}"


def _scaled(samples: np.ndarray, black: float, white: float) -> np.ndarray:
    """Black becomes 0 and white 255; some rows at a time, as 80 million samples would take gigabytes."""
    table = None
    if samples.dtype.kind in "ui" and samples.dtype.itemsize == 2 and samples.size > TABLE_PAYS:
        table = _levels(np.arange(2**16, dtype=np.uint16).view(samples.dtype), black, white)
        samples = samples.view(np.uint16)
    scaled = np.empty(samples.shape, np.uint8)
    for top in range(0, len(samples), ROWS):
        part = samples[top : top + ROWS]
        scaled[top : top + ROWS] = _levels(part, black, white) if table is None else table[part]
    return scaled


def _levels(samples: np.ndarray, black: float, white: float) -> np.ndarray:
    with np.errstate(over="ignore"):
        values: np.ndarray = samples.astype("f4" if samples.dtype.itemsize <= 2 else "f8")
        levels = np.nan_to_num((values - black) * (255 / (white - black)), nan=0.0, posinf=255.0, neginf=0.0)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
