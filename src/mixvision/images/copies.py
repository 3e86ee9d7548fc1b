"""Altered copies: pictures cropped, framed, captioned, stretched, turned a little, mirrored or changed in tone."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import pandas as pd

from mixvision.images.alignment import FINE, confirm, shrunk
from mixvision.images.descriptors import INDEXED, Window, describe, describe_changes, resemblance
from mixvision.images.parts import backend_for, compute_parts

logger = logging.getLogger(__name__)

SMALLEST_SIDE = 48  # pixels: smaller stored pictures show too little detail to be compared
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_SIDE = INDEXED.width
# Where a copy's picture may lie in the original, roughly: smaller, in the mirror, beside an added or removed strip.
WINDOWS = [
    *(Window(_SIDE * scale, _SIDE * scale) for scale in (1, 0.93, 0.86, 0.8)),
    Window(_SIDE, _SIDE, mirrored=True),
    *(Window(_SIDE * 0.96, _SIDE, right=right) for right in (0.1, -0.1)),
    *(Window(_SIDE, _SIDE * 0.96, down=down) for down in (0.1, -0.1)),
    Window(_SIDE * 0.9, _SIDE * 0.9, down=0.1),
    Window(_SIDE * 0.9, _SIDE * 0.9, down=-0.1),
    Window(_SIDE * 0.91, _SIDE * 0.91, down=-0.045),
]
PROPOSED = 0.72  # the cosine of descriptors from which a pair is looked at ...
NEIGHBOURS = 128  # ... among so many nearest ones of every window
LIKELY = 0.85  # ... and after small changes of the coordinates
MOST_LIKELY = 64  # pictures that one picture is compared with: those that resemble it most
FEW = 20_000  # up to this many pictures all pairs of descriptors are compared; else ...
CELLS_PER_ROOT, PROBED_CELLS = 4, 32  # ... an inverted file has so many cells times the root of their number
QUERIES_AT_ONCE, PAIRS_AT_ONCE = 1024, 1024
MILLISECONDS_A_PAIR, LONG = 0.5, 10  # of one core, for pairs that look alike; and from how many minutes on it is said
PARTS_FOR_PROCESSES = 9  # processes compare twice as fast as threads, but take seconds to start


def grey_pictures(pixels: np.ndarray, rows: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Grey levels, uint8 (len(rows), 64, 64), of uint8 pixels (N, S, S, 3): all that the comparison needs.

    They are written to `out`, if it is given, block by block: so it may be on disk.
    """
    grey = np.empty((len(rows), FINE, FINE), np.uint8) if out is None else out
    for start in range(0, len(rows), QUERIES_AT_ONCE):
        block = pixels[rows[start : start + QUERIES_AT_ONCE]]
        grey[start : start + QUERIES_AT_ONCE] = np.rint(shrunk(block @ LUMA, FINE))
    return grey


def altered_copies(grey: np.ndarray, folder: Path | None = None) -> np.ndarray:
    """Return the pairs of rows that are altered copies of the same picture, int64 (P, 2), first < second, sorted.

    Descriptors of several windows propose pairs; `alignment.confirm` decides. Takes about 1.5 KB of memory per picture
    besides `grey`.

    Args:
        grey: uint8 (N, 64, 64), of `grey_pictures`; may be memory-mapped.
        folder: where parts of the work are kept, so that it can be interrupted; only for the same `grey`.
    """
    if len(grey) < 2:
        return np.empty((0, 2), np.int64)
    pairs, windows = _likely_pairs(grey, folder)
    minutes = len(pairs) * MILLISECONDS_A_PAIR / (os.cpu_count() or 1) / 60_000
    if minutes >= LONG:
        text = "The pictures are so alike that %d pairs must be compared, which takes about %.0f minutes."
        logger.warning(text, len(pairs), minutes)
    parts = [slice(start, start + PAIRS_AT_ONCE) for start in range(0, len(pairs), PAIRS_AT_ONCE)]
    backend = backend_for(len(parts) >= PARTS_FOR_PROCESSES)
    arguments = [(pairs[part], windows[part]) for part in parts]
    found = compute_parts(partial(_confirm, grey), arguments, folder, "copies", "comparing likely copies", backend)
    return np.unique(np.concatenate([np.empty((0, 2), np.int64), *(copies for (copies,) in found)]), axis=0)


def _confirm(grey: np.ndarray, likely: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray]:
    """Those of the pairs (P, 2) that are copies, smaller row first, given the windows (P,) that proposed them."""
    pairs, windows = likely
    starts = np.stack([window.matrix for window in WINDOWS]).astype(np.float32)[windows]
    confirmed = confirm(grey[pairs[:, 0]], grey[pairs[:, 1]], starts)
    return (np.sort(pairs[confirmed], axis=1),)


def _likely_pairs(grey: np.ndarray, folder: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (P, 2) of an indexed picture and a query, each pair once, and the queries' windows (P,)."""
    starts = range(0, len(grey), QUERIES_AT_ONCE)
    parts = list(compute_parts(partial(_describe, grey), starts, None, "", "describing pictures"))
    indexed, changes = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    propose = partial(_propose, grey, indexed, changes, _search_index(indexed))
    proposed = list(compute_parts(propose, starts, folder, "likely", "looking for copies"))
    pairs, windows, cosines = (np.concatenate(arrays) for arrays in zip(*proposed, strict=True))
    order = np.argsort(-cosines, kind="stable")
    _, first = np.unique(np.sort(pairs, axis=1)[order], axis=0, return_index=True)
    return pairs[order[first]], windows[order[first]]


def _describe(grey: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    """The indexed descriptors (B, 57) of a block of pictures, and how they change (B, 6, 57)."""
    block = grey[start : start + QUERIES_AT_ONCE].astype(np.float32)
    return describe(block, [INDEXED])[0], describe_changes(block)


def _propose(
    grey: np.ndarray, indexed: np.ndarray, changes: np.ndarray, index: faiss.Index, start: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The likely pairs with the queries of a block, the windows, and the cosines: (P, 2), (P,), (P,)."""
    faiss.omp_set_num_threads(1)  # of this thread's searches: blocks are searched side by side
    described = describe(grey[start : start + QUERIES_AT_ONCE].astype(np.float32), WINDOWS)
    wanted = min(NEIGHBOURS, len(indexed))
    cosines, found = index.search(_padded(described.reshape(-1, described.shape[2])), wanted)
    rows, columns = np.nonzero(cosines >= PROPOSED)
    windows, queries = np.divmod(rows, described.shape[1])
    found = found[rows, columns]
    best = _best_of_each(start + queries, found, cosines[rows, columns])
    queries, found, windows = queries[best], found[best], windows[best]
    cosine = resemblance(described[windows, queries], indexed[found], changes[found])
    likely = np.flatnonzero(cosine >= LIKELY)
    rank = pd.Series(cosine[likely]).groupby(queries[likely]).rank(method="first", ascending=False)
    likely = likely[rank <= MOST_LIKELY]
    return np.column_stack([found, start + queries])[likely], windows[likely], cosine[likely]


def _best_of_each(queries: np.ndarray, found: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Positions of the best of the proposals of the same two pictures; none of a picture and itself."""
    order = np.lexsort([-cosines, found, queries])
    order = order[queries[order] != found[order]]
    new = np.diff(queries[order], prepend=-1) | np.diff(found[order], prepend=-1)
    return order[new != 0]


def _search_index(indexed: np.ndarray) -> faiss.Index:
    """An index for the inner product: exact for few pictures, an inverted file in half precision for many."""
    padded = _padded(indexed)
    exact = faiss.IndexFlatIP(padded.shape[1])
    if len(indexed) <= FEW:
        exact.add(padded)
        return exact
    cells = round(CELLS_PER_ROOT * len(indexed) ** 0.5)
    half = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexIVFScalarQuantizer(exact, padded.shape[1], cells, half, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = PROBED_CELLS
    index.train(padded[:: max(1, len(padded) // (40 * cells))])
    index.add(padded)
    return index


def _padded(descriptors: np.ndarray) -> np.ndarray:
    """With zeros up to a multiple of 8 numbers, which faiss compares 1.5 times as fast."""
    return np.pad(descriptors, ((0, 0), (0, -descriptors.shape[1] % 8)))
