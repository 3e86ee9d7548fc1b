"""The catalog's published numbers: read and checked, and refused in one sentence."""

from __future__ import annotations

import pytest
from kedro.io import DataCatalog, DatasetError

from mixvision.datasets.published import PublishedDataset
from mixvision.reporting.published import Published, PublishedTuning


def test_a_file_is_loaded_as_the_sections_that_it_has(tmp_path):
    file = tmp_path / "published.yml"
    file.write_text("tuning: {source: a paper, learning_rate: 0.004, l2: 0.5}")
    entry = {"type": "mixvision.datasets.published.PublishedDataset", "filepath": str(file)}
    catalog = DataCatalog.from_config({"published": entry})
    assert catalog.exists("published")
    assert catalog.load("published") == Published(tuning=PublishedTuning("a paper", learning_rate=0.004, l2=0.5))


@pytest.mark.parametrize("text", [None, "tuning: {source: a paper, rate: 0.004}"])
def test_what_cannot_be_used_is_refused_when_it_is_checked(tmp_path, text):
    file = tmp_path / "published.yml"
    if text is not None:
        file.write_text(text)
    dataset = PublishedDataset(filepath=str(file))
    for read in (dataset.check, dataset.load):
        with pytest.raises(DatasetError, match=r"published\.yml"):
            read()
    with pytest.raises(DatasetError, match="only read"):
        dataset.save(Published())
