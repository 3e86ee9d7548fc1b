"""The Kedro dataset for the state that online learning passes from run to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from mixvision.datasets.previews import Described
from mixvision.studies.streams.state import State


class StateDataset(Described, AbstractDataset[State, "State | None"]):
    """A folder with one state per run; loads the newest, or None before the first run.

    A state appears only when it is complete, so a killed run leaves no half-written one. A state that was loaded is not
    written again.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> State | None:
        return State.newest(self._folder)

    def save(self, data: State) -> None:
        if data.folder is None:
            data.save(self._folder)

    def _exists(self) -> bool:
        return any(self._folder.glob("run-*"))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
