"""The state that one run of online learning passes to the next, and how it is stored."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from mixvision.files import checksum_of
from mixvision.models.trained import TrainedNetwork

NETWORK, IMAGES, ARRIVALS, SETTINGS = "network.safetensors", "images.parquet", "arrivals.parquet", "settings.json"
CHECKSUMS = "checksums.json"  # of the others; earlier versions wrote none


@dataclass(frozen=True)
class State:
    """What one run passes to the next.

    The states after older runs are kept, so deleting the newest folder undoes its run.

    Attributes:
        network: after the run.
        images: every image ever seen: id, sha256 (of the file), pixels_sha256, run (in which it was new), held_out
            (never trained on), and the prediction and its probability before it was learned from, missing where it was
            not classified.
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
        """Read the state after the last completed run, or None before the first; raises ValueError if it is damaged."""
        found = [path for path in folder.glob("run-*") if re.fullmatch("run-[0-9]+", path.name)]
        runs = sorted(found, key=lambda path: int(path.name.removeprefix("run-")))
        return cls._read(runs[-1]) if runs else None

    @classmethod
    def _read(cls, run: Path) -> State:
        file = run / CHECKSUMS
        read = partial(_read_part, checksums=_read_part(file, _read_json) if file.exists() else {})
        images, arrivals = (read(run / name, pd.read_parquet) for name in (IMAGES, ARRIVALS))
        network, settings = read(run / NETWORK, TrainedNetwork.load), read(run / SETTINGS, _read_json)
        return cls(network, images, arrivals, settings, run.parent)

    def save(self, folder: Path) -> None:
        """Write ``run-<number>`` into the folder; it gets this name only when complete, so a killed run leaves none.

        Unlike `mixvision.files.replacing_folder`, it replaces nothing: raises OSError if another run left this state.
        """
        unfinished = folder / f".partial-{os.getpid()}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        self.network.save(unfinished / NETWORK)
        self.images.to_parquet(unfinished / IMAGES)
        self.arrivals.to_parquet(unfinished / ARRIVALS)
        (unfinished / SETTINGS).write_text(json.dumps(dict(self.settings)))
        checksums = {file.name: checksum_of(file) for file in sorted(unfinished.iterdir())}
        (unfinished / CHECKSUMS).write_text(json.dumps(checksums))
        unfinished.rename(folder / f"run-{len(self.arrivals):03d}")

    def require(self, settings: Mapping[str, Any]) -> None:
        """Raise ValueError if the settings differ from those of the runs so far."""
        for name, value in settings.items():
            if value != self.settings.get(name):
                raise ValueError(
                    f"{name} is {value!r}, but this network was trained with {self.settings.get(name)!r} so far. "
                    f"Set it back, or delete {self.folder} to start over."
                )


def _read_json(file: Path) -> Any:
    return json.loads(file.read_text())


def _read_part(file: Path, read: Callable[[Path], Any], checksums: Mapping[str, str] = MappingProxyType({})) -> Any:
    try:
        if file.name in checksums and checksum_of(file) != checksums[file.name]:
            raise ValueError("it differs from its checksum.")
        return read(file)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{file} cannot be read: {error} Copy the folder {file.parent.name} from a backup, or delete it to go on "
            "from the run before."
        ) from error
