"""Cancels single models of a run: one whose name is that of a file in .cancel/<study>/ ends at its next evaluation."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol

from mixvision.hooks import study_of
from mixvision.training.events import TrainingEvents, TrainingListener

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

FOLDER = ".cancel"


class Cancellations(TrainingListener):
    """Tells the engines which models to cancel. The files are removed once a run of the study has ended well."""

    def __init__(self) -> None:
        self.folder = Path()
        self.known: set[str] = set()  # the models of this run
        self.events: TrainingEvents | None = None  # set while listening

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self.folder = Path(context.project_path) / FOLDER / study_of(context)

    @hook_impl
    def before_pipeline_run(self, catalog: CatalogProtocol) -> None:
        self._stop()  # an earlier run in this process may have ended without a word, as in a notebook
        self.known = set()
        events: TrainingEvents = catalog.load("training_events")
        events.listen(self)
        self.events = events

    @hook_impl
    def before_node_run(self, inputs: dict[str, Any]) -> None:
        """In a process that the ParallelRunner started, listen to the copy of the events that this node has."""
        for value in inputs.values():
            if isinstance(value, TrainingEvents) and self not in value.listeners and self.events:
                value.listen(self)

    @hook_impl
    def after_pipeline_run(self) -> None:
        self._stop()
        if unknown := sorted(self.to_cancel() - self.known):
            some = ", ".join(sorted(self.known)[:3])
            log.warning(
                "No model was called %s, as a file in %s is (there were %s, ...).", unknown[0], self.folder, some
            )
        shutil.rmtree(self.folder, ignore_errors=True)

    @hook_impl
    def on_pipeline_error(self) -> None:
        self._stop()

    def started(self, trials: pd.DataFrame) -> None:
        self.known |= set(trials["trial"])
        named = sorted(self.to_cancel() & self.known)
        if named:
            log.warning("To be cancelled, as %s has files of these names: %s.", self.folder, ", ".join(named))

    def to_cancel(self) -> frozenset[str]:
        return frozenset(path.name for path in self.folder.iterdir()) if self.folder.is_dir() else frozenset()

    def _stop(self) -> None:
        if self.events:
            self.events.stop(self)
            self.events = None
