"""What a study's table of results answers: which model or share was chosen on validation images, and how it tests."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixvision.tracking.names import SELECTED
from mixvision.vocabulary import CATEGORY_MEASURES, CATEGORY_METRICS, DOMAINS, TEST, VALIDATION, category_metric

if TYPE_CHECKING:
    import pandas as pd

ENDS = ("", "_low", "_high")  # a value and the bounds of its 95% interval
MEASURED = ("performance_top1", "nice_top1", "real_top1")


@dataclass(frozen=True)
class Answer:
    """The chosen value of a setting of the trials, such as ratio, share or trial, and its metrics by name."""

    setting: str
    value: str
    metrics: dict[str, float]

    def reason(self, models: int) -> str:
        """Why a model was chosen, in a sentence; ``models`` is how many were, such as one for each seed."""
        measured = {"performance": f"{VALIDATION}/performance_top1", "accuracy": f"{VALIDATION}/top1"}
        known = {what: self.metrics.get(f"{SELECTED}/{name}") for what, name in measured.items()}
        (what, value), *_ = ((what, value) for what, value in known.items() if value is not None)
        best = "it" if self.setting == "trial" else f"its {self.setting}, {self.value},"
        mean = f", the mean of {models} models" if models > 1 else ""
        return f"Chosen: {best} has the highest {what} on the validation images ({value:.3f}{mean})."


def answer_in(table: pd.DataFrame) -> Answer | None:
    """The answer of a table of ratios, shares, arms or models; None if nothing was validated."""
    from mixvision.evaluation.selection import best_first, best_model
    from mixvision.reporting.tables import best_ratio

    try:
        if "trial" in table:
            trial = best_model(table)
            return Answer("trial", trial, _of_a_model(table.set_index("trial").loc[trial]))
        if "arm" in table:
            row = best_first(table, "validation_performance_top1").iloc[0]
            return Answer("arm", row["arm"], _of_a_ratio(row))
        by = "share" if "share" in table and table["share"].notna().any() else "ratio"
        best = best_ratio(table, by)
    except ValueError:
        return None
    rows = table[(table["snapshot"] == "best_validation") & (table[by] == best)]
    return Answer(by, str(best), _of_a_ratio(rows.iloc[0]))


def _of_a_model(row: pd.Series) -> dict[str, float]:
    named = {f"{VALIDATION}/top1": "validation_top1"}
    named |= {f"{TEST}/top1{end}": f"test{end or '_top1'}" for end in ENDS}
    by_category = itertools.product(DOMAINS, CATEGORY_MEASURES)
    named |= {f"{TEST}/{category_metric(*pair)}": category_metric(*pair, TEST) for pair in by_category}
    return _known(row, named)


def _of_a_ratio(row: pd.Series) -> dict[str, float]:
    named = {f"{VALIDATION}/performance_top1": "validation_performance_top1"}
    named |= {f"{TEST}/{measure}{end}": f"{measure}{end}" for measure in MEASURED for end in ENDS}
    named |= {f"{TEST}/{measure}": measure for measure in CATEGORY_METRICS}
    return _known(row, named)


def _known(row: pd.Series, named: dict[str, str]) -> dict[str, float]:
    values = {f"{SELECTED}/{name}": row.get(column) for name, column in named.items()}
    return {name: float(value) for name, value in values.items() if value is not None and value == value}
