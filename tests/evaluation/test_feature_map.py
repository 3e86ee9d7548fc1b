"""The map of images: groups of features stay groups, equal seeds give equal maps, too few images are refused."""

from __future__ import annotations

import numpy as np
import pytest

from mixvision.evaluation.feature_map import map_features


def blobs(images: int, features: int, groups: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Features around one centre a group, far from each other, and the groups."""
    generator = np.random.default_rng(0)
    group = np.arange(images) % groups
    return generator.normal(size=(groups, features))[group] * 10 + generator.normal(size=(images, features)), group


@pytest.mark.parametrize("features", [5, 80])  # fewer than the principal components, and more
def test_groups_stay_groups(features):
    values, group = blobs(90, features)
    places = map_features(values.astype(np.float32), seed=0)
    assert places.shape == (90, 2) and np.isfinite(places).all()
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (group[distances.argmin(1)] == group).all()
    centres = np.stack([places[group == k].mean(0) for k in range(3)])
    spread = max(np.linalg.norm(places[group == k] - centres[k], axis=1).mean() for k in range(3))
    apart = min(np.linalg.norm(centres[a] - centres[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
    assert apart > 2 * spread


def test_equal_features_and_seeds_give_equal_maps():
    values, _ = blobs(60, 20)
    np.testing.assert_array_equal(map_features(values, seed=3), map_features(values.copy(), seed=3))
    assert not np.array_equal(map_features(values, seed=3), map_features(values[::-1], seed=3))


def test_four_images_are_enough_and_three_are_not():
    values, _ = blobs(4, 10)
    assert map_features(values, seed=0).shape == (4, 2)
    with pytest.raises(ValueError, match="4 images or more, but there are 3"):
        map_features(values[:3], seed=0)
