from __future__ import annotations

import numpy as np
import pytest
from kedro.io import DatasetError
from PIL import Image

from mixvision.datasets.images import ImageSourceDataset, ImageStoreDataset
from mixvision.images.decoding import Decoding
from mixvision.images.store import PendingImages


@pytest.fixture
def shots(tmp_path):
    for number, category in enumerate(("apple", "pear")):
        (tmp_path / "shots" / category).mkdir(parents=True)
        Image.new("RGB", (20, 20), (number * 100, 50, 0)).save(tmp_path / "shots" / category / "a.png")
    return tmp_path / "shots"


def test_source_then_store(shots, tmp_path):
    source = ImageSourceDataset(domain="real", source=str(shots), filepath=str(tmp_path / "data" / "raw" / "real"))
    raw = source.load()
    assert raw.files == (("apple", "apple/a.png"), ("pear", "pear/a.png"))
    store = ImageStoreDataset(filepath=str(tmp_path / "store"))
    assert not store.exists()
    store.save(PendingImages(raw, Decoding(size=16)))
    assert store.exists()
    np.testing.assert_array_equal(store.load().pixels[:, 0, 0], [(0, 50, 0), (100, 50, 0)])


def test_a_missing_source_is_told_in_one_sentence(tmp_path):
    source = ImageSourceDataset(domain="nice", source=str(tmp_path / "absent"), filepath=str(tmp_path / "a" / "b"))
    with pytest.raises(DatasetError, match=r"^The source of 'nice' images.*does not exist"):
        source.load()
    with pytest.raises(DatasetError, match="only read"):
        source.save(1)


def test_an_empty_store_cannot_be_loaded(tmp_path):
    with pytest.raises(DatasetError, match="run the ingestion pipeline first"):
        ImageStoreDataset(filepath=str(tmp_path)).load()
