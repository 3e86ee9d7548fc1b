"""The Kedro dataset through which training tells the run's hooks how its trials progress."""

from __future__ import annotations

from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from mixvision.datasets.previews import Described
from mixvision.training.events import TrainingEvents


class TrainingEventsDataset(Described, AbstractDataset[None, TrainingEvents]):
    """A catalog's only relay of events: every hook and node loads the same object (a MemoryDataset may copy it)."""

    def __init__(self, metadata: dict[str, Any] | None = None) -> None:
        self._events = TrainingEvents()
        self.metadata = metadata

    def load(self) -> TrainingEvents:
        return self._events

    def save(self, _: None) -> NoReturn:
        raise DatasetError("Training events cannot be saved: load the relay, and listen to it or report to it.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"listeners": len(self._events.listeners)}
