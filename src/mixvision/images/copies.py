"""Altered copies: pictures that were cropped, framed, captioned, stretched, turned a little, mirrored or re-toned."""

from __future__ import annotations

from collections.abc import Iterator

import faiss
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm

from mixvision.images.alignment import FINE, composed, confirm, shrunk
from mixvision.images.descriptors import INDEXED, Window, describe, describe_changes, fit_changes

SMALLEST_SIDE = 48  # pixels: smaller stored pictures show too little detail to be compared
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_SIDE = INDEXED.width
# Where a copy's picture may lie in the original, roughly: smaller, in the mirror, beside an added or removed strip.
WINDOWS = [
    *(Window(_SIDE * scale, _SIDE * scale) for scale in (1, 0.93, 0.86, 0.8)),
    Window(_SIDE, _SIDE, mirrored=True),
    *(Window(_SIDE, _SIDE, right, down) for right, down in ((0.1, 0), (-0.1, 0), (0, 0.1), (0, -0.1))),
    Window(_SIDE * 0.9, _SIDE * 0.9, down=0.1),
    Window(_SIDE * 0.9, _SIDE * 0.9, down=-0.1),
    Window(_SIDE * 0.91, _SIDE * 0.91, down=-0.045),
]
PROPOSED = 0.72  # the cosine of descriptors from which a pair is looked at ...
NEIGHBOURS = 128  # ... among so many nearest ones of every window
LIKELY = 0.85  # ... and after small changes of the coordinates
MOST_LIKELY = 64  # pictures that one picture is compared with: those that resemble it most
FEW = 20_000  # up to this many pictures all pairs of descriptors are compared
CELLS_PER_PICTURE, PROBED_CELLS = 1 / 100, 32  # of the inverted file for more pictures
QUERIES_AT_ONCE, PAIRS_AT_ONCE = 1024, 512


def grey_pictures(pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Grey levels, uint8 (len(rows), 64, 64), of uint8 pixels (N, S, S, 3): all that the comparison needs."""
    grey = np.empty((len(rows), FINE, FINE), np.uint8)
    for start in range(0, len(rows), QUERIES_AT_ONCE):
        block = pixels[rows[start : start + QUERIES_AT_ONCE]]
        grey[start : start + QUERIES_AT_ONCE] = np.rint(shrunk(block @ LUMA, FINE))
    return grey


def altered_copies(grey: np.ndarray) -> np.ndarray:
    """Return the pairs of rows that are altered copies of the same picture, int64 (P, 2), first < second, sorted.

    Descriptors of several windows propose pairs; `alignment.confirm` decides.

    Args:
        grey: uint8 (N, 64, 64), of `grey_pictures`.
    """
    if len(grey) < 2:
        return np.empty((0, 2), np.int64)
    indexed, changes = _index(grey)
    pairs, maps = _likely_pairs(grey, indexed, changes)
    blocks = range(0, len(pairs), PAIRS_AT_ONCE)
    tasks = (
        delayed(confirm)(
            grey[pairs[start : start + PAIRS_AT_ONCE, 0]],
            grey[pairs[start : start + PAIRS_AT_ONCE, 1]],
            maps[start : start + PAIRS_AT_ONCE],
        )
        for start in blocks
    )
    backend = "loky" if len(blocks) > 8 else "threading"
    found = Parallel(n_jobs=-1, backend=backend, return_as="generator")(tasks)
    shown = tqdm(found, desc="comparing likely copies", total=len(blocks), unit="block", disable=len(blocks) < 4)
    confirmed = np.concatenate([np.empty(0, bool), *shown])
    return np.unique(np.sort(pairs[confirmed], axis=1), axis=0)


def _index(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The indexed descriptors (N, 57), and how they change (N, 6, 57)."""
    described, changes = [], []
    for start in range(0, len(grey), QUERIES_AT_ONCE):
        block = grey[start : start + QUERIES_AT_ONCE].astype(np.float32)
        described.append(describe(block, [INDEXED])[0])
        changes.append(describe_changes(block))
    return np.concatenate(described), np.concatenate(changes)


def _likely_pairs(grey: np.ndarray, indexed: np.ndarray, changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (P, 2) of an indexed picture and a query, each pair once, and the maps (P, 2, 3) from one to the other."""
    matrices = np.stack([window.matrix for window in WINDOWS]).astype(np.float32)
    pairs, maps, cosines = [np.empty((0, 2), np.int64)], [np.empty((0, 2, 3), np.float32)], [np.empty(0, np.float32)]
    for queries, found, windows, descriptors in _proposals(grey, indexed):
        fitted, cosine = fit_changes(descriptors, indexed[found], changes[found])
        likely = np.flatnonzero(cosine >= LIKELY)
        rank = pd.Series(cosine[likely]).groupby(queries[likely]).rank(method="first", ascending=False)
        likely = likely[rank <= MOST_LIKELY]
        pairs.append(np.column_stack([found, queries])[likely])
        maps.append(composed(matrices[windows[likely]], fitted[likely].reshape(-1, 6)))
        cosines.append(cosine[likely])
    together = np.concatenate(pairs)
    order = np.argsort(-np.concatenate(cosines), kind="stable")
    _, first = np.unique(np.sort(together, axis=1)[order], axis=0, return_index=True)
    return together[order[first]], np.concatenate(maps)[order[first]]


def _proposals(
    grey: np.ndarray, indexed: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Rows of queries and of indexed pictures that resemble each other, by which window, and its descriptors."""
    index = _search_index(indexed)
    blocks = range(0, len(grey), QUERIES_AT_ONCE)
    for start in tqdm(blocks, desc="looking for copies", unit="block", disable=len(blocks) < 4):
        described = describe(grey[start : start + QUERIES_AT_ONCE].astype(np.float32), WINDOWS)
        cosines, found = index.search(described.reshape(-1, described.shape[2]), min(NEIGHBOURS, len(indexed)))
        rows, columns = np.nonzero(cosines >= PROPOSED)
        windows, queries = np.divmod(rows, described.shape[1])
        found = found[rows, columns]
        best = _best_of_each(start + queries, found, cosines[rows, columns])
        queries, found, windows = queries[best], found[best], windows[best]
        yield start + queries, found, windows, described[windows, queries]


def _best_of_each(queries: np.ndarray, found: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Positions of the best of the proposals of the same two pictures; none of a picture and itself."""
    order = np.lexsort([-cosines, found, queries])
    order = order[queries[order] != found[order]]
    new = np.diff(queries[order], prepend=-1) | np.diff(found[order], prepend=-1)
    return order[new != 0]


def _search_index(indexed: np.ndarray) -> faiss.Index:
    """An index for the inner product: exact for few pictures, an inverted file for many."""
    dimensions = indexed.shape[1]
    exact = faiss.IndexFlatIP(dimensions)
    if len(indexed) <= FEW:
        exact.add(indexed)
        return exact
    cells = round(len(indexed) * CELLS_PER_PICTURE)
    index = faiss.IndexIVFFlat(exact, dimensions, cells, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = PROBED_CELLS
    index.train(indexed[:: max(1, len(indexed) // (40 * cells))])
    index.add(indexed)
    return index
