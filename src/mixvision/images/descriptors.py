"""Descriptors of pictures, by which altered copies are proposed: low frequencies of windows of the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CELLS = 32  # a window is averaged to 32x32 cells
HIGHEST = 8  # frequencies up to 8 half waves per window: a copy's sharpness does not matter
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
    side = luma.shape[1]
    across = [_basis(window.right, window.width, side, window.mirrored) for window in windows]
    down = [_basis(window.down, window.height, side, False) for window in windows]
    rows = luma.reshape(-1, side) @ np.concatenate(across).T
    rows = rows.reshape(len(luma), side, len(windows), HIGHEST + 1)
    descriptors = np.empty((len(windows), len(luma), len(_WEIGHTS)), np.float32)
    for number, basis in enumerate(down):
        frequencies = np.matmul(basis, rows[:, :, number])
        weighted = frequencies.reshape(len(luma), -1)[:, _CHOSEN] * _WEIGHTS
        length = np.linalg.norm(weighted, axis=1, keepdims=True)
        descriptors[number] = np.where(length > FLAT, weighted / np.maximum(length, FLAT), 0)
    return descriptors


def area_weights(edges: np.ndarray, side: int) -> np.ndarray:
    """Weights (len(edges) - 1, side) that average the pixels between two edges, which are given in pixels."""
    pixel = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (np.clip(overlap, 0, None) / np.diff(edges)[:, None]).astype(np.float32)


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
