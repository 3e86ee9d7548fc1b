"""What the page of every study shows in addition to the study's own results."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class StudyResults:
    """The tables that every study with images has; each study adds its own results, by name.

    A page takes one such object instead of twenty arguments, so that no two figures can be mixed up. What a run lacks
    is None.

    Attributes:
        manifest: one row per image.
        trials: one row per trial.
        outcomes: one row per trial: how its training ended.
        split_audit, split_summary: what the audit of the splits counted, by category and in all.
    """

    manifest: pd.DataFrame
    trials: pd.DataFrame
    outcomes: pd.DataFrame
    split_audit: pd.DataFrame
    split_summary: pd.DataFrame

    @property
    def leaks(self) -> bool:
        """Whether near-duplicates or groups cross the splits: plain random ones, or of a single group divided."""
        return bool(self.manifest.loc[self.manifest["status"] == "kept", "leaks"].any())
