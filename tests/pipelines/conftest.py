"""Runs the project's own pipelines in process, on data in a temporary project."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pytest
import yaml
from kedro.framework.hooks import hook_impl
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from PIL import Image
from sklearn.datasets import load_digits

from mixvision.images.samples import read_mnist
from mixvision.training.events import TrainingListener

PROJECT = Path(__file__).parents[2]


class Listening:
    """Lets a listener follow a run's trials."""

    def __init__(self, listener: TrainingListener) -> None:
        self.listener = listener

    @hook_impl
    def after_catalog_created(self, catalog) -> None:
        catalog.get("training_events").load().listen(self.listener)


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory) -> dict:
    """Global settings of a small study: 40 images of each of ten digits per domain, and altered copies of four of them.

    The whole sample has eight times as many: decoding and measuring them takes most of a short run.
    """
    folder = tmp_path_factory.mktemp("few digits")
    real = load_digits()
    domains = {"nice": read_mnist(), "real": (real.images * 255 / 16, real.target)}
    for domain, (images, labels) in domains.items():
        for digit in range(10):
            own = folder / domain / str(digit)
            own.mkdir(parents=True)
            for number, row in enumerate(np.flatnonzero(labels == digit)[:40]):
                picture = Image.fromarray(images[row].astype(np.uint8))
                picture.save(own / f"{number:02d}.png")
                if number < 4:
                    picture.point(lambda grey: grey * 0.99).save(own / f"{number:02d} darker.png")
    return {"image_size": 16, **{domain: {"source": str(folder / domain)} for domain in domains}}


@pytest.fixture
def project(tmp_path, monkeypatch, empty_tracking) -> Path:
    """A copy of the project's configuration in a folder of its own, so that a run leaves nothing behind."""
    shutil.copytree(PROJECT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    (tmp_path / "src").mkdir()  # the package itself is installed
    (tmp_path / "conf" / "local").mkdir()
    tracking = {"server": {"mlflow_tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}}  # MLflow caches relative ones
    (tmp_path / "conf" / "local" / "mlflow.yml").write_text(yaml.safe_dump(tracking))
    shutil.copy(empty_tracking, tmp_path)
    (tmp_path / ".telemetry").write_text("consent: false\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_pipeline(project) -> Callable[..., Path]:
    """Run a pipeline by name with parameters for conf/local: ``run_pipeline("mixing", {...})``.

    Or in a study's environment as it is: ``run_pipeline("baselines", env="berries")``. A listener follows the trials.
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
