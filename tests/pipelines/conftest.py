"""Runs the project's own pipelines in process, on data in a temporary project."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import pytest
import yaml
from kedro.framework.hooks import hook_impl
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from mixvision.training.events import TrainingListener

PROJECT = Path(__file__).parents[2]


class Listening:
    """Makes a listener hear of a run's trials."""

    def __init__(self, listener: TrainingListener) -> None:
        self.listener = listener

    @hook_impl
    def after_catalog_created(self, catalog) -> None:
        catalog.get("training_events").load().listen(self.listener)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A copy of the project's configuration in a folder of its own, so that a run leaves nothing behind."""
    shutil.copytree(PROJECT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    (tmp_path / "src").mkdir()  # the package itself is installed
    (tmp_path / "conf" / "local").mkdir()
    tracking = {"server": {"mlflow_tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}}  # MLflow caches relative ones
    (tmp_path / "conf" / "local" / "mlflow.yml").write_text(yaml.safe_dump(tracking))
    (tmp_path / ".telemetry").write_text("consent: false\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_pipeline(project) -> Callable[..., Path]:
    """Run a pipeline by name with parameters for conf/local: ``run_pipeline("mixing", {...})``.

    Or in a study's environment as it is: ``run_pipeline("baselines", env="berries")``. A listener hears of the trials.
    """

    def run(
        name: str,
        parameters: dict | None = None,
        global_settings: dict | None = None,
        env: str | None = None,
        listener: TrainingListener | None = None,
        **options,
    ) -> Path:
        local = project / "conf" / "local"
        if env:
            shutil.copy(local / "mlflow.yml", project / "conf" / env)
        else:
            (local / "parameters.yml").write_text(yaml.safe_dump(parameters or {}))
            (local / "globals.yml").write_text(yaml.safe_dump(global_settings or {}))
        bootstrap_project(project)
        try:
            with KedroSession.create(project_path=project, env=env) as session:
                if listener:
                    session._hook_manager.register(Listening(listener))
                session.run(pipeline_names=[name], **options)
        finally:
            while mlflow.active_run():  # a command ends with its process; several runs in one process share a stack
                mlflow.end_run()
        return project

    return run
