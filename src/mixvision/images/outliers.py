"""An optional filter by dimensions: excludes pictures of unusual size or shape, with a reason."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mixvision.parameter_types import require_types


@dataclass(frozen=True)
class Outliers:
    """Which pictures are outliers; null keeps everything.

    Args:
        dimensions: the allowed [width, height] pairs, in pixels, of the upright picture.
        smallest_side: the minimum length of the shorter side, in pixels.
        largest_aspect_ratio: the largest ratio of the longer to the shorter side, 1 or more.
    """

    dimensions: list[list[int]] | None = None
    smallest_side: int | None = None
    largest_aspect_ratio: float | None = None

    def __post_init__(self) -> None:
        require_types(self)
        for pair in self.dimensions or []:
            if len(pair) != 2 or min(pair) < 1:
                raise ValueError(f"dimensions holds {pair}, but must hold [width, height] pairs of pixels.")
        if self.smallest_side is not None and self.smallest_side < 1:
            raise ValueError(f"smallest_side is {self.smallest_side} pixels, but must be 1 or more, or null.")
        if self.largest_aspect_ratio is not None and self.largest_aspect_ratio < 1:
            raise ValueError(f"largest_aspect_ratio is {self.largest_aspect_ratio}, but must be 1 or more, or null.")


def find_outliers(pictures: pd.DataFrame, outliers: Outliers) -> pd.Series:
    """Return the reason for every outlier, indexed by id.

    Args:
        pictures: columns id, width, height (pixels, positive).
    """
    reasons = np.full(len(pictures), "", dtype=object)
    sizes = pictures["width"].astype(str) + "x" + pictures["height"].astype(str)
    shorter = pictures[["width", "height"]].min(axis=1)
    if outliers.dimensions is not None:
        allowed = {f"{width}x{height}" for width, height in outliers.dimensions}
        reasons[~sizes.isin(allowed)] = "outlier by dimensions: "
    if outliers.smallest_side is not None:
        reasons[shorter < outliers.smallest_side] = "outlier by shorter side: "
    if outliers.largest_aspect_ratio is not None:
        ratio = pictures[["width", "height"]].max(axis=1) / shorter
        reasons[ratio > outliers.largest_aspect_ratio] = "outlier by aspect ratio: "
    found = reasons != ""
    return pd.Series(reasons[found] + sizes[found].to_numpy(), index=pictures.loc[found, "id"], dtype=object)
