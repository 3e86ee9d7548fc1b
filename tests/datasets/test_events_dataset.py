"""A catalog has a single relay of training events."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.io import DataCatalog, DatasetError

from mixvision.configuration import ConfigLoader
from mixvision.settings import CONFIG_LOADER_ARGS
from mixvision.training.events import TrainingListener

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def catalog() -> DataCatalog:
    entry = ConfigLoader(str(CONF), **CONFIG_LOADER_ARGS)["catalog"]["training_events"]
    return DataCatalog.from_config({"training_events": entry})


def test_every_load_gives_the_same_relay(catalog):
    catalog.load("training_events").listen(listener := TrainingListener())
    assert catalog.get("training_events").load().listeners == [listener]


def test_it_cannot_be_saved(catalog):
    with pytest.raises(DatasetError, match="^training_events: Training events cannot be saved"):
        catalog.save("training_events", 1)
