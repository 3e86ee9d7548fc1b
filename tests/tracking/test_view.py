"""MLflow's table of runs opens with the results."""

from __future__ import annotations

import json

import pytest

from mixvision.tracking.names import SELECTED
from mixvision.tracking.view import how_to_open, results_view


def test_choice_by_validation_stands_before_test_results():
    told = json.loads(results_view(1000))
    assert (told["name"], told["createdAt"]) == ("Results", 1000)
    columns = json.loads(told["state"])["selectedColumns"]
    assert columns[2:6] == [
        f"params.`{SELECTED}/trial`",
        f"tags.`{SELECTED}`",
        f"metrics.`{SELECTED}/validation/performance_top1`",
        f"metrics.`{SELECTED}/test/performance_top1`",
    ]


@pytest.mark.parametrize(
    ("uri", "opened"),
    [
        ("sqlite:///mlflow.db", "make mlflow, then open http://127.0.0.1:5000/#/experiments/3/runs?"),
        ("https://me:secret@mlflow.org/", "https://mlflow.org/#/experiments/3/runs?"),
    ],
)
def test_address_leads_to_the_server_without_its_password(uri, opened):
    assert how_to_open("3", uri) == f"{opened}workflowType=machine_learning&viewStateShareKey=results"
