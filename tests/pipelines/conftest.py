"""Runs the project's own pipelines in process, on data in a temporary project."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import mlflow
import numpy as np
import pytest
import yaml
from kedro.framework.hooks import hook_impl
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
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


@pytest.fixture(scope="session", autouse=True)
def configured() -> None:
    """Kedro's settings, the same for all projects of the tests: deep in pytest, reading them takes half a second."""
    configure_project("mixvision")


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory) -> dict:
    """Global settings of a small study: 20 images of each of ten digits per domain, and altered copies of four of them.

    The whole sample has many times as many: decoding and measuring them takes most of a short run.
    """
    folder = tmp_path_factory.mktemp("few digits")
    real = load_digits()
    domains = {"nice": read_mnist(), "real": (real.images * 255 / 16, real.target)}
    for domain, (images, labels) in domains.items():
        for digit in range(10):
            own = folder / domain / str(digit)
            own.mkdir(parents=True)
            for number, row in enumerate(np.flatnonzero(labels == digit)[:20]):
                picture = Image.fromarray(images[row].astype(np.uint8))
                picture.save(own / f"{number:02d}.png")
                if number < 4:
                    picture.point(lambda grey: grey * 0.99).save(own / f"{number:02d} darker.png")
    return {"image_size": 16, **{domain: {"source": str(folder / domain)} for domain in domains}}


def make_project(folder: Path, empty_tracking: Path) -> Path:
    """Copy the project's configuration to a folder, so that a run leaves nothing behind."""
    shutil.copytree(PROJECT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    shutil.copy(PROJECT / "pyproject.toml", folder)
    (folder / "src").mkdir()  # the package itself is installed
    (folder / "conf" / "local").mkdir()
    tracking = {"server": {"mlflow_tracking_uri": f"sqlite:///{folder}/mlflow.db"}}  # MLflow caches relative ones
    (folder / "conf" / "local" / "mlflow.yml").write_text(yaml.safe_dump(tracking))
    shutil.copy(empty_tracking, folder)
    (folder / ".telemetry").write_text("consent: false\n")
    return folder


def run_in(
    project: Path,
    name: str,
    parameters: dict | None = None,
    global_settings: dict | None = None,
    env: str | None = None,
    listener: TrainingListener | None = None,
    hook: object | None = None,
    **options,
) -> Path:
    """Run a pipeline with parameters for conf/local, or in a study's environment as it is."""
    local = project / "conf" / "local"
    if env:
        shutil.copy(local / "mlflow.yml", project / "conf" / env)
    else:
        (local / "parameters.yml").write_text(yaml.safe_dump(parameters or {}))
        (local / "globals.yml").write_text(yaml.safe_dump(global_settings or {}))
    try:
        with KedroSession.create(project_path=project, env=env) as session:
            for own in (listener and Listening(listener), hook):
                if own:
                    session._hook_manager.register(own)
            session.run(pipeline_names=[name], **options)
    finally:
        while mlflow.active_run():  # a command ends with its process; several runs in one process share a stack
            mlflow.end_run()
    return project


@pytest.fixture
def project(tmp_path, monkeypatch, empty_tracking) -> Path:
    """A project of the test's own, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return make_project(tmp_path, empty_tracking)


@pytest.fixture
def run_pipeline(project) -> Callable[..., Path]:
    """Run a pipeline by name: ``run_pipeline("mixing", {...})`` or ``run_pipeline("baselines", env="berries")``.

    A listener follows the trials.
    """
    return partial(run_in, project)


@pytest.fixture(scope="session")
def run_apart(tmp_path_factory, empty_tracking) -> Callable[..., Path]:
    """Run a pipeline as ``run_pipeline`` does, in a new project, which several tests may read or copy.

    Or again in the one that it returned: ``run_apart("mixing", {...}, project=project)``.
    """

    def run(*arguments, project: Path | None = None, **options) -> Path:
        project = project or make_project(tmp_path_factory.mktemp("project"), empty_tracking)
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.chdir(project)
            return run_in(project, *arguments, **options)

    return run
