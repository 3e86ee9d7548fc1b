"""Where runs are recorded: mlflow.yml first, then MLflow's variables, then the project."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS

from mixvision.tracking.settings import complete_settings, require_experiment

PROJECT = Path("/project")


def place_of(settings: dict) -> tuple[str, str]:
    return settings["server"]["mlflow_tracking_uri"], settings["tracking"]["experiment"]["name"]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


def test_runs_are_recorded_in_the_project_whatever_the_current_folder():
    assert place_of(complete_settings({}, PROJECT, "digits")) == ("sqlite:////project/mlflow.db", "digits")
    assert place_of(complete_settings({"server": None}, Path.cwd(), "digits")) == ("sqlite:///mlflow.db", "digits")


def test_mlflows_variables_count(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.org")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours")
    assert place_of(complete_settings({}, PROJECT, "digits")) == ("http://mlflow.org", "ours")


def test_mlflow_yml_comes_first_and_says_which_variable_it_overrules(monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.org")
    given = {"server": {"mlflow_tracking_uri": "http://me:secret@other.org"}, "tracking": {"run": {"name": "hello"}}}
    settings = complete_settings(given, PROJECT, "digits")
    assert place_of(settings) == ("http://me:secret@other.org", "digits") and settings["tracking"]["run"] == {
        "name": "hello"
    }
    assert "MLFLOW_TRACKING_URI" in caplog.text and "secret" not in caplog.text


def test_artifacts_are_beside_the_database(tmp_path, empty_tracking):
    database = tmp_path / "elsewhere" / "mlflow.db"
    database.parent.mkdir()
    database.write_bytes(empty_tracking.read_bytes())
    settings = complete_settings({"server": {"mlflow_tracking_uri": f"sqlite:///{database}"}}, tmp_path, "digits")
    require_experiment(settings)
    experiment = mlflow.MlflowClient(f"sqlite:///{database}").get_experiment_by_name("digits")
    assert experiment.artifact_location == str(database.parent / "mlruns" / "digits")


def test_another_run_may_create_the_experiment_at_the_same_moment():
    exists = MlflowException("it exists", RESOURCE_ALREADY_EXISTS)
    with patch("mlflow.MlflowClient") as client:
        client.return_value.get_experiment_by_name.return_value = None
        client.return_value.create_experiment.side_effect = exists
        require_experiment(complete_settings({}, PROJECT, "digits"))
        client.return_value.create_experiment.side_effect = MlflowException("no")
        with pytest.raises(MlflowException):
            require_experiment(complete_settings({}, PROJECT, "digits"))
