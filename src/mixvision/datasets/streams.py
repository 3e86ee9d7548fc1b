"""What online learning leaves from run to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from mixvision.studies.streams.state import State


class StateDataset(AbstractDataset[State, "State | None"]):
    """A folder with one state a run: loads as the newest, or as None before the first run.

    A state appears when it is complete, so that a kill leaves none that is half written. One that was read is there
    already and not written again.
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
