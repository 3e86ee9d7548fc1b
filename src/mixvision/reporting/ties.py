"""Which models the test images cannot tell from the best one, in sentences and in tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from mixvision.evaluation.classification import accuracies_behind_best
from mixvision.evaluation.selection import not_behind
from mixvision.reporting.formatting import listed

MOST_NAMED = 5
ONE_SEED = (
    "Every model is trained once, with one seed. So the intervals, and the comparison with the best model, cover which "
    "images are in the test set, but not how training varies: with another seed another model may be best."
)


def with_distances(table: pd.DataFrame, joined: pd.DataFrame, best: str) -> pd.DataFrame:
    """A table of models with what :func:`mixvision.evaluation.intervals.distances_to_best` returns.

    Args:
        table: one row per model: ``trial``.
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns.
        best: the model that was chosen on validation images.
    """
    return table.merge(accuracies_behind_best(joined, best), "left", "trial")


def tied_sentence(table: pd.DataFrame, best: str) -> str:
    """Which other models the test images cannot tell from the best one; empty if none was compared with it.

    Args:
        table: one row per model: ``trial``, ``is_beaten`` (:func:`with_distances`).
        best: the model that was chosen on validation images.
    """
    compared = int(table["is_beaten"].notna().sum()) - 1 if "is_beaten" in table else 0
    others = [name for name in not_behind(table, best, "trial") if name != best]
    if compared < 1:
        return ""
    if not others:
        return alone_sentence("model")
    share = "any" if len(others) == compared else str(len(others))
    named = listed(others) if len(others) <= MOST_NAMED else f"{share} of the {compared} other models"
    return f"These test images cannot tell it from {named}."


def tied_text(table: pd.DataFrame, best: str) -> list[str]:
    """What the faintly green rows of a table of models are; nothing if there are none."""
    if set(not_behind(table, best, "trial")) <= {best} or not tied_sentence(table, best):
        return []
    return [
        f"The test images cannot tell the faintly green models from {best}, which is best on the validation images: "
        f"{_rule('model')}"
    ]


def marks_text(setting: str, best: object, tied: Iterable[object]) -> str:
    """What the marked rows of a table are: that of the best setting, and those that cannot be told from it, if any.

    Args:
        setting: what the rows differ by, such as "ratio".
        best: the setting that was chosen on validation images.
        tied: the settings that cannot be told from it; it may be among them.
    """
    text = f"The bold green row is the best {setting}, picked on the validation images."
    if set(tied) <= {best}:
        return text
    return f"{text} The test images cannot tell the faintly green ones from it: {_rule(setting)}"


def alone_sentence(setting: str) -> str:
    """That every other setting is beaten, so that the set that holds the best one has one member."""
    return f"These test images tell it from every other {setting}: with 95% probability it is the best."


def tied_rows(names: Iterable[object], tied: Sequence[object]) -> list[int]:
    """The places of the models, or settings, in a table that are among the tied ones."""
    return [place for place, name in enumerate(names) if name in tied]


def _rule(setting: str) -> str:
    """Why several rows are green, and why the interval of one of them may be above 0."""
    return (
        f"no other {setting} is certainly better (with 95% probability the best one is among them). The intervals of "
        "how far each is behind the best look at one pair, this at all at once, so a green row's may lie above 0."
    )
