"""Descriptors of pictures, by which altered copies are proposed: low frequencies of windows of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CELLS = 32  # a window is averaged to 32x32 cells
HIGHEST = 8  # frequencies up to 8 half waves per window: a copy's sharpness does not matter
RIDGE = 0.15  # how strongly small changes are pulled to none, beside descriptors of unit length ...
WIDTHS = (0.05, 0.06, 0.05, 0.06, 0.05, 0.05)  # ... in these standard deviations of the map's six entries
FLAT = 1.0  # grey levels: windows whose weighted frequencies are weaker have no descriptor


@dataclass(frozen=True)
class Window:
    """A box of the square picture, in coordinates from -1 to 1.

    Args:
        width, height: half the sides of the box.
        right, down: where its centre is.
        mirrored: whether it is read from right to left.
    """

    width: float
    height: float
    right: float = 0.0
    down: float = 0.0
    mirrored: bool = False

    @property
    def matrix(self) -> np.ndarray:
        """The affine map (2, 3) from coordinates of `INDEXED` to those of this window, rows x and y."""
        flip = -1 if self.mirrored else 1
        return np.array(
            [
                [flip * self.width / INDEXED.width, 0, self.right],
                [0, self.height / INDEXED.height, self.down],
            ]
        )


INDEXED = Window(0.84, 0.84)


def describe(luma: np.ndarray, windows: list[Window]) -> np.ndarray:
    """Describe windows of pictures by their low frequencies, higher ones weighted more, at unit length.

    Args:
        luma: grey levels, float32 (N, S, S).
        windows: which boxes.

    Returns:
        float32 (len(windows), N, 57); zeros where a window is flat.
    """
    descriptors = np.empty((len(windows), len(luma), len(_WEIGHTS)), np.float32)
    for number, window in enumerate(windows):
        weighted = _frequencies(luma, window)
        length = np.linalg.norm(weighted, axis=1, keepdims=True)
        descriptors[number] = np.where(length > FLAT, weighted / np.maximum(length, FLAT), 0)
    return descriptors


def describe_changes(luma: np.ndarray) -> np.ndarray:
    """How the descriptor of `INDEXED` changes with the six numbers of a small affine change of the coordinates.

    The tangents of Simard et al., "Transformation Invariance in Pattern Recognition" (1998), section 3.

    Args:
        luma: grey levels, float32 (N, S, S).

    Returns:
        float16 (N, 6, 57), per unit of the map's entries, in the order of a flattened (2, 3) matrix.
    """
    side = luma.shape[1]
    length = np.linalg.norm(_frequencies(luma, INDEXED), axis=1)[:, None, None]
    tangents = _frequencies(affine_changes(luma).reshape(-1, side, side), INDEXED).reshape(len(luma), 6, -1)
    return (tangents / np.maximum(length, FLAT)).astype(np.float16)


def resemblance(queries: np.ndarray, indexed: np.ndarray, tangents: np.ndarray) -> np.ndarray:
    """Cosines (P,) of queries and indexed pictures after the small affine changes that bring them closest.

    Args:
        queries, indexed: descriptors (P, 57).
        tangents: of the indexed pictures (P, 6, 57).
    """
    basis = np.concatenate([indexed[:, None], tangents.astype(np.float32)], axis=1)
    normal = np.matmul(basis, basis.transpose(0, 2, 1))
    normal[:, range(7), range(7)] += _RIDGE
    factors = np.linalg.solve(normal, np.matmul(basis, queries[:, :, None]))
    fitted = np.matmul(basis.transpose(0, 2, 1), factors)[:, :, 0]
    return (queries * fitted).sum(axis=1) / np.maximum(np.linalg.norm(fitted, axis=1), 1e-6)


def affine_changes(pictures: np.ndarray) -> np.ndarray:
    """How the grey levels of pictures (N, S, S) change with the six entries of an affine map: (N, 6, S, S)."""
    side = pictures.shape[1]
    x = ((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32)
    y = x[:, None]
    down, across = (slope * (side / 2) for slope in np.gradient(pictures, axis=(1, 2)))
    return np.stack([across * x, across * y, across, down * x, down * y, down], axis=1)


def area_weights(edges: np.ndarray, side: int) -> np.ndarray:
    """Weights (len(edges) - 1, side) that average the pixels between two edges, which are given in pixels."""
    pixel = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (np.clip(overlap, 0, None) / np.diff(edges)[:, None]).astype(np.float32)


def _frequencies(luma: np.ndarray, window: Window) -> np.ndarray:
    """The weighted frequencies (N, 57) of a window of pictures (N, S, S)."""
    side = luma.shape[1]
    across = _basis(window.right, window.width, side, window.mirrored)
    down = _basis(window.down, window.height, side, False)
    return np.matmul(down, np.matmul(luma, across.T)).reshape(len(luma), -1)[:, _CHOSEN] * _WEIGHTS


def _basis(centre: float, half: float, side: int, mirrored: bool) -> np.ndarray:
    """Cosines (9, side) over a window of one axis."""
    edges = (centre + half * np.linspace(-1, 1, CELLS + 1) + 1) / 2 * side
    cosines = np.cos(np.pi * np.arange(HIGHEST + 1)[:, None] * (np.arange(CELLS) + 0.5) / CELLS) / CELLS
    cosines[1:] *= np.sqrt(2)
    if mirrored:
        cosines = cosines[:, ::-1]
    return (cosines @ area_weights(edges, side)).astype(np.float32)


_FREQUENCIES = np.hypot(*np.mgrid[: HIGHEST + 1, : HIGHEST + 1]).ravel()
_CHOSEN = np.flatnonzero((_FREQUENCIES > 0) & (_FREQUENCIES <= HIGHEST))
_WEIGHTS = _FREQUENCIES[_CHOSEN].astype(np.float32)
_RIDGE = np.append(0, (RIDGE / np.array(WIDTHS)) ** 2).astype(np.float32)
