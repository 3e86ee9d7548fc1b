"""Where runs are recorded: what mlflow.yml says, then MLflow's own environment variables, then the project."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, cast

from mixvision.addresses import shown
from mixvision.suggestions import suggestion
from mixvision.tracking.failures import SQLITE, file_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

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


def complete_settings(given: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """The settings of mlflow.yml with the address of MLflow filled in."""
    settings = deepcopy(dict(given))
    server = _section(settings, "server")
    experiment = _section(_section(settings, "tracking"), "experiment")
    if not experiment.get("name"):  # `require_experiment` asks MLflow
        experiment.pop("name", None)
    address = _chosen(server.get("mlflow_tracking_uri"), "MLFLOW_TRACKING_URI", DATABASE)
    server["mlflow_tracking_uri"] = absolute(address, project)
    return settings


def require_valid(settings: Mapping[str, Any]) -> None:
    """Raise ValueError for a setting of mlflow.yml that kedro-mlflow does not know, or whose value it refuses."""
    from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig
    from pydantic import BaseModel, ValidationError

    try:
        KedroMlflowConfig.model_validate(settings)
    except ValidationError as error:
        fault = error.errors()[0]
        *above, name = (str(part) for part in fault["loc"])
        before = "".join(f"{part}." for part in above)
        if fault["type"] != "extra_forbidden":
            message = f"mlflow.yml sets {before}{name} to {fault['input']!r}: {fault['msg'].lower()}."
            raise ValueError(message) from None
        section: type[BaseModel] = KedroMlflowConfig
        for part in above:
            section = cast(type[BaseModel], section.model_fields[part].annotation)
        hint = suggestion(name, section.model_fields, before)
        raise ValueError(f"mlflow.yml has a setting {before}{name}, which does not exist: {hint}") from None


def absolute(address: str, project: Path) -> str:
    """A SQLite address with the full path of its file, which is relative to the project's folder.

    MLflow keeps relative ones open for other projects of the same process.
    """
    file = file_of(address)
    if not file or file.is_absolute():
        return address
    return address.replace(file.as_posix(), (project / file).as_posix(), 1)


def has_experiment(settings: Mapping[str, Any], study: str) -> bool:
    """Whether the experiment is there to be used. Nothing is created to find out, also not a database."""
    from mlflow import MlflowClient, active_run

    address = settings["server"]["mlflow_tracking_uri"]
    place = file_of(address) or _folder_of(address)
    if active_run():
        return True  # it has an experiment
    if place and not place.exists():
        return False
    client, given = MlflowClient(address), settings["tracking"]["experiment"].get("name")
    name = given or os.environ.get("MLFLOW_EXPERIMENT_NAME") or _name_by_number(client) or study
    found = client.get_experiment_by_name(name)
    return found is not None and found.lifecycle_stage == "active"


def require_experiment(settings: Mapping[str, Any], study: str) -> None:
    """Fill in the experiment's name, and create it with its artifacts beside the database.

    Another run may create it at the same moment.
    """
    from mlflow import MlflowClient, active_run
    from mlflow.exceptions import MlflowException

    address, experiment = settings["server"]["mlflow_tracking_uri"], settings["tracking"]["experiment"]
    client, file = MlflowClient(address), file_of(address)
    default = study if experiment.get("name") else _name_by_number(client) or study
    name = experiment["name"] = _chosen(experiment.get("name"), "MLFLOW_EXPERIMENT_NAME", default)
    if active_run():
        return  # it has an experiment
    if experiment.get("create_experiment_kwargs"):
        return  # kedro-mlflow creates it
    if client.get_experiment_by_name(name) is None:
        inside = [part for part in PurePosixPath(name).parts if part not in ("/", "..")]  # of /team/mine
        place = file.absolute().parent.joinpath(ARTIFACTS, *inside).as_posix() if file else None
        try:
            client.create_experiment(name, artifact_location=place)
        except MlflowException as error:
            if error.error_code == "INVALID_PARAMETER_VALUE":
                raise ValueError(f"MLflow refuses the name of the experiment, {name!r}: {error.message}.") from error
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _folder_of(address: str) -> Path | None:
    """The folder of a store of files, which MLflow had before databases; None for any other address."""
    return Path(address.removeprefix("file://")) if "://" not in address.removeprefix("file://") else None


def _name_by_number(client: MlflowClient) -> str:
    """The name of the experiment that MLFLOW_EXPERIMENT_ID gives, or ""."""
    from mlflow.exceptions import MlflowException

    number = os.environ.get("MLFLOW_EXPERIMENT_ID")
    if not number or os.environ.get("MLFLOW_EXPERIMENT_NAME"):  # MLflow prefers the name, too
        return ""
    try:
        return str(client.get_experiment(number).name)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise ValueError(
            f"The variable MLFLOW_EXPERIMENT_ID is {number!r}, but MLflow has no such experiment: correct it, or give "
            "MLFLOW_EXPERIMENT_NAME instead."
        ) from None


def _section(settings: dict[str, Any], name: str) -> dict[str, Any]:
    section = settings[name] = settings.get(name) or {}  # a heading with nothing below it is null
    if not isinstance(section, dict):
        raise ValueError(f"mlflow.yml sets {name} to {section!r}, but it must be a mapping.")
    return section


def _chosen(given: str | None, variable: str, default: str) -> str:
    named = os.environ.get(variable)
    if given and named and given != named:
        log.warning("mlflow.yml names %s, so the variable %s (%s) is not used.", shown(given), variable, shown(named))
    return given or named or default
