"""The settings of the baselines: as text, which trials have them, and the numbers published for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mixvision.reporting.formatting import setting_value
from mixvision.reporting.published import BASELINE_SETTINGS, PublishedBaselines
from mixvision.vocabulary import SPLITS

SETTINGS = BASELINE_SETTINGS
AUGMENTATIONS = ("none", "on the fly", "expand")


def setting_text(setting: str, value: Any) -> str:
    """The value of one of :data:`SETTINGS` for people: 0.0001, 64, with, on the fly."""
    if setting == "dropout":
        return "with" if value else "without"
    return setting_value(value)


def have_settings(trials: pd.DataFrame, settings: Mapping[str, Any]) -> pd.Series:
    """Whether each trial has these settings; keys that are not settings are ignored."""
    same = pd.Series(True, index=trials.index)
    for name in (name for name in SETTINGS if name in settings):
        if name == "augmentation":
            same &= trials[name] == settings[name]
        else:  # as numbers: YAML reads 1e-4 as text
            same &= np.isclose(trials[name].astype("float64"), float(settings[name]), rtol=1e-6, atol=0)
    return same


def published_numbers(trials: pd.DataFrame, published: PublishedBaselines | None) -> pd.DataFrame:
    """The numbers published for each trial; published rows that match no trial are left out.

    Args:
        trials: one row per trial: ``model``, the four :data:`SETTINGS` and ``split_first``.
        published: their base settings, and rows with what differs from them, or None.

    Returns:
        ``published_train``, ``published_validation`` and ``published_test`` with the index of ``trials``, NaN where
        nothing is published.
    """
    numbers = pd.DataFrame(np.nan, index=trials.index, columns=[f"published_{split}" for split in SPLITS])
    if not published:
        return numbers
    for row in published.rows:
        settings = {**published.base, **row}
        described = (trials["model"] == row["model"]) & trials["split_first"] & have_settings(trials, settings)
        for split in SPLITS:
            if split in row:
                numbers.loc[described, f"published_{split}"] = row[split]
    return numbers
