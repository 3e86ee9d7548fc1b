from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixvision.images import duplicates as module
from mixvision.images.duplicates import (
    Duplicates,
    clusters_of,
    exact_duplicates,
    near_duplicates,
    near_hashes,
    thumbnails_of,
)


@st.composite
def hash_sets(draw) -> np.ndarray:
    """Distinct 64-bit hashes with many neighbours: a few centres with some bits flipped."""
    centres = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=5))
    flips = st.lists(st.integers(0, 63), max_size=12, unique=True)
    hashes = set()
    for _ in range(draw(st.integers(1, 25))):
        value = draw(st.sampled_from(centres))
        for bit in draw(flips):
            value ^= 1 << bit
        hashes.add(value)
    return np.array(sorted(hashes), np.uint64)


@settings(deadline=None, max_examples=60)
@given(hashes=hash_sets(), radius=st.integers(0, 11))
def test_search_finds_exactly_the_pairs_within_the_radius(hashes, radius):
    found = {tuple(pair) for block in near_hashes(hashes, radius) for pair in block.tolist()}
    expected = {
        (i, j)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= radius
    }
    assert found == expected


@settings(deadline=None, max_examples=60)
@given(data=st.data(), hashes=hash_sets(), radius=st.integers(0, 11), difference=st.integers(0, 60))
def test_near_duplicates_equal_all_pairs_compared(data, hashes, radius, difference):
    hashes = np.array(data.draw(st.lists(st.sampled_from(hashes.tolist()), min_size=1, max_size=30)), np.uint64)
    greys = data.draw(st.lists(st.integers(0, 255), min_size=len(hashes), max_size=len(hashes)))
    thumbnails = np.broadcast_to(np.array(greys, np.uint8)[:, None, None, None], (len(hashes), 16, 16, 3))
    found = near_duplicates(hashes, thumbnails, Duplicates(radius=radius, difference=difference))
    expected = [
        [i, j]
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if (int(hashes[i]) ^ int(hashes[j])).bit_count() <= radius and abs(greys[i] - greys[j]) <= difference
    ]
    assert found.tolist() == expected


def crowded(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """700 pictures with one hash in three looks, 40 of their neighbours, 50 strangers."""
    hashes = np.r_[np.full(700, 12345), np.full(40, 12345 ^ 0b111), generator.integers(0, 2**62, 50)]
    looks = np.r_[np.repeat([10, 100, 200], [300, 300, 100]), np.full(40, 101), np.full(50, 100)]
    noise = generator.integers(0, 2, (790, 16, 16, 3))
    return hashes.astype(np.uint64), (looks[:, None, None, None] + noise).astype(np.uint8)


def test_crowds_of_distinct_looks_cluster_as_if_all_pairs_were_compared(monkeypatch):
    hashes, thumbnails = crowded(np.random.default_rng(0))
    few = near_duplicates(hashes, thumbnails, Duplicates())
    monkeypatch.setattr(module, "CROWD", 10_000)
    many = near_duplicates(hashes, thumbnails, Duplicates())
    assert len(few) < 2000 < 50_000 < len(many)
    np.testing.assert_array_equal(clusters_of(790, few), clusters_of(790, many))


def test_crowds_may_cluster_more_than_all_pairs_would_but_never_less(monkeypatch):
    """A picture with another hash is compared with a crowd's leader only, and joins all of the leader's followers."""
    hashes = np.r_[np.full(300, 0b0), 0b1].astype(np.uint64)
    looks = np.r_[np.full(150, 100), np.full(150, 98), 104].astype(np.uint8)  # 104 is 4 from the leader, 100
    thumbnails = np.broadcast_to(looks[:, None, None, None], (301, 16, 16, 3))
    few = clusters_of(301, near_duplicates(hashes, thumbnails, Duplicates(difference=3)))
    monkeypatch.setattr(module, "CROWD", 10_000)
    many = clusters_of(301, near_duplicates(hashes, thumbnails, Duplicates(difference=3)))
    assert (few == 0).all()
    assert (many[:300] == 0).all() and many[300] == 1


def test_hash_alone_is_not_enough():
    red, green = (np.broadcast_to(np.array(colour, np.uint8), (16, 16, 3)) for colour in ((200, 0, 0), (0, 102, 0)))
    thumbnails, hashes = np.stack([red, green, red]), np.array([7, 7, 6], np.uint64)
    assert near_duplicates(hashes, thumbnails, Duplicates()).tolist() == [[0, 2]]
    assert len(near_duplicates(hashes, thumbnails, Duplicates(difference=255))) == 3
    assert len(near_duplicates(hashes, thumbnails, Duplicates(radius=0))) == 0


def test_clusters_are_connected_components():
    clusters = clusters_of(6, np.array([[0, 2], [2, 5], [3, 4]]))
    assert clusters.tolist() == [0, 1, 0, 2, 2, 0]
    assert clusters_of(3, np.empty((0, 2), np.int64)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("side", [8, 16, 32, 100])
def test_thumbnails_average_areas(side):
    pixels = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    thumbnails = thumbnails_of(pixels, np.array([2, 0]))
    for thumbnail, row in zip(thumbnails, (2, 0), strict=True):
        enlarged = pixels[row].repeat(16, axis=0).repeat(16, axis=1)  # then every thumbnail pixel is side x side
        expected = enlarged.reshape(16, side, 16, side, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(thumbnail, expected, atol=0.501)


def pictures(*rows: tuple[str, str, str], published: tuple[str, ...] | str = "") -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id", "category", "pixels_sha256"]).assign(published=published)


def test_exact_duplicates_keep_the_first():
    reasons = exact_duplicates(pictures(("a", "apple", "x"), ("b", "apple", "y"), ("c", "apple", "x")))
    assert reasons.to_dict() == {"c": "exact duplicate: of a"}


def test_exact_duplicates_keep_the_first_of_every_published_split():
    published = ("train", "test", "train", "test", "")
    reasons = exact_duplicates(pictures(*[(id, "apple", "x") for id in "abcde"], published=published))
    assert reasons.to_dict() == {"c": "exact duplicate: of a", "d": "exact duplicate: of b"}


def test_one_picture_in_two_categories_is_excluded_everywhere():
    reasons = exact_duplicates(
        pictures(("a", "apple", "x"), ("b", "pear", "x"), ("c", "apple", "x"), ("d", "fig", "y"))
    )
    reason = "same picture in different categories: apple (a), pear (b), apple (c)"
    assert reasons.to_dict() == dict.fromkeys("abc", reason)


def test_no_duplicates():
    assert exact_duplicates(pictures(("a", "apple", "x"), ("b", "apple", "y"))).empty


@pytest.mark.parametrize("values", [{"radius": -1}, {"radius": 12}, {"difference": -1}, {"difference": 256}])
def test_bad_parameters_are_refused_with_their_values(values):
    ((name, value),) = values.items()
    with pytest.raises(ValueError, match=re.escape(f"{name} is {value!r} ") + ".*, but must be "):
        Duplicates(**values)


@pytest.mark.slow
def test_fruits_of_the_turntable(shared_data, tmp_path):
    """On real images: many near-duplicates, none across categories, and no cluster that chains half a category."""
    from mixvision.images.decoding import Decoding
    from mixvision.images.sources import open_source
    from mixvision.images.store import PendingImages, read_store, write_store

    raw = open_source(str(shared_data("fruits.tar")), "nice", tmp_path / "data" / "raw" / "nice")
    write_store(PendingImages(raw, Decoding(size=100)), tmp_path / "store")
    store = read_store(tmp_path / "store")
    thumbnails = thumbnails_of(store.pixels, store.inventory["pixel_row"].to_numpy())
    pairs = near_duplicates(store.inventory["phash"].to_numpy(), thumbnails, Duplicates())
    categories = store.inventory["category"].to_numpy()
    assert 3500 < len(pairs) < 4200
    assert (categories[pairs[:, 0]] == categories[pairs[:, 1]]).all()
    assert np.bincount(clusters_of(len(categories), pairs)).max() < 60
