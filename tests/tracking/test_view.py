"""MLflow's table of runs opens with the results."""

from __future__ import annotations

import json

from mixvision.tracking.names import SELECTED
from mixvision.tracking.view import how_to_open, results_view


def test_choice_by_validation_stands_before_test_results():
    told = json.loads(results_view(1000))
    assert (told["name"], told["createdAt"]) == ("Results", 1000)
    columns = json.loads(told["state"])["selectedColumns"]
    assert columns[3:10] == [
        f"params.`{SELECTED}/trial`",
        *("params.`ratio`", "params.`share`", "params.`arm`"),
        f"tags.`{SELECTED}`",
        f"metrics.`{SELECTED}/validation/performance_top1`",
        f"metrics.`{SELECTED}/test/performance_top1`",
    ]


ADDRESS = "/#/experiments/3/runs?workflowType=machine_learning&viewStateShareKey=results"


def test_address_leads_to_the_server_without_its_password():
    assert how_to_open("3", "https://me:secret@mlflow.org/") == f"https://mlflow.org{ADDRESS}"


def test_a_database_needs_a_command_first_which_fits_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    then = f", then open http://127.0.0.1:5000{ADDRESS}"
    assert how_to_open("3", "sqlite:///mlflow.db") == f"mlflow ui --backend-store-uri sqlite:///mlflow.db{then}"
    (tmp_path / "Makefile").touch()
    assert how_to_open("3", "sqlite:///mlflow.db") == how_to_open("3", f"sqlite:///{tmp_path}/mlflow.db")
    assert how_to_open("3", "sqlite:///mlflow.db") == f"make mlflow{then}"
    assert how_to_open("3", "sqlite:///own.db") == f"mlflow ui --backend-store-uri sqlite:///own.db{then}"
