"""The stages of a run: a hook writes down when each begins, so that a kill can be aimed at it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline.node import Node

from mixvision.training.events import TrainingListener

START = "start"
KINDS = {  # by what a stage's name begins with; the first that fits
    "decoding": r"run ingestion\.decode|save (nice|real)_images",
    "splitting": r"run ingestion\.(select|build|assign|audit)|run leakage\.split",
    "logging": r"log ",
    "sweep": r"train (mixing|leakage)\.",
    "iterative branch": r"train iterative\.",
    "grid search": r"train tuning\.search_grid",
    "adaptive search": r"train tuning\.search_adaptively",
    "epochs": r"train (baselines|sanity_check)\.",
    "fine-tuning": r"train transfer\.\S+ fine-tuned",
    "heads": r"train transfer\.",
    "online learning": r"train streams\.",
    "features": r"run transfer\.train|run as_is\.classify",
    "report": r"run \S+\.(draw|examine|write_page|map_images|report)",
    "start": START,
    "other nodes": "",
}
TRAINING = {
    *("sweep", "iterative branch", "grid search", "adaptive search", "epochs", "fine-tuning", "heads"),
    *("online learning", "features"),
}


@dataclass(frozen=True)
class Stage:
    """One stage of a finished run: the how manieth with its name it is, and how long it took, in seconds."""

    name: str
    occurrence: int
    seconds: float

    @property
    def kind(self) -> str:
        return next(kind for kind, pattern in KINDS.items() if re.match(pattern, self.name))


class StageNotes(TrainingListener):
    """A Kedro hook that writes each stage and the time at which it begins to a file."""

    def __init__(self, file: Path) -> None:
        self.file, self.node = file, ""

    @hook_impl
    def after_catalog_created(self, catalog: CatalogProtocol) -> None:
        catalog.load("training_events").listen(self)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        self.node = node.name
        self.note(f"run {node.name}")

    @hook_impl
    def before_dataset_saved(self, dataset_name: str) -> None:
        self.note(f"save {dataset_name}")

    @hook_impl(tryfirst=True)
    def after_dataset_saved(self, dataset_name: str) -> None:
        self.note(f"log {dataset_name}")

    def started(self, trials: pd.DataFrame) -> None:
        self.note(f"train {self.node} {' '.join(trials['trial'])}")

    def finished(self, trial: str) -> None:
        self.note(f"log {trial}")

    def note(self, name: str) -> None:
        with self.file.open("a") as notes:
            notes.write(f"{time.time():.3f} {name}\n")


def read_notes(file: Path) -> list[tuple[float, str]]:
    """When each stage that has begun began, and its name; the last line may still be incomplete."""
    if not file.exists():
        return []
    lines = file.read_text().split("\n")[:-1]
    return [(float(when), name) for when, _, name in (line.partition(" ") for line in lines)]


def stages_of(file: Path, end: float) -> list[Stage]:
    """The stages of a run that ended at this time."""
    notes, seen = read_notes(file), dict[str, int]()
    ends = [when for when, _ in notes[1:]] + [end]
    stages: list[Stage] = []
    for (begin, name), after in zip(notes, ends, strict=True):
        seen[name] = seen.get(name, 0) + 1
        stages.append(Stage(name, seen[name], after - begin))
    return stages


def begun(file: Path, stage: Stage) -> bool:
    return sum(name == stage.name for _, name in read_notes(file)) >= stage.occurrence


def note_start(file: Path) -> None:
    """Begin the notes of a run; before this there is nothing to be lost."""
    StageNotes(file).note(START)


def hooks_with_notes(hooks: tuple[Any, ...], file: Path) -> tuple[Any, ...]:
    return (*hooks, StageNotes(file))
