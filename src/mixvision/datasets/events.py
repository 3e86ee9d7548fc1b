"""The Kedro dataset through which training tells the run's hooks how its trials fare."""

from __future__ import annotations

from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from mixvision.training.events import TrainingEvents


class TrainingEventsDataset(AbstractDataset[None, TrainingEvents]):
    """The one relay of a catalog: whoever loads it, hook or node, is given the same (a MemoryDataset may copy)."""

    def __init__(self, metadata: dict[str, Any] | None = None) -> None:
        self._events = TrainingEvents()
        self.metadata = metadata

    def load(self) -> TrainingEvents:
        return self._events

    def save(self, _: None) -> NoReturn:
        raise DatasetError("Training events are only listened to and told.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"listeners": len(self._events.listeners)}
