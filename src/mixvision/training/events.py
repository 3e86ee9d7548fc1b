"""How trials fare: engines tell a listener, and a relay passes it on to all who want to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class TrainingListener:
    """Hears of every trial when it starts, is evaluated, fails, is pruned or finishes; overrides what it cares for."""

    def started(self, trials: pd.DataFrame) -> None:
        """``trials`` are the rows of the table of trials."""

    def evaluated(self, history: list[dict]) -> None:
        """``history`` holds one row a trial and split, as in the history table."""

    def failed(self, trial: str, reason: str) -> None: ...

    def pruned(self, trial: str, iteration: int) -> None: ...

    def finished(self, trial: str) -> None: ...


SILENT = TrainingListener()  # nobody wants to know


class TrainingEvents(TrainingListener):
    """Relays everything to its listeners, in the order in which they came."""

    def __init__(self, *listeners: TrainingListener) -> None:
        self.listeners = list(listeners)

    def listen(self, listener: TrainingListener) -> None:
        """Tell this listener, too, from now on."""
        self.listeners.append(listener)

    def stop(self, listener: TrainingListener) -> None:
        """Tell this listener no more (ValueError where it does not listen)."""
        self.listeners.remove(listener)

    def __reduce__(self) -> tuple[type[TrainingEvents], tuple[()]]:
        """A copy is silent: who listens stays with the original, and in its process."""
        return TrainingEvents, ()

    def started(self, trials: pd.DataFrame) -> None:
        for listener in tuple(self.listeners):
            listener.started(trials)

    def evaluated(self, history: list[dict]) -> None:
        for listener in tuple(self.listeners):
            listener.evaluated(history)

    def failed(self, trial: str, reason: str) -> None:
        for listener in tuple(self.listeners):
            listener.failed(trial, reason)

    def pruned(self, trial: str, iteration: int) -> None:
        for listener in tuple(self.listeners):
            listener.pruned(trial, iteration)

    def finished(self, trial: str) -> None:
        for listener in tuple(self.listeners):
            listener.finished(trial)
