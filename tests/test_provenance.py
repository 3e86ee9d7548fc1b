"""Results of other parameters are never passed off as new."""

from __future__ import annotations

from pathlib import Path

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node

from mixvision.provenance import Provenance
from mixvision.training.config import Training


def train(training: Training) -> int:
    return training.iterations


PIPELINE = Pipeline([node(train, "params:training", "models", name="train")])


@pytest.fixture
def hook(tmp_path) -> Provenance:
    hook = Provenance()
    hook.folder = tmp_path / "digits"
    return hook


def warned(hook: Provenance, training: Training, caplog) -> str:
    caplog.clear()
    hook.after_pipeline_run(PIPELINE, DataCatalog({"params:training": MemoryDataset(training)}))
    return caplog.text


def test_a_step_that_was_left_out_is_named_with_what_would_differ(hook, caplog):
    assert not warned(hook, Training(iterations=20), caplog), "nothing is known of an earlier version's results"
    hook.after_node_run(PIPELINE.nodes[0], {"params:training": Training(iterations=200), "manifest": object()})
    assert not warned(hook, Training(iterations=200), caplog)
    text = warned(hook, Training(iterations=20), caplog)
    assert "of other parameters: train ran with training.iterations = 200, which is now 20." in text
    hook.after_node_run(PIPELINE.nodes[0], {"params:training": Training(iterations=20)})
    assert not warned(hook, Training(iterations=20), caplog)


def test_a_damaged_record_is_made_anew(hook, caplog):
    hook.folder.mkdir()
    (hook.folder / "train.json").write_text("{")
    assert not warned(hook, Training(), caplog)
    hook.after_node_run(PIPELINE.nodes[0], {"params:training": Training(iterations=200)})
    assert "train ran with" in warned(hook, Training(iterations=20), caplog)


def test_nothing_is_written_where_no_project_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Provenance().after_node_run(PIPELINE.nodes[0], {})
    assert not list(Path().iterdir())
