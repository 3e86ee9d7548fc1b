"""The catalog's published numbers: read and checked, and refused with the file's name."""

from __future__ import annotations

import re

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


@pytest.mark.parametrize(
    ("text", "fault"), [(None, "No such file"), ("tuning: {source: a paper, rate: 0.004}", "rate")]
)
def test_an_unusable_file_is_refused_by_name_when_it_is_checked(tmp_path, text, fault):
    file = tmp_path / "published.yml"
    if text is not None:
        file.write_text(text)
    dataset = PublishedDataset(filepath=str(file))
    for read in (dataset.check, dataset.load):
        with pytest.raises(DatasetError) as refusal:
            read()
        assert str(file) in str(refusal.value) and fault in str(refusal.value)
    with pytest.raises(DatasetError, match=re.escape(f"published numbers in {file} are read-only")):
        dataset.save(Published())
