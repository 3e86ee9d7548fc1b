"""The extremes of samples, without the few values that say nothing about the picture's range."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

NOISE = 0.1  # of the largest value: what lies less outside a range does not change it
LARGEST = 1e30  # larger ones stand for no measurement
GAP_BELOW, GAP_ABOVE = 2, 10  # how far a mark is from the other values, in widths of their range
TAILS = (0.01, 0.99)  # quantiles: between them lies the middle of the values, which tells outliers
ENOUGH = 100_000  # samples, for quantiles
ROWS = 128  # looked at together


@dataclass(frozen=True)
class Extremes:
    """Lowest and highest value, `low` and `high` without outliers, and the marks that were left out of all of them.

    An outlier is farther from the middle 98% of the values than these are wide: hot pixels, reflections. A mark stands
    for no measurement although the file does not say so: the one lowest value, if it is below zero and far from all
    others (such as -9999), or a highest one that is very far (such as 1e20).
    """

    lowest: float
    highest: float
    low: float
    high: float
    marks: tuple[float, ...] = ()


def extremes_of(samples: np.ndarray, nothing: float | None = None) -> Extremes:
    """The extremes of whole numbers, floats or truth values.

    Args:
        samples: ``(H, W)`` or ``(H, W, C)``.
        nothing: a value that stands for no measurement and does not count, if the file has one.
    """
    kind = samples.dtype.kind
    if kind == "b":
        return Extremes(0, 1, 0, 1)
    lowest, highest = _bounds(samples, nothing)
    if kind != "f" and lowest >= 0:
        return Extremes(lowest, highest, lowest, highest)
    marks = []
    if lowest < 0:
        following, _ = _bounds(samples, nothing, above=lowest)
        if following - lowest > GAP_BELOW * (highest - following) > 0:
            marks, lowest = [lowest], following
    if kind == "f":
        _, following = _bounds(samples, nothing, above=marks[0] if marks else None, below=highest)
        if highest - following > GAP_ABOVE * (following - lowest) > 0:
            marks, highest = [*marks, highest], following
    return Extremes(lowest, highest, *_without_outliers(samples, nothing, lowest, highest), tuple(marks))


def _bounds(
    samples: np.ndarray, nothing: float | None, above: float | None = None, below: float | None = None
) -> tuple[float, float]:
    """The lowest and highest of the values that count, between two limits; 0 and 0 if there are none."""
    if samples.dtype.kind == "f":
        largest = min(LARGEST, float(np.finfo(samples.dtype).max))  # which often stands for nothing, too
        above, below = -largest if above is None else above, largest if below is None else below
    elif nothing is above is below is None:
        return samples.min().item(), samples.max().item()
    found: list[float] = []
    for top in range(0, len(samples), ROWS):  # the parts that count of 80 million samples take half a gigabyte
        part = samples[top : top + ROWS]
        counted = np.ones(part.shape, bool) if nothing is None else ~np.isclose(part, nothing)
        if above is not None:
            counted &= part > above
        if below is not None:
            counted &= part < below
        shown = part[counted]
        found += [shown.min().item(), shown.max().item()] if shown.size else []
    return (min(found), max(found)) if found else (0, 0)


def _without_outliers(samples: np.ndarray, nothing: float | None, lowest: float, highest: float) -> tuple[float, float]:
    step = math.isqrt(samples.shape[0] * samples.shape[1] // ENOUGH) + 1
    some = samples[::step, ::step].astype(np.float64)
    counted = (some >= lowest) & (some <= highest)
    if nothing is not None:
        counted &= ~np.isclose(some, nothing)
    if not counted.any():
        return lowest, highest
    low, high = np.quantile(some[counted], TAILS).tolist()
    width = high - low
    if width == 0:  # nearly all of one value, such as text on paper
        return lowest, highest
    return low if lowest < low - width else lowest, high if highest > high + width else highest
