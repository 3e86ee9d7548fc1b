"""Tables of names are loaded as they were saved, whatever the names; and the catalog declares every dataset."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DataCatalog
from kedro_datasets.pandas import CSVDataset, ParquetDataset

from mixvision.configuration import ConfigLoader
from mixvision.datasets.tables import TableDataset
from mixvision.pipeline_registry import register_pipelines
from mixvision.schema.catalog import TABLES
from mixvision.schema.columns import TEXT
from mixvision.settings import CONFIG_LOADER_ARGS

pytestmark = pytest.mark.slow

CONF = Path(__file__).parents[2] / "conf"
TRIALS = ["NA", "007", "linear"]
NAMES = {
    "transfer.trials": {"trial": TRIALS, "fine_tuning": ["NA", "007", ""], "learning_rate": [0.1, 0.2, None]},
    "transfer.outcomes": {"trial": TRIALS, "status": "finished", "reason": ["", "NA", "diverged"], "epochs": [1, 2, 3]},
    "transfer.members": {"trial": TRIALS, "members": ["NA", "007", "NA + 007"], "views": [2, 1, 1]},
    "transfer.table": {"trial": TRIALS, "head": ["NA", "007", ""], "members": "", "status": "failed"},
    "mixing.mistakes": {"id": TRIALS, "category": ["NA", "007", ""], "prediction": "001", "domain": "real"},
    "iterative.interpolations": {"trial": TRIALS, "prediction_1": ["NA", "007", ""], "prediction_2": "NA"},
    "split_audit": {"domain": "real", "category": ["NA", "007", ""]},
}


@pytest.fixture(scope="module")
def settings() -> dict:
    """The catalog of the sample study as it is configured."""
    return ConfigLoader(str(CONF), **CONFIG_LOADER_ARGS)["catalog"]


@pytest.fixture
def catalog(settings, tmp_path, monkeypatch) -> DataCatalog:
    """The same, its files in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return DataCatalog.from_config(settings)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [slice(None), slice(1), slice(1, 2), slice(0)])
def test_names_stay_text(catalog, name, rows):
    """Also if "NA" or "007" is alone in its column, and in a table without rows."""
    table = TABLES[catalog.get(name).schema]
    others = {column.name: "" if column.kind == TEXT else 0 for column in table.columns if not column.optional}
    own = {column: NAMES[name][column] for column in NAMES[name]}
    frame = pd.DataFrame({**others, **own}, index=range(3))
    flags = [column.name for column in table.columns if column.kind == "True or False" and column.name in frame]
    frame = frame.astype(dict.fromkeys(flags, "bool"))[rows]
    catalog.save(name, frame)
    pd.testing.assert_frame_equal(catalog.load(name), frame.reset_index(drop=True), check_dtype=False)


def test_the_main_tables_of_every_pipeline_are_checked(catalog):
    """And every dataset of every pipeline can be made from the catalog."""
    ends = (
        "manifest",
        "trials",
        "training_sets",
        "history",
        "predictions",
        "outcomes",
        "metrics",
        "scores",
        "arrivals",
    )
    names = {name for pipeline in register_pipelines().values() for name in pipeline.datasets()}
    datasets = {name: catalog.get(name) for name in sorted(names) if not name.startswith("params:")}
    assert None not in datasets.values()
    carrying = {name for name in datasets if name.endswith(ends)}
    assert len(carrying) > 25 and all(isinstance(datasets[name], TableDataset) for name in carrying)
    declared = {dataset.schema for dataset in datasets.values() if isinstance(dataset, TableDataset)}
    assert declared == set(TABLES) - {"probabilities"}  # the schema of every file in a folder


def test_the_catalog_repeats_no_columns(settings):
    plain = [entry for entry in settings.values() if entry["type"].startswith("pandas.")]
    assert {CSVDataset.__name__, ParquetDataset.__name__} >= {entry["type"].partition(".")[2] for entry in plain}
    naming = {"columns", "names", "usecols", "dtype"}
    assert not any(naming & entry.get("load_args", {}).keys() for entry in settings.values())
