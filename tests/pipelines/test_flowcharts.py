"""What kedro-viz computes from the pipelines: layers from top to bottom, boxes in boxes, and what it says of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro_viz.data_access.managers import DataAccessManager

from mixvision.configuration import ConfigLoader
from mixvision.pipeline_registry import CHAINS, register_pipelines
from mixvision.settings import CONFIG_LOADER_ARGS

pytestmark = pytest.mark.slow

CONF = Path(__file__).parents[2] / "conf"
LAYERS = ["raw", "intermediate", "primary", "tuning", "model_input", "model_output", "reporting"]
NAMES = [*CHAINS, "conclusions", "tuned_mixing", "as_is", "streams", "__default__"]


@pytest.fixture(scope="module")
def pipelines() -> dict:
    return register_pipelines()


@pytest.fixture(scope="module")
def catalog(pipelines) -> DataCatalog:
    catalog = DataCatalog.from_config(ConfigLoader(str(CONF), **CONFIG_LOADER_ARGS)["catalog"])
    names = {name for pipeline in pipelines.values() for name in pipeline.inputs() if name.startswith("params:")}
    for name in names:
        catalog[name] = MemoryDataset()  # as Kedro does; otherwise the catalog's patterns would take them for tables
    return catalog


@pytest.fixture(scope="module")
def viz(pipelines, catalog) -> DataAccessManager:
    """What kedro-viz knows after reading the project."""
    manager = DataAccessManager()
    manager.add_catalog(catalog, pipelines)
    manager.add_pipelines(pipelines)
    for name in pipelines:
        manager.create_modular_pipelines_tree_for_registered_pipeline(name)
    return manager


def test_every_pipeline_is_looked_at(pipelines):
    assert set(NAMES) == set(pipelines)


@pytest.mark.parametrize("name", NAMES)
def test_layers_have_no_cycle_and_follow_the_flow(viz, pipelines, name):
    """Also for boxes, whose inputs must not lie below their outputs. A cycle gives no layers."""
    used = {viz.catalog.get_layer_for_dataset(dataset) for dataset in pipelines[name].datasets()}
    ordered = [layer for layer in viz.get_sorted_layers_for_registered_pipeline(name) if layer in used]
    assert ordered == [layer for layer in LAYERS if layer in used] and ordered[-1] == "reporting"


@pytest.mark.parametrize("name", NAMES)
def test_what_nodes_return_has_a_layer(viz, pipelines, name):
    assert all(viz.catalog.get_layer_for_dataset(dataset) for dataset in pipelines[name].all_outputs())


@pytest.mark.parametrize("name", NAMES)
def test_every_dataset_is_described_and_can_be_previewed(pipelines, catalog, name):
    for dataset in (dataset for dataset in pipelines[name].datasets() if not dataset.startswith("params:")):
        found = catalog.get(dataset)
        assert re.fullmatch(r"[A-Z][^{}]+\.", found.metadata["description"]) and hasattr(found, "preview")


@pytest.mark.parametrize("name", NAMES)
def test_every_node_but_the_ingestions_page_belongs_to_one_slice_and_says_what_it_does_to_what(pipelines, name):
    for node in pipelines[name].nodes:
        stages = node.tags & {"ingest", "train", "report"}
        assert stages == {"ingest", "report"} if node.name == "ingestion.write_page" else len(stages) == 1
        assert "_" in node.short_name, "a verb and its object"


@pytest.mark.parametrize("name", NAMES)
def test_no_box_holds_more_than_fits_on_a_screen(viz, name):
    tree = viz.create_modular_pipelines_tree_for_registered_pipeline(name)
    for box in tree.values():
        nodes = [child for child in box.children if child.type.value in ("task", "modularPipeline")]
        assert 1 <= len(nodes) <= 9
