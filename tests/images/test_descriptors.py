from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dctn

from mixvision.images.descriptors import INDEXED, Window, describe, describe_changes, resemblance


def textured(number: int, side: int, seed: int = 0) -> np.ndarray:
    """Smooth random pictures, float32 (number, side, side), 0 to 255."""
    frequencies = np.random.default_rng(seed).normal(size=(number, side, side))
    frequencies /= 1 + np.hypot(*np.mgrid[:side, :side]) ** 1.5
    pictures = dctn(frequencies, type=3, axes=(1, 2), norm="ortho")
    low, high = (reduce(pictures, axis=(1, 2), keepdims=True) for reduce in (np.min, np.max))
    return (255 * (pictures - low) / (high - low)).astype(np.float32)


def test_they_are_the_low_frequencies_of_the_window():
    pictures = textured(3, 64)
    window = Window(0.5, 0.5, right=0.25)  # columns 24 to 56, rows 16 to 48: cells are pixels
    frequency = np.hypot(*np.mgrid[:32, :32])
    chosen = (frequency > 0) & (frequency <= 8)
    for picture, found in zip(pictures, describe(pictures, [window])[0], strict=True):
        expected = (dctn(picture[16:48, 24:56], norm="ortho") * frequency)[chosen]
        np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)


@pytest.mark.parametrize("side", [64, 100])
def test_a_mirrored_window_describes_the_mirrored_picture(side):
    pictures = textured(4, side)
    mirrored = describe(pictures[:, :, ::-1].copy(), [Window(0.8, 0.7, right=-0.1)])
    np.testing.assert_allclose(describe(pictures, [Window(0.8, 0.7, right=0.1, mirrored=True)]), mirrored, atol=1e-5)


def test_a_window_of_a_picture_is_described_like_a_picture_of_the_window():
    large = textured(2, 128)
    cut = large[:, 16:112, 16:112]  # 0.75 of each side
    inside = Window(INDEXED.width * 0.75, INDEXED.height * 0.75)
    cosines = (describe(large, [inside])[0] * describe(cut, [INDEXED])[0]).sum(axis=1)
    assert (cosines > 0.999).all()
    assert ((describe(large, [INDEXED])[0] * describe(cut, [INDEXED])[0]).sum(axis=1) < 0.95).all()


def test_flat_pictures_have_no_descriptor():
    flat = np.full((1, 64, 64), 200, np.float32)
    assert not describe(flat, [INDEXED, Window(0.8, 0.8)]).any()
    assert not describe_changes(flat).any()


@pytest.mark.parametrize(
    "change", [[[0.03, 0, 0], [0, 0.03, 0]], [[0, 0, 0.03], [0, 0, -0.02]], [[0, -0.03, 0], [0.03, 0, 0]]]
)
def test_small_changes_are_found(change):
    """Shift, scale and rotation: pictures are sums of waves, so that the changed one is computed, not resampled."""

    def picture(x, y):
        generator, total = np.random.default_rng(1), 0
        for _ in range(30):
            a, b, phase = *generator.uniform(-9, 9, 2), generator.uniform(0, 6)
            total = total + np.cos(a * x + b * y + phase)
        return (120 + 10 * total).astype(np.float32)

    centres = (np.arange(96) + 0.5) / 48 - 1
    x, y = np.meshgrid(centres, centres)
    matrix = np.array(change)
    moved_x = x + matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
    moved_y = y + matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
    original, changed = picture(x, y)[None], picture(moved_x, moved_y)[None]
    query, indexed = (describe(pictures, [INDEXED])[0] for pictures in (changed, original))
    cosines = resemblance(query, indexed, describe_changes(original))
    assert cosines[0] > (query * indexed).sum() and cosines[0] > 0.98
    assert resemblance(indexed, indexed, describe_changes(original))[0] == pytest.approx(1)
