"""Events of training: an engine reports to one listener, which may relay them to several."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class TrainingListener:
    """Is told when a trial starts, is evaluated, fails, is pruned, is cancelled or finishes.

    Subclasses override what they need.
    """

    def started(self, trials: pd.DataFrame) -> None:
        """``trials`` holds rows of the table of trials."""

    def evaluated(self, history: list[dict]) -> None:
        """``history`` holds one row per trial and split, as in the history table."""

    def failed(self, trial: str, reason: str) -> None:
        """``reason`` is the sentence that the outcomes table gives."""

    def pruned(self, trial: str, iteration: int) -> None:
        """``iteration`` is the trial's last one, counted as in the history table."""

    def cancelled(self, trial: str, reason: str) -> None:
        """As ``failed``, which is what a listener hears that does not tell both apart."""
        self.failed(trial, reason)

    def to_cancel(self) -> frozenset[str]:
        """The trials whose training should end; the engines ask after every evaluation."""
        return frozenset()

    def finished(self, trial: str) -> None: ...


SILENT = TrainingListener()  # ignores every event


class TrainingEvents(TrainingListener):
    """Relays every event to its listeners, in the order in which they were added."""

    def __init__(self, *listeners: TrainingListener) -> None:
        self.listeners = list(listeners)

    def listen(self, listener: TrainingListener) -> None:
        """Add a listener."""
        self.listeners.append(listener)

    def stop(self, listener: TrainingListener) -> None:
        """Remove a listener; raises ValueError if it was never added."""
        self.listeners.remove(listener)

    def __reduce__(self) -> tuple[type[TrainingEvents], tuple[()]]:
        """A copy has no listeners: they stay with the original, in its process."""
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

    def cancelled(self, trial: str, reason: str) -> None:
        for listener in tuple(self.listeners):
            listener.cancelled(trial, reason)

    def to_cancel(self) -> frozenset[str]:
        return frozenset().union(*(listener.to_cancel() for listener in tuple(self.listeners)))

    def finished(self, trial: str) -> None:
        for listener in tuple(self.listeners):
            listener.finished(trial)
