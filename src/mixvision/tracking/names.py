"""The names of metrics in MLflow, which groups its charts by what stands before the last slash. docs/mlflow.md has all.

A curve is named split/metric; a final metric snapshot/split/metric. A snapshot is called after what chose it.
"""

from __future__ import annotations

from typing import Any

from mixvision.vocabulary import BEST_IN, BEST_TEST, BEST_VALIDATION, TRAIN

SELECTED = "selected"  # on validation images
SNAPSHOT_NAMES = {
    BEST_VALIDATION: SELECTED,
    BEST_TEST: "selected_on_test",
    **{snapshot: f"{SELECTED}_for_{domain}" for domain, snapshot in BEST_IN.items()},
}
FIRST = ("validation/performance_top1", "validation/top1")  # MLflow compares runs by what was logged first
OF_TRAINING = {"loss": "penalised_loss", "train_cross_entropy": "cross_entropy"}  # columns in rows of any split


def curve_name(split: str, column: str) -> str:
    """The curve of a column of the history, in rows of a split."""
    return f"{TRAIN}/{OF_TRAINING[column]}" if column in OF_TRAINING else f"{split}/{column}"


def prefix_of(row: dict[str, Any], template: str) -> str:
    """What stands before the names of a row's final metrics: a template such as "{snapshot}/{split}/", filled."""
    snapshot = row.get("snapshot", "")
    return template.format(**{**row, "snapshot": SNAPSHOT_NAMES.get(snapshot, snapshot)})
