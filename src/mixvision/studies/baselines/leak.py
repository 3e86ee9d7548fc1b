"""The deliberate mistake of augmenting before splitting: three models, and what their comparisons isolate."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixvision.evaluation.classification import paired_difference
from mixvision.reporting.formatting import DASH, interval, number
from mixvision.studies.baselines.settings import have_settings

HONEST = "honest"
MATCHED = "leaky, as many photos"
LEAKY = "leaky, all photos"
ISOLATES = {  # by what is compared: the first minus the second
    (MATCHED, HONEST): "the leak alone: as many photos and views, but every validation photo is also trained on",
    (
        LEAKY,
        MATCHED,
    ): "the additional training photos: both leak, and with as many views in all there are fewer of each photo",
    (LEAKY, HONEST): "neither: the leak and the additional photos together",
}
_COLUMNS = [
    *("trial", "train_photos", "validation_photos", "validation_top1", "views_top1"),
    *("test_top1", "test_low", "test_high"),
]
_FROM = {HONEST: "from_honest", MATCHED: "from_matched"}
_ENDS = ("", "_low", "_high")


def leak_numbers(table: pd.DataFrame, joined: pd.DataFrame) -> pd.DataFrame:
    """Photos and accuracies of the two leaky trials and of their honest counterpart of the same model and settings.

    Args:
        table: what :func:`mixvision.studies.baselines.tables.trial_table` returns.
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns.

    Returns:
        A row for each ``arm``, :data:`HONEST`, :data:`MATCHED` and :data:`LEAKY`, no rows without leaky trials:
        ``trial``, ``train_photos`` and ``validation_photos`` (how many distinct ones), ``validation_top1`` (of the
        originals), ``views_top1``, ``test_top1``, ``test_low``, ``test_high``; ``from_honest`` and ``from_matched``, by
        how much its test accuracy exceeds that of the honest or the matched one, with their paired 95% intervals,
        ``..._low`` to ``..._high``. NaN where a model failed, and where nothing is compared.
    """
    differences = [f"{name}{end}" for name in _FROM.values() for end in _ENDS]
    leaky = table[~table["split_first"]]
    if leaky.empty:
        return pd.DataFrame(columns=["arm", *_COLUMNS, *differences])
    alike = table[(table["model"] == leaky["model"].iloc[0]) & have_settings(table, leaky.iloc[0])]
    arm = np.select([alike["split_first"], alike["matched"]], [HONEST, MATCHED], LEAKY)
    arms = alike.set_index(pd.Index(arm, name="arm")).reindex([HONEST, MATCHED, LEAKY])
    arms = arms.reindex(columns=[*_COLUMNS, *differences])
    for first, second in ISOLATES:
        if arms.loc[[first, second], "test_top1"].notna().all():
            pair = arms.loc[first, "trial"], arms.loc[second, "trial"]
            found = paired_difference(joined, *pair)
            arms.loc[first, [f"{_FROM[second]}{end}" for end in _ENDS]] = found
    return arms.reset_index()


def leak_table(numbers: pd.DataFrame) -> pd.DataFrame:
    """The numbers of :func:`leak_numbers` as text, one row per model."""
    bounds = zip(numbers["test_low"], numbers["test_high"], strict=True)
    shown = {
        "model": numbers["arm"],
        "training photos": numbers["train_photos"].map(_count),
        "validation photos": numbers["validation_photos"].map(_count),
        "validation, views": numbers["views_top1"].map(number),
        "validation, originals": numbers["validation_top1"].map(number),
        "test": numbers["test_top1"].map(number),
        "95% interval": [interval(*pair) for pair in bounds],
        "overestimate": (numbers["views_top1"] - numbers["test_top1"]).map(number),
    }
    return pd.DataFrame(shown)


def leak_comparisons(numbers: pd.DataFrame) -> pd.DataFrame:
    """Each two models of :func:`leak_numbers`: what their comparison isolates, and their differences, as text."""
    arms, rows = numbers.set_index("arm"), []
    for (first, second), isolates in ISOLATES.items() if len(arms) else ():
        one, other = arms.loc[first], arms.loc[second]
        difference, low, high = (one[f"{_FROM[second]}{end}"] for end in _ENDS)
        shown = {
            "comparison": f"{first} minus {second}",
            "training photos": _change(one["train_photos"], other["train_photos"]),
            "validation, views": _signed(one["views_top1"] - other["views_top1"]),
            "test": _signed(difference),
            "95% interval (test)": interval(low, high),
            "isolates": isolates,
        }
        rows.append(shown)
    return pd.DataFrame(rows)


def leak_sentence(numbers: pd.DataFrame) -> str | None:
    """The effect of the mistake in a few sentences, from :func:`leak_numbers`; None without leaky trials."""
    if numbers.empty:
        return None
    if numbers[["views_top1", "test_top1"]].isna().any(axis=None):
        return "The effect of augmenting before splitting is unknown: one of the three models has no result."
    honest, matched, leaky = (row for _, row in numbers.iterrows())
    photos = f"{_count(matched['train_photos'])} in training, {_count(matched['validation_photos'])} in validation"
    more = _change(leaky["train_photos"], matched["train_photos"])
    return (
        f"The leak alone: with as many photos ({photos}) the leaky model reports {number(matched['views_top1'])} on "
        f"views of its validation images, the honest one {number(honest['views_top1'])} "
        f"({number(honest['validation_top1'])} on the originals). On the same test images they reach "
        f"{number(matched['test_top1'])} and {number(honest['test_top1'])}: {_verdict(matched, 'from_honest')}. So the "
        f"validation accuracy is {_excess(matched)} with the leak and {_excess(honest)} without it. The additional "
        f"photos ({more} in training): the leaky model on all photos reports {number(leaky['views_top1'])} and "
        f"reaches {number(leaky['test_top1'])} on the test images: {_verdict(leaky, 'from_matched')} from the leaky "
        "model on as many photos."
    )


def _verdict(row: pd.Series, name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in _ENDS)
    verdict = "no measurable difference" if low <= 0 <= high else "a difference"
    return f"{verdict} ({number(value)}, 95% interval {interval(low, high)})"


def _excess(row: pd.Series) -> str:
    """By how much an accuracy on expanded views is above or below the one on test images."""
    excess = row["views_top1"] - row["test_top1"]
    return f"{number(abs(excess))} too {'low' if excess < 0 else 'high'}"


def _count(photos: float) -> str:
    return DASH if pd.isna(photos) else f"{photos:,.0f}"


def _change(photos: float, others: float) -> str:
    """How many more photos than others, in per cent."""
    return DASH if pd.isna(photos) or pd.isna(others) else f"{photos / others - 1:+.0%}"


def _signed(difference: float) -> str:
    return DASH if pd.isna(difference) else f"{difference:+z.3f}"
