"""Numbers, intervals, durations and tables as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeGuard

import numpy as np
import pandas as pd

DASH = "\N{EN DASH}"


def training_time(seconds: float) -> str:
    """A duration in suitable units, a dash where nothing was trained."""
    if not seconds > 0:  # NaN is not above 0 either
        return DASH
    if seconds < 1:
        return "under 1 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def markdown_table(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table whose columns also line up in a terminal."""
    cells = [
        list(map(str, frame.columns)),
        *([whole(cell) if is_whole(cell) else str(cell) for cell in row] for row in frame.to_numpy(dtype=object)),
    ]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in cells]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = [width * "-" for width in widths]
    lines = [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], rule, *lines[1:]])


def listed(names: Sequence[str]) -> str:
    """One or more names in a sentence: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def setting_value(value: object) -> str:
    """A setting as text, numbers as short as possible: 0.0001, 1e-05, 64, 5,000.

    "automatic" for None, a dash for NaN, "yes" or "no", and several values beside each other.
    """
    if value is None:
        return "automatic"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        nested = any(isinstance(part, tuple | list) for part in value)
        return ("; " if nested else ", ").join(map(setting_value, value)) or "none"
    if isinstance(value, float):
        return DASH if math.isnan(value) else f"{value:,g}"
    return whole(value) if is_whole(value) else str(value)


def view_settings(prefix: str, views: Mapping[str, object]) -> dict[str, str]:
    """The settings of augmentation as text, by names such as "views: rotation"; None is an alteration left out."""
    return {f"{prefix}: {name}": "none" if value is None else setting_value(value) for name, value in views.items()}


def number(value: float) -> str:
    """A fraction with three decimals, a dash where there is none."""
    return DASH if pd.isna(value) else f"{value:z,.3f}"


def is_whole(value: object) -> TypeGuard[int]:
    """Whether a value is a whole number, also one of NumPy's; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def whole(value: int) -> str:
    """A whole number with commas between its thousands, from 1,000 on."""
    return f"{value:,}"


def with_spread(rows: pd.DataFrame, metric: str) -> pd.Series:
    """A metric as text, with its deviation over seeds (``<metric>_std``) where there are several."""
    pairs = zip(rows[metric], rows[f"{metric}_std"], strict=True)
    return pd.Series(
        [number(mean) if pd.isna(spread) else f"{mean:.3f} ± {spread:.3f}" for mean, spread in pairs],
        index=rows.index,
        dtype="str",
    )


def interval(low: float, high: float) -> str:
    """The bounds of an interval with three decimals, a dash where there are none."""
    return DASH if pd.isna(low) else f"{low:z.3f} to {high:z.3f}"
