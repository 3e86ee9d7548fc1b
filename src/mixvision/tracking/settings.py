"""Where runs are recorded: what mlflow.yml says, then MLflow's own environment variables, then the project."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from mixvision.addresses import shown
from mixvision.tracking.failures import SQLITE, file_of

log = logging.getLogger(__name__)

DATABASE = f"{SQLITE}mlflow.db"
ARTIFACTS = "mlruns"  # beside the database


VARIABLES = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID")


@contextmanager
def unchanged_variables() -> Iterator[None]:
    """Undo what MLflow writes into its own variables: a later run of this process, of another project, reads them."""
    before = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    try:
        yield
    finally:
        for name in VARIABLES:
            os.environ.pop(name, None)
        os.environ.update(before)


def complete_settings(given: Mapping[str, Any], project: Path, study: str) -> dict[str, Any]:
    """The settings of mlflow.yml with the address of MLflow and the experiment's name filled in."""
    settings = deepcopy(dict(given))
    server, tracking = (_section(settings, name) for name in ("server", "tracking"))
    experiment = _section(tracking, "experiment")
    address = _chosen(server.get("mlflow_tracking_uri"), "MLFLOW_TRACKING_URI", DATABASE)
    server["mlflow_tracking_uri"] = absolute(address, project)
    experiment["name"] = _chosen(experiment.get("name"), "MLFLOW_EXPERIMENT_NAME", study)
    return settings


def absolute(address: str, project: Path) -> str:
    """A SQLite address as seen from the current folder; its file is relative to the project's."""
    file = file_of(address)
    if not file or file.is_absolute() or project == Path.cwd():
        return address
    return address.replace(file.as_posix(), (project / file).as_posix(), 1)


def require_experiment(settings: Mapping[str, Any]) -> None:
    """Create the experiment, with its artifacts beside the database. Another run may do so at the same moment."""
    from mlflow import MlflowClient, active_run
    from mlflow.exceptions import MlflowException

    if active_run():
        return  # it has an experiment
    address, experiment = settings["server"]["mlflow_tracking_uri"], settings["tracking"]["experiment"]
    if experiment.get("create_experiment_kwargs"):
        return  # kedro-mlflow creates it
    client, name, file = MlflowClient(address), experiment["name"], file_of(address)
    if client.get_experiment_by_name(name) is None:
        place = (file.absolute().parent / ARTIFACTS / name).as_posix() if file else None
        try:
            client.create_experiment(name, artifact_location=place)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _section(settings: dict[str, Any], name: str) -> dict[str, Any]:
    settings[name] = settings.get(name) or {}  # a heading with nothing below it is null
    return settings[name]


def _chosen(given: str | None, variable: str, default: str) -> str:
    named = os.environ.get(variable)
    if given and named and given != named:
        log.warning("mlflow.yml names %s, so the variable %s (%s) is not used.", shown(given), variable, shown(named))
    return given or named or default
