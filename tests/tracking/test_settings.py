"""Where runs are recorded: mlflow.yml first, then MLflow's variables, then the project."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import patch

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS

from mixvision.tracking.settings import VARIABLES, complete_settings, require_experiment, require_valid

PROJECT = Path("/project")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def address_in(settings: dict) -> str:
    return settings["server"]["mlflow_tracking_uri"]


def test_runs_are_recorded_in_the_project_whatever_the_current_folder():
    assert address_in(complete_settings({}, PROJECT)) == "sqlite:////project/mlflow.db"
    assert address_in(complete_settings({"server": None}, Path.cwd())) == f"sqlite:///{Path.cwd()}/mlflow.db"


def test_mlflows_address_counts(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.org")
    assert address_in(complete_settings({}, PROJECT)) == "http://mlflow.org"


def test_mlflow_yml_comes_first_and_says_which_variable_it_overrules(monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.org")
    given = {"server": {"mlflow_tracking_uri": "http://me:secret@other.org"}, "tracking": {"run": {"name": "hello"}}}
    settings = complete_settings(given, PROJECT)
    assert address_in(settings) == "http://me:secret@other.org" and settings["tracking"]["run"] == {"name": "hello"}
    assert "MLFLOW_TRACKING_URI" in caplog.text and "secret" not in caplog.text


@pytest.fixture
def experiment_of(tmp_path, empty_tracking):
    """A function that makes a run's experiment, as mlflow.yml names it, and returns it."""
    database = tmp_path / "elsewhere/mlflow.db"
    database.parent.mkdir()
    shutil.copy(empty_tracking, database)

    def experiment_of(name: str | None = None) -> mlflow.entities.Experiment:
        server, tracking = {"mlflow_tracking_uri": f"sqlite:///{database}"}, {"experiment": {"name": name}}
        settings = complete_settings({"server": server, "tracking": tracking}, tmp_path)
        require_experiment(settings, "digits")
        client = mlflow.MlflowClient(f"sqlite:///{database}")
        return client.get_experiment_by_name(settings["tracking"]["experiment"]["name"])

    return experiment_of


def test_an_experiment_is_named_by_mlflow_yml_or_by_mlflows_variables_or_after_the_study(experiment_of, monkeypatch):
    assert experiment_of().name == "digits" and experiment_of("mine").name == "mine"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", experiment_of("mine").experiment_id)
    assert experiment_of().name == "mine" and experiment_of("another").name == "another"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours")
    assert experiment_of().name == "ours"


def test_a_name_that_mlflow_refuses_is_shown_with_its_reason(experiment_of):
    with pytest.raises(ValueError, match="name of the experiment, 'xxx.*x': .* maximum length of 500"):
        experiment_of("x" * 501)


def test_a_section_that_is_no_mapping_is_named():
    with pytest.raises(ValueError, match="sets server to 'sqlite', but it must be a mapping"):
        complete_settings({"server": "sqlite"}, PROJECT)


@pytest.mark.parametrize("number", ["77", "mine"])
def test_the_number_of_no_experiment_is_named(experiment_of, monkeypatch, number):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", number)
    with pytest.raises(ValueError, match=f"MLFLOW_EXPERIMENT_ID is '{number}', but MLflow has no such experiment"):
        experiment_of()


@pytest.mark.parametrize(("name", "below"), [("digits", "digits"), ("/team/mine", "team/mine"), ("../x", "x")])
def test_artifacts_are_beside_the_database_whatever_the_name(experiment_of, tmp_path, name, below):
    assert experiment_of(name).artifact_location == f"{tmp_path}/elsewhere/mlruns/{below}"


@pytest.mark.parametrize(
    ("tracking", "message"),
    [
        ({"experment": {"name": "x"}}, r"a setting tracking\.experment, .*: did you mean tracking\.experiment\?$"),
        ({"run": {"nmae": "x"}}, r"a setting tracking\.run\.nmae, .*: did you mean tracking\.run\.name\?$"),
        ({"run": {"nested": "x"}}, r"sets tracking\.run\.nested to 'x': input should be a valid boolean\.$"),
    ],
)
def test_settings_that_kedro_mlflow_does_not_take_are_named(tracking, message):
    require_valid(complete_settings({"tracking": {"run": {"nested": False}}}, PROJECT))
    with pytest.raises(ValueError, match=f"^mlflow.yml (has )?{message}"):
        require_valid(complete_settings({"tracking": tracking}, PROJECT))


def test_another_run_may_create_the_experiment_at_the_same_moment():
    exists = MlflowException("it exists", RESOURCE_ALREADY_EXISTS)
    with patch("mlflow.MlflowClient") as client:
        client.return_value.get_experiment_by_name.return_value = None
        client.return_value.create_experiment.side_effect = exists
        require_experiment(complete_settings({}, PROJECT), "digits")
        client.return_value.create_experiment.side_effect = MlflowException("no")
        with pytest.raises(MlflowException):
            require_experiment(complete_settings({}, PROJECT), "digits")
