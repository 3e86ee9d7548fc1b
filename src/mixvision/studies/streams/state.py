"""The state that one run of online learning passes to the next, and how it is stored."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mixvision.models.trained import TrainedNetwork

NETWORK, IMAGES, ARRIVALS, SETTINGS = "network.safetensors", "images.parquet", "arrivals.parquet", "settings.json"


@dataclass(frozen=True)
class State:
    """What one run passes to the next.

    The states after older runs are kept, so deleting the newest folder undoes its run.

    Attributes:
        network: after the run.
        images: every image ever seen: id, sha256 (of the file), pixels_sha256, run (in which it was new), held_out
            (never trained on).
        arrivals: one row per run; see `mixvision.studies.streams.page`.
        settings: those of all runs so far.
        folder: where it and the states after other runs are stored; None if it was not read from there.
    """

    network: TrainedNetwork
    images: pd.DataFrame
    arrivals: pd.DataFrame
    settings: Mapping[str, Any]
    folder: Path | None = None

    @classmethod
    def newest(cls, folder: Path) -> State | None:
        """Read the state after the last completed run, or None before the first."""
        found = [path for path in folder.glob("run-*") if re.fullmatch("run-[0-9]+", path.name)]
        runs = sorted(found, key=lambda path: int(path.name.removeprefix("run-")))
        if not runs:
            return None
        return cls(
            TrainedNetwork.load(runs[-1] / NETWORK),
            pd.read_parquet(runs[-1] / IMAGES),
            pd.read_parquet(runs[-1] / ARRIVALS),
            json.loads((runs[-1] / SETTINGS).read_text()),
            folder,
        )

    def save(self, folder: Path) -> None:
        """Write ``run-<number>`` into the folder; it gets this name only when complete, so a killed run leaves none."""
        partial = folder / f".partial-{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        self.network.save(partial / NETWORK)
        self.images.to_parquet(partial / IMAGES)
        self.arrivals.to_parquet(partial / ARRIVALS)
        (partial / SETTINGS).write_text(json.dumps(dict(self.settings)))
        partial.rename(folder / f"run-{len(self.arrivals):03d}")

    def require(self, settings: Mapping[str, Any]) -> None:
        """Raise ValueError if the settings differ from those of the runs so far."""
        for name, value in settings.items():
            if value != self.settings.get(name):
                raise ValueError(
                    f"{name} is {value!r}, but this network was trained with {self.settings.get(name)!r} so far. "
                    f"Set it back, or delete {self.folder} to start over."
                )
