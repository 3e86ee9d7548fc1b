"""The columns of MLflow's table of runs: a saved view of the experiment, which MLflow lists under "Views".

MLflow keeps a saved view in a tag of the experiment: a name, two times, and the state of the page, all as JSON.
"""

from __future__ import annotations

import json
from pathlib import Path

from mixvision.addresses import shown
from mixvision.tracking.failures import file_of
from mixvision.tracking.names import SELECTED
from mixvision.vocabulary import TEST, VALIDATION

VIEW = "results"
TAG = f"mlflow.sharedViewState.{VIEW}"
SETTINGS = ("ratio", "share", "arm", "trial")  # that a run may choose
OF_MODELS = ("ratio", "share", "arm")  # settings of the models that a run compares
METRICS = (
    f"{VALIDATION}/performance_top1",
    *(f"{TEST}/performance_top1{end}" for end in ("", "_low", "_high")),
    f"{TEST}/nice_top1",
    f"{TEST}/real_top1",
    f"{VALIDATION}/top1",
    *(f"{TEST}/top1{end}" for end in ("", "_low", "_high")),
)
PIXELS_PER_LETTER = 7.5  # of a column's heading
LOCAL = "http://127.0.0.1:5000"  # where ``make mlflow`` shows a database


def results_view(time: int) -> str:
    """The tag's value. ``time`` is in milliseconds since 1970. MLflow leaves out what no run has."""
    names = [f"{SELECTED}/{metric}" for metric in METRICS]
    columns = {f"metrics.`{name}`": int(PIXELS_PER_LETTER * len(name)) + 30 for name in names}
    chosen = [f"params.`{SELECTED}/{setting}`" for setting in SETTINGS]
    models = [f"params.`{setting}`" for setting in OF_MODELS]
    order = [*chosen, *models, f"tags.`{SELECTED}`", *columns, "attributes.`Models`", "attributes.`Dataset`"]
    state = {"selectedColumns": order, "columnOrder": order, "columnWidths": columns}
    return json.dumps({"name": VIEW.title(), "createdAt": time, "updatedAt": time, "state": json.dumps(state)})


def how_to_open(experiment: str, tracking_uri: str) -> str:
    """Where a browser shows the view. Without ``workflowType``, MLflow opens in the mode for chatbots."""
    page = f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"
    if tracking_uri.startswith("http"):
        return f"{str(shown(tracking_uri)).rstrip('/')}/{page}"
    file = file_of(tracking_uri)
    is_usual = file is not None and file.absolute() == Path("mlflow.db").absolute() and Path("Makefile").exists()
    command = "make mlflow" if is_usual else f"mlflow ui --backend-store-uri {tracking_uri}"
    return f"{command}, then open {LOCAL}/{page}"
