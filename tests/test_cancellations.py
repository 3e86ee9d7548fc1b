"""A file with a model's name cancels it; it is removed when a run has ended well."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from mixvision.cancellations import Cancellations
from mixvision.training.events import TrainingEvents


@pytest.fixture
def events() -> TrainingEvents:
    return TrainingEvents()


@pytest.fixture
def hook(tmp_path, events) -> Cancellations:
    hook = Cancellations()
    loader = {"globals": {"study": "weeds"}}
    hook.after_context_created(SimpleNamespace(config_loader=loader, project_path=tmp_path))
    hook.before_pipeline_run(SimpleNamespace(load=lambda _: events))
    return hook


def test_files_name_the_trials_to_cancel(hook, events, tmp_path):
    assert events.to_cancel() == frozenset()
    folder = tmp_path / ".cancel" / "weeds"
    folder.mkdir(parents=True)
    (folder / "ratio-050-seed-0").touch()
    assert events.to_cancel() == {"ratio-050-seed-0"}
    hook.on_pipeline_error()
    assert not events.listeners and folder.exists()  # the next run goes on, and cancels it, too


def test_a_run_that_ended_well_leaves_nothing_to_cancel(hook, events, tmp_path):
    (tmp_path / ".cancel" / "weeds").mkdir(parents=True)
    hook.after_pipeline_run()
    assert not events.listeners and not (tmp_path / ".cancel" / "weeds").exists()


@pytest.mark.parametrize(("name", "warnings"), [("ratio-050", 1), ("ratio-050-seed-0", 0)])
def test_a_file_with_the_name_of_no_model_is_warned_of(hook, events, tmp_path, caplog, name, warnings):
    folder = tmp_path / ".cancel" / "weeds"
    folder.mkdir(parents=True)
    (folder / name).touch()
    events.started(pd.DataFrame({"trial": ["ratio-050-seed-0"]}))
    caplog.clear()
    hook.after_pipeline_run()
    assert [f"No model was called {name}" in record.message for record in caplog.records] == [True] * warnings
