"""The names of metrics in MLflow, which groups its charts by what stands before the last slash. docs/mlflow.md has all.

A curve is named split/metric; a final metric snapshot/split/metric, where the snapshot that was chosen on validation
images is called selected.
"""

from __future__ import annotations

from typing import Any

from mixvision.vocabulary import BEST_VALIDATION, TRAIN

SELECTED = "selected"
OF_TRAINING = {"loss": "penalised_loss", "train_cross_entropy": "cross_entropy"}  # columns in rows of any split


def curve_name(split: str, column: str) -> str:
    """The curve of a column of the history, in rows of a split."""
    return f"{TRAIN}/{OF_TRAINING[column]}" if column in OF_TRAINING else f"{split}/{column}"


def prefix_of(row: dict[str, Any], template: str) -> str:
    """What stands before the names of a row's final metrics: a template such as "{snapshot}/{split}/", filled."""
    snapshot = row.get("snapshot")
    return template.format(**{**row, "snapshot": SELECTED if snapshot == BEST_VALIDATION else snapshot})
