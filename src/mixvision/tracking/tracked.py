"""A run while it is tracked: in the process that opened it, and in those that the ParallelRunner starts."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from mixvision.tracking.facts import gpu
from mixvision.tracking.journal import Journal
from mixvision.tracking.runs import TrialRuns, milliseconds
from mixvision.tracking.sender import BackgroundSender, first_line
from mixvision.training.events import TrainingEvents

log = logging.getLogger(__name__)

JOURNAL = "MIXVISION_MLFLOW_JOURNAL"  # tells processes that the ParallelRunner starts where the journal is


class TrackedRun:
    """What a run that is open in MLflow needs: a journal, the thread that sends it, and the listener of its trials."""

    def __init__(self, journal: Journal, events: TrainingEvents, is_foreign: bool) -> None:
        self.journal, self.events, self.is_foreign = journal, events, is_foreign
        self.process = os.getpid()
        self.sender = BackgroundSender(journal)
        self.trials = TrialRuns(journal)
        self.has_images, self.description = False, ""
        self.events.listen(self.trials)
        os.environ[JOURNAL] = str(journal.folder)
        self.sender.start()

    def end(self, status: str) -> bool:
        """End the runs and send the rest; returns whether MLflow has everything. A foreign run stays open."""
        os.environ.pop(JOURNAL, None)
        self.events.stop(self.trials)
        self.trials.close(status)
        if name := gpu():
            self.journal.write("set_tag", name="gpu", value=name)
        if not self.is_foreign:
            self.journal.write("set_terminated", status=status, end_time=milliseconds())
        if self.sender.close():
            return self._remove_journal(status)
        what, why = f"{self.journal.unsent()} entries of this run", first_line(self.sender.error or TimeoutError())
        log.warning(
            "MLflow could not record %s (%s). They are kept in %s, and the next run of this study sends them.",
            *(what, why, self.journal.folder),
        )
        return False

    def _remove_journal(self, status: str) -> bool:
        """Remove a journal that was sent, unless MLflow does not know that a run has ended: a full disk may hide it."""
        for run in self.journal.state.open:
            try:
                self.sender.sender.set_terminated(run, status, milliseconds())
            except Exception as error:  # whatever it is, the run has ended
                log.warning(
                    "MLflow does not know that this run has ended (%s): the next run of this study will tell it.",
                    first_line(error),
                )
                self.journal.close()
                return False
        self.journal.remove()
        return True


class JoinedRun:
    """A run that another process opened and sends: the ParallelRunner's processes only write to its journal."""

    def __init__(self, folder: Path) -> None:
        self.process = os.getpid()
        self.journal = Journal(folder)
        self.trials = TrialRuns(self.journal)
        self.has_images, self.description = False, ""

    def end(self, _: str) -> bool:
        """Leave the run to the process that opened it."""
        self.journal.close()
        return True
