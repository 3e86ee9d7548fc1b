"""Selection of the best model: by the highest validation score, the earlier of equal ones, never by test images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def rank(scores: Sequence[float] | pd.Series) -> np.ndarray:
    """Positions of the scores ``(n,)``, highest first, equals in their order, missing ones last: int ``(n,)``."""
    return np.argsort(-np.asarray(scores, dtype="float64"), kind="stable")


def best_first(table: pd.DataFrame, by: str = "validation_top1") -> pd.DataFrame:
    """Sort the rows by their score in the column ``by``, highest first; rows without a score come last."""
    return table.iloc[rank(table[by])]


def best_label(scores: pd.Series) -> Any:
    """The label of the highest score, such as the ratio that a series is indexed by.

    Raises:
        ValueError: there is no score.
    """
    known = scores.dropna()
    if known.empty:
        raise ValueError(f"There is no score in {scores.name!r}, so there is no best one.")
    return known.index[rank(known)[0]]


def best_of_each(table: pd.DataFrame, group: str | list[str], by: str) -> pd.DataFrame:
    """The best row of every group, sorted by group; groups without a score are left out."""
    ranked = best_first(table.dropna(subset=by), by)
    return ranked.drop_duplicates(group).sort_values(group)


def not_behind(table: pd.DataFrame, best: Any, by: str) -> list[Any]:
    """The values of a column that the test images cannot tell from the best one, which is among them.

    No other value is certainly better than one of these: with 95% probability the best one is among them.

    Args:
        table: one row per value, with ``is_beaten`` (:func:`mixvision.evaluation.intervals.distances_to_best`) if it
            is known; where it is missing, the value was not compared.
        best: the value that was chosen on validation images.
        by: the column, such as ``"ratio"`` or ``"trial"``.

    Returns:
        The values in the order of the table.
    """
    beaten = table.get("is_beaten", pd.Series(np.nan, index=table.index))
    return list(dict.fromkeys(table.loc[beaten.eq(False) | (table[by] == best), by]))


def best_model(table: pd.DataFrame) -> str:
    """The name, in ``trial``, of the model with the highest ``validation_top1``.

    Raises:
        ValueError: no model was measured on validation images.
    """
    honest = table.dropna(subset="validation_top1")
    if honest.empty:
        raise ValueError(
            "No model has a validation accuracy: all trainings failed, or no image is kept for validation."
        )
    return best_first(honest)["trial"].iloc[0]
