"""The hooks treat each dataset by its role in the catalog."""

from __future__ import annotations

import math
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pytest
from kedro.config import OmegaConfigLoader
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from mixvision.hooks import SourceCheck, TrialRuns, file_of, role
from mixvision.pipeline_registry import register_pipelines
from mixvision.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[1] / "conf"
STUDIES = ("mixing", "leakage", "iterative", "baselines", "transfer")
ROLES = {
    "final_metrics": {
        *(f"{study}.metrics" for study in STUDIES),
        *("tuning.grid_scores", "tuning.adaptive_scores", "streams.arrivals"),
    },
    "models": {f"{study}.models" for study in STUDIES},
    "checkpoints": {f"{study}.checkpoints" for study in (*STUDIES, "tuning", "streams")},
    "page": {f"{study}.page" for study in (*STUDIES, "ingestion", "tuning", "streams", "conclusions")},
}


@pytest.fixture
def catalog(tmp_path, monkeypatch) -> DataCatalog:
    """The catalog of the sample study."""
    monkeypatch.chdir(tmp_path)
    return DataCatalog.from_config(OmegaConfigLoader(str(CONF), **CONFIG_LOADER_ARGS)["catalog"])


@pytest.fixture
def runs(catalog) -> TrialRuns:
    """The hook in a run that has opened child runs for two trials."""
    hook = TrialRuns()
    hook.catalog = catalog
    hook.client, hook.parent, hook.runs = Mock(), "run of both", {"a": "run of a", "run-002": "run of run-002"}
    return hook


def logged(runs: TrialRuns) -> dict[str, dict[str, float]]:
    """By child run, all metrics that were logged."""
    found = {}
    for call in runs.client.log_batch.call_args_list:
        found.setdefault(call.args[0], {}).update({metric.key: metric.value for metric in call.kwargs["metrics"]})
    return found


def test_the_catalog_declares_the_roles(catalog):
    names = {name for pipeline in register_pipelines().values() for name in pipeline.datasets()}
    names = {name for name in names if not name.startswith("params:")}
    for wanted, having in ROLES.items():
        assert {name for name in names if role(catalog.get(name)) == wanted} == having
    assert role(catalog.get("mixing.summary")) == "summary"
    assert role(MemoryDataset()) is None and role(None) is None


@pytest.mark.parametrize("name", ["mixing.page", "transfer.table", "tuning.rates_figure", "mixing.nice_confusion"])
def test_file_of_is_the_catalogs_path(catalog, name):
    file = file_of(name, catalog)
    assert file.parts[:2] == ("data", "08_reporting") and file.stem in name


def test_the_schemas_metrics_on_test_images_are_logged(runs):
    rows = [("a", "last", "test", 0.5), ("a", "last", "validation", 0.6), ("other", "last", "test", 0.7)]
    metrics = pd.DataFrame(rows, columns=["trial", "snapshot", "split", "top1"])
    runs.after_dataset_saved(
        "baselines.metrics", metrics.assign(images=3, top3=1.0, nice_top1=math.nan, real_top1=0.25)
    )
    assert logged(runs) == {"run of a": {"last.top1": 0.5, "last.top3": 1.0, "last.real_top1": 0.25}}


def test_tuning_logs_scores_but_not_settings(runs):
    scores = pd.DataFrame({"trial": ["a"], "learning_rate": 0.1, "l2": 0.2, "performance_top1": 0.75})
    runs.after_dataset_saved("tuning.grid_scores", scores)
    assert logged(runs) == {"run of a": {"best_validation.validation_performance_top1": 0.75}}
    runs.client.log_batch.reset_mock()
    runs.after_dataset_saved("tuning.adaptive_scores", scores.assign(performance_top1=math.nan))
    assert logged(runs) == {}  # it diverged


def test_metrics_of_an_arrival_are_logged_to_its_own_run(runs):
    arrivals = pd.DataFrame(
        {"run": [1, 2], "nice_measured": [0, 4], "nice_top1": [None, 0.5], "real_top1": [None, 1.0]}
    )
    runs.after_dataset_saved("streams.arrivals", arrivals)
    assert logged(runs) == {"run of run-002": {"prequential.nice_top1": 0.5, "prequential.real_top1": 1.0}}


def test_other_tables_are_not_logged(runs):
    runs.after_dataset_saved("mixing.metric_table", pd.DataFrame({"performance_top1": [0.5]}))
    assert logged(runs) == {}


def test_passwords_in_the_commands_addresses_are_hidden_before_they_are_recorded():
    given = {"nice": "https://me:secret@example.org/a.tar?token=hidden", "ingestion": {"splits": {"seed": 3}}}
    recorded = {"runtime_params": given, "env": "base"}
    SourceCheck().before_pipeline_run(recorded, Pipeline([]), DataCatalog())
    assert recorded == {
        "runtime_params": {"nice": "https://example.org/a.tar?...", "ingestion": {"splits": {"seed": 3}}},
        "env": "base",
    }
    assert given["nice"].startswith("https://me:secret@"), "the run itself needs them"
