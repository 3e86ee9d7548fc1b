"""A dataset that an environment misspells is refused; one of the user's own, or of another pipeline, is not."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from mixvision.catalog_names import CatalogNames
from mixvision.configuration import ConfigLoader
from mixvision.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[1] / "conf"
TABLE = "{type: pandas.CSVDataset, filepath: data/x.csv}"


@pytest.fixture
def start(tmp_path):
    """A function that starts a run of ingestion in an environment whose catalog has these datasets."""
    shutil.copytree(CONF / "base", tmp_path / "conf/base")
    (tmp_path / "conf/mine").mkdir()

    def start(*names: str) -> None:
        entries = "".join(f'"{name}": {TABLE}\n' for name in names)
        (tmp_path / "conf/mine/catalog_of_mine.yml").write_text(entries)
        hook = CatalogNames()
        loader = ConfigLoader(str(tmp_path / "conf"), env="mine", **CONFIG_LOADER_ARGS)
        hook.after_context_created(SimpleNamespace(config_loader=loader))
        hook.before_pipeline_run({"pipeline_names": ["ingestion"]})

    return start


@pytest.mark.parametrize(("name", "meant"), [("manifst", "manifest"), ("exclude_files", "excluded_files")])
def test_a_misspelt_dataset_is_refused_with_the_name_that_is_meant(start, name, meant):
    message = rf"^conf/mine/catalog_of_mine\.yml declares the dataset {name}, which .*: did you mean {meant}\? Correct"
    with pytest.raises(ValueError, match=message):
        start("split_audit", name)


def test_other_datasets_are_taken(start):
    """One that is overridden, one of another pipeline, a pattern, Kedro's hidden ones and one of the user's own."""
    start("manifest", "leakage.plain_manifest", "{pipeline}.manifst", "_manifst", "weather")


def test_a_dataset_of_another_pipeline_may_be_like_one_of_this(start, monkeypatch):
    """Only then are the other pipelines built."""
    other = SimpleNamespace(datasets=lambda: {"manifests"})
    own = SimpleNamespace(datasets=lambda: {"manifest", "params:manifests"})
    monkeypatch.setattr("mixvision.pipeline_registry.register_pipelines", lambda: {"ingestion": own, "other": other})
    start("manifests")
    with pytest.raises(ValueError, match="did you mean manifest"):
        start("manifestz")
