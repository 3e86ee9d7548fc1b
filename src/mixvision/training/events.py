"""Who wants to know how a sweep is going: the experiment tracker adds itself here for the length of a run."""

from __future__ import annotations

from typing import Protocol

import pandas as pd


class SweepObserver(Protocol):
    """Hears of every trial when it starts, is evaluated, fails, is pruned or finishes."""

    def started(self, trials: pd.DataFrame) -> None: ...

    def evaluated(self, history: list[dict]) -> None:
        """``history`` holds one row a trial and split, as in the history table."""

    def failed(self, trial: str, reason: str) -> None: ...

    def pruned(self, trial: str, iteration: int) -> None: ...

    def finished(self, trial: str) -> None: ...


observers: list[SweepObserver] = []
