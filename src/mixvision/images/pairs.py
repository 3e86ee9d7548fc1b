"""All pairs of near-duplicates among the kept images: found once, and kept until the images change."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from mixvision.images.alignment import FINE
from mixvision.images.arrays import new_array
from mixvision.images.copies import SMALLEST_SIDE, altered_copies, grey_pictures
from mixvision.images.duplicates import Duplicates, near_duplicates, thumbnails_of
from mixvision.images.parts import read_arrays, write_arrays
from mixvision.images.store import ImageStore
from mixvision.vocabulary import DOMAINS

logger = logging.getLogger(__name__)

VERSION = 4  # raise it when other pairs are found, so that they are looked for again
# Measured on varied pictures on one core of an AMD EPYC; see benchmarks/duplicates.py. Searching takes longer in larger
# sets, and more pairs look alike by chance.
MILLISECONDS, FOR_SEARCH, FOR_PAIRS, MEASURED_AT = 0.5, 1.1, 0.35, 100_000
LONG = 10  # minutes
SAME_SHAPE = 1.02  # quotient of two ratios of width to height below which two pictures have the same shape


def find_pairs(
    kept: pd.DataFrame, nice: ImageStore, real: ImageStore, duplicates: Duplicates, folder: Path | None = None
) -> np.ndarray:
    """The pairs of rows that are near-duplicates, int64 (P, 2), first < second, sorted.

    Args:
        kept: the kept images, sorted by id, so nice before real; columns domain, pixel_row, pixels_sha256,
            square_sha256, phash, width, height.
        nice, real: their pixels.
        duplicates: what counts as a near-duplicate.
        folder: where the pairs are kept, and what was found until an interruption; None: nowhere.
    """
    if folder is None:
        return _find(kept, nice, real, duplicates, None)
    settings = repr((VERSION, nice.pixels.shape[1], asdict(duplicates)))
    content = [settings, *kept["pixels_sha256"], *kept["square_sha256"]]
    key = sha256("\n".join(content).encode()).hexdigest()[:16]
    found, work = folder / f"{key}.npz", folder / key
    if kept_before := read_arrays(found):
        (pairs,) = kept_before
        logger.info("Nothing changed, %d pairs of near-duplicates reused.", len(pairs))
        return pairs
    work.mkdir(parents=True, exist_ok=True)
    pairs = _find(kept, nice, real, duplicates, work)
    write_arrays((pairs,), found)
    for other in folder.iterdir():
        if other != found:
            shutil.rmtree(other) if other.is_dir() else other.unlink()
    return pairs


def equal_squares(hashes: pd.Series) -> np.ndarray:
    """Pairs of rows with equal stored squares, int64 (P, 2): each with the next equal one.

    The network cannot tell them apart, although the whole pictures differ, as wide ones with the same white centre do.
    """
    rows = pd.Series(np.arange(len(hashes)))
    following = rows.groupby(hashes.to_numpy()).shift(-1)
    known = following.notna().to_numpy()
    return np.column_stack([rows[known], following[known]]).astype(np.int64)


def describe_search(duplicates: Duplicates, size: int) -> str:
    """How near-duplicates are looked for, in words.

    Args:
        duplicates: the settings.
        size: side of the stored squares in pixels.
    """
    if not duplicates.altered_copies:
        return "by hash only, as altered_copies is false: cropped, framed or captioned copies are missed"
    if size < SMALLEST_SIDE:
        return f"by hash only, as images of {size} pixels show too little ({SMALLEST_SIDE} are needed): cropped, " + (
            "framed or captioned copies are missed"
        )
    return "by hash and alignment"


def expected_minutes(images: int, cores: int) -> float:
    """About how long looking for altered copies takes."""
    more = images / MEASURED_AT
    return images * (MILLISECONDS + FOR_SEARCH * more**0.5 + FOR_PAIRS * more) / cores / 60_000


def _find(
    kept: pd.DataFrame, nice: ImageStore, real: ImageStore, duplicates: Duplicates, folder: Path | None
) -> np.ndarray:
    rows = [kept.loc[kept["domain"] == domain, "pixel_row"].to_numpy() for domain in DOMAINS]
    stores = list(zip((nice.pixels, real.pixels), rows, strict=True))
    squares = np.concatenate([thumbnails_of(pixels, row) for pixels, row in stores])
    wholes = np.concatenate([store.thumbnails[row] for store, row in zip((nice, real), rows, strict=True)])
    pairs = np.concatenate([pairs_by_hash(kept, squares, wholes, duplicates), equal_squares(kept["square_sha256"])])
    pairs = np.unique(pairs, axis=0)
    if not duplicates.altered_copies:
        return pairs
    if nice.pixels.shape[1] < SMALLEST_SIDE:
        logger.info("Altered copies are not looked for: images of less than %d pixels show too little.", SMALLEST_SIDE)
        return pairs
    minutes = expected_minutes(len(kept), os.cpu_count() or 1)
    if minutes >= LONG:
        logger.warning(
            "Looking for altered copies among %d images takes about %.0f minutes. What is done is kept if you stop it. "
            "With ingestion.duplicates.altered_copies: false only hashes are compared, which is far quicker but misses "
            "nearly all copies that were cropped, framed, captioned, mirrored, turned or made grey.",
            len(kept),
            minutes,
        )
    grey = _grey_pictures(stores, len(kept), folder)
    return np.unique(np.concatenate([pairs, altered_copies(grey, folder)]), axis=0)


def pairs_by_hash(kept: pd.DataFrame, squares: np.ndarray, wholes: np.ndarray, duplicates: Duplicates) -> np.ndarray:
    """Pairs with near hashes and near thumbnails: of the squares or, if their shapes differ, of the whole pictures.

    A picture that was squashed into a square shows another part in its square than the original does.
    """
    hashes, ratios = kept["phash"].to_numpy(), (kept["width"] / kept["height"]).to_numpy()
    pairs = near_duplicates(hashes, squares, duplicates)
    if ratios.max(initial=1) < SAME_SHAPE * ratios.min(initial=1):
        return pairs
    squashed = near_duplicates(hashes, wholes, duplicates)
    quotients = ratios[squashed[:, 0]] / ratios[squashed[:, 1]]
    differ = np.maximum(quotients, 1 / quotients) >= SAME_SHAPE
    return np.unique(np.concatenate([pairs, squashed[differ]]), axis=0)


def _grey_pictures(stores: list[tuple[np.ndarray, np.ndarray]], count: int, folder: Path | None) -> np.ndarray:
    """Grey pictures of the stores' rows, one store after the other, uint8 (count, 64, 64); on disk if there is one."""
    shape = (count, FINE, FINE)
    grey = np.empty(shape, np.uint8) if folder is None else new_array(folder / "grey.npy", shape)
    start = 0
    for pixels, rows in stores:
        grey_pictures(pixels, rows, grey[start : start + len(rows)])
        start += len(rows)
    return grey
