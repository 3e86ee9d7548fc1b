from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from damage import flip

from mixvision.images import pairs as pairs_module
from mixvision.images.duplicates import Duplicates
from mixvision.images.pairs import describe_search, equal_squares, expected_minutes, find_pairs
from mixvision.images.store import ImageStore

SIDE = 64


@pytest.fixture
def kept_and_stores() -> tuple[pd.DataFrame, ImageStore, ImageStore]:
    """Four smooth random pictures; the fourth, a real one, is the first one with 4% cut off every side."""
    generator = np.random.default_rng(0)
    waves = [np.kron(generator.integers(0, 255, (8, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8) for _ in range(3)]
    waves = [(picture // 2 + np.roll(picture, 5, axis=(0, 1)) // 2) for picture in waves]
    nice = np.stack([picture[::2, ::2] for picture in waves])
    real = np.stack([waves[0][np.linspace(5, 122, SIDE).astype(int)][:, np.linspace(5, 122, SIDE).astype(int)]])
    kept = pd.DataFrame(
        {
            "domain": ["nice"] * 3 + ["real"],
            "pixel_row": [0, 1, 2, 0],
            "pixels_sha256": list("abcd"),
            "square_sha256": list("abcd"),
            "phash": np.array([1, 2**40 - 1, 2**62 - 1, 5**25], np.uint64),
        }
    )
    kept["width"] = kept["height"] = SIDE
    return kept, *(ImageStore(kept, pixels, {}, pixels[:, ::4, ::4]) for pixels in (nice, real))


def test_pairs_are_found_across_both_stores(kept_and_stores):
    assert find_pairs(*kept_and_stores, Duplicates()).tolist() == [[0, 3]]
    assert find_pairs(*kept_and_stores, Duplicates(altered_copies=False)).tolist() == []


def test_pairs_are_kept_until_an_image_or_a_setting_changes(kept_and_stores, tmp_path, monkeypatch):
    kept, nice, real = kept_and_stores
    searches = []
    find = pairs_module.altered_copies
    monkeypatch.setattr(pairs_module, "altered_copies", lambda *args: searches.append(1) or find(*args))
    for _ in range(2):
        assert find_pairs(kept, nice, real, Duplicates(), tmp_path).tolist() == [[0, 3]]
    assert len(searches) == 1
    [only] = tmp_path.iterdir()
    flip(only)
    assert find_pairs(kept, nice, real, Duplicates(), tmp_path).tolist() == [[0, 3]]
    assert len(searches) == 2
    find_pairs(kept, nice, real, Duplicates(radius=7), tmp_path)
    find_pairs(kept.assign(pixels_sha256=list("abce")), nice, real, Duplicates(), tmp_path)
    assert len(searches) == 4 and len(list(tmp_path.iterdir())) == 1


def test_an_interrupted_search_goes_on(kept_and_stores, tmp_path, monkeypatch):
    def interrupt(grey, folder):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pairs_module, "altered_copies", interrupt)
        find_pairs(*kept_and_stores, Duplicates(), tmp_path)
    assert find_pairs(*kept_and_stores, Duplicates(), tmp_path).tolist() == [[0, 3]]


def test_a_long_search_says_how_long_and_what_a_short_one_misses(kept_and_stores, monkeypatch, caplog):
    with caplog.at_level(logging.WARNING):
        find_pairs(*kept_and_stores, Duplicates())
        assert not caplog.messages
        monkeypatch.setattr(pairs_module, "LONG", 0)
        find_pairs(*kept_and_stores, Duplicates())
    assert "among 4 images takes about 0 minutes" in caplog.text and "altered_copies: false" in caplog.text


def test_equal_squares_are_pairs_although_the_whole_pictures_differ(kept_and_stores):
    kept, nice, real = kept_and_stores
    kept = kept.assign(square_sha256=list("abba"))
    assert find_pairs(kept, nice, real, Duplicates(altered_copies=False)).tolist() == [[0, 3], [1, 2]]
    assert equal_squares(pd.Series(list("xyxxy"))).tolist() == [[0, 2], [1, 4], [2, 3]]
    assert equal_squares(pd.Series(list("xyz"))).shape == (0, 2)


def test_squashed_pictures_are_pairs_by_their_whole_thumbnails(kept_and_stores):
    """The hashes are equal and the squares differ; only the shapes say which thumbnails count."""
    kept, nice, real = kept_and_stores
    real = replace(real, thumbnails=nice.thumbnails[1:2])
    kept = kept.assign(phash=np.array([1, 7, 2**62 - 1, 7], np.uint64))
    only_hash = Duplicates(altered_copies=False)
    assert find_pairs(kept, nice, real, only_hash).tolist() == []
    for width, expected in ((96, [[1, 3]]), (65, [])):
        kept["width"] = [SIDE, width, SIDE, SIDE]
        assert find_pairs(kept, nice, real, only_hash).tolist() == expected


def test_the_search_is_described():
    assert describe_search(Duplicates(), 48) == "by hash and alignment"
    assert describe_search(Duplicates(), 47).startswith("by hash only, as images of 47 pixels show too little")
    assert describe_search(Duplicates(altered_copies=False), 48).startswith("by hash only, as altered_copies is false")


def test_twice_the_images_take_more_than_twice_as_long():
    assert 2 * expected_minutes(100_000, 2) < expected_minutes(200_000, 2) == 2 * expected_minutes(200_000, 4)
