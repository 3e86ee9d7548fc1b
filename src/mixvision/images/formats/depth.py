"""Samples of any depth as 8 bits: what a file's tags do not say is assumed, and the assumption is stated."""

from __future__ import annotations

import numpy as np

DEPTHS = (8, 10, 12, 14, 16, 24, 32, 64)  # bits that cameras, scanners and microscopes record
USUAL_WHITES = (1, 255, 1023, 4095, 16383, 65535)  # of floats
NOISE = 0.1  # of the largest value: what lies less outside a range does not change it
LARGEST = 1e30
ROWS = 128  # converted together


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
        nothing: a value that stands for no measurement, if the file has one; it becomes black.

    Without stated values, whole numbers that fill 8, 10, 12, 14, ... bits only are taken to have that depth: 12-bit
    pictures saved with 16 bits are common and would be nearly black. Values below zero, and floats, tell their
    range by their extremes.
    """
    low, high = _extremes(samples, nothing)
    if stated and stated[0] < stated[1] and high <= stated[1]:
        black, white, assumed = (*stated, "")
    else:
        black, white, assumed = _range_of(low, high, samples.dtype.kind, bits)
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


def _range_of(low: float, high: float, kind: str, bits: int) -> tuple[float, float, str]:
    if kind == "b":
        return 0, 1, ""
    values = f"as the values are {low:.4g} to {high:.4g}"
    if kind == "f":
        black, white = _range_of_floats(low, high)
        return black, white, f"{black:g} is black and {white:g} white, {values}"
    most = bits - 1 if kind == "i" else bits
    if low >= -NOISE * high:
        depth = min(next(depth for depth in DEPTHS if 2**depth > high), most)
        if low < 0:
            return 0, 2**depth - 1, f"0 is black and {2**depth - 1} white, as the values are {low:.0f} to {high:.0f}"
        assumed = f"{depth} of {bits} bits used, as the largest value is {high:.0f}" if high and depth < most else ""
        return 0, 2**depth - 1, assumed
    depth = min(next(depth for depth in DEPTHS if -(2 ** (depth - 1)) <= low and high < 2 ** (depth - 1)), bits)
    black, white = -(2 ** (depth - 1)), 2 ** (depth - 1) - 1
    return black, white, f"{black} is black and {white} white, as the values are {low:.0f} to {high:.0f}"


def _extremes(samples: np.ndarray, nothing: float | None) -> tuple[float, float]:
    """The lowest and highest value, without those that stand for nothing or are no finite numbers."""
    if samples.dtype.kind == "b":
        return 0, 1
    if samples.dtype.kind != "f" and nothing is None:
        return samples.min().item(), samples.max().item()
    largest = min(LARGEST, np.finfo(samples.dtype).max) if samples.dtype.kind == "f" else LARGEST
    counted = np.abs(samples) < largest  # not infinite, and not the largest number, which often stands for nothing
    if nothing is not None:
        counted &= ~np.isclose(samples, nothing)
    if not counted.any():
        return 0.0, 0.0
    shown = samples[counted]
    return shown.min().item(), shown.max().item()


def _range_of_floats(low: float, high: float) -> tuple[float, float]:
    """Usual ranges have some room, as sharpening and other filters leave values slightly outside."""
    if low >= -NOISE * max(high, 0):
        return 0, next((usual for usual in USUAL_WHITES if high <= usual * (1 + NOISE)), high)
    return (-1, 1) if low >= -1 - NOISE and high <= 1 + NOISE else (low, high)


def _scaled(samples: np.ndarray, black: float, white: float) -> np.ndarray:
    """Black becomes 0 and white 255; some rows at a time, as 80 million samples would take gigabytes."""
    scaled = np.empty(samples.shape, np.uint8)
    for top in range(0, len(samples), ROWS):
        part: np.ndarray = samples[top : top + ROWS].astype("f4" if samples.dtype.itemsize <= 2 else "f8")
        levels = np.nan_to_num((part - black) * (255 / (white - black)), nan=0.0, posinf=255.0, neginf=0.0)
        scaled[top : top + ROWS] = np.clip(np.rint(levels), 0, 255)
    return scaled
