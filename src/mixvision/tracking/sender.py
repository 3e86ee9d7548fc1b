"""Sends a journal's entries to MLflow: from a thread beside training, or those that an earlier run left."""

from __future__ import annotations

import json
import logging
import threading
import time
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from mixvision.files import checksum_of
from mixvision.tracking.endings import mark_as_killed
from mixvision.tracking.journal import PARENT, Journal
from mixvision.tracking.view import TAG, results_view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModelOutput

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_TRIES = 5.0
PATIENCE = 10.0  # at the end of a run, seconds to wait for an MLflow that cannot be reached
PATIENCE_WITH_A_CALL = 120.0  # and for a call that goes on, such as a large upload
POINTS_AT_ONCE = 1000  # MLflow takes no more in a call
MODEL_IS_ELSEWHERE = "mlflow.model.isExternal"  # MLflow's tag of a model whose files it does not load
REFUSALS = {  # errors that stay the same however often a call is repeated
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "ENDPOINT_NOT_FOUND",  # an older server
    "BAD_REQUEST",
}


class DamagedFileError(ValueError):
    """A file of the journal is not what was written."""


class Sender:
    """Plays a journal's entries to MLflow in their order. Each method below ``send`` is an entry's ``do``."""

    def __init__(self, journal: Journal) -> None:
        from mlflow import MlflowClient

        self.journal, self.state = journal, journal.state
        self.client: MlflowClient = MlflowClient(self.state.tracking_uri)
        self.repeats = True  # whether the next call may have reached MLflow before
        self.given_up = False  # another sender may have the journal then, and no entry is noted as sent

    def send(self) -> None:
        """Send all entries; raises what MLflow raises where it cannot be reached. Skips what MLflow refuses."""
        from mlflow.exceptions import MlflowException

        while entry := self.journal.next():
            try:
                getattr(self, entry.do)(entry.run, **entry.arguments)
            except DamagedFileError as error:
                log.warning("%s", error)
                self.journal.lost += 1
            except Exception as error:
                refused = isinstance(error, MlflowException) and error.error_code in REFUSALS
                if not refused and not isinstance(error, FileNotFoundError | KeyError):
                    self.repeats = True
                    raise
                log.warning("MLflow did not record an entry (%s of %r): %s", entry.do, entry.run, error)
                self.journal.lost += 1
            if self.given_up:
                return
            self.repeats = self.state.is_lost
            self.journal.advance()

    def create_run(self, run: str, start_time: int) -> None:
        """Open a child run; ``start_time`` and all other times are in milliseconds since 1970."""
        self.state.runs[run] = self._find(run) or self._create(run, start_time)
        self.state.open.append(run)

    def log_params(self, run: str, params: dict[str, str]) -> None:
        from mlflow.entities import Param

        self.client.log_batch(self.state.runs[run], params=[Param(*item) for item in params.items()])

    def log_metrics(self, run: str, points: list[tuple[str, float, int, int]]) -> None:
        """``points`` are (name, value, time, step)."""
        from mlflow.entities import Metric

        for begin in range(0, len(points), POINTS_AT_ONCE):
            metrics = [Metric(*point) for point in points[begin : begin + POINTS_AT_ONCE]]
            self.client.log_batch(self.state.runs[run], metrics=metrics)

    def set_tag(self, run: str, name: str, value: str) -> None:
        self.client.set_tag(self.state.runs[run], name, value)

    def save_view(self, run: str, time: int) -> None:  # noqa: ARG002 - an entry of the parent, as all are of a run
        """Save the view of the experiment that shows the results of all its runs."""
        self.client.set_experiment_tag(self.state.experiment, TAG, results_view(time))

    def log_images(self, run: str, name: str, digest: str, source: str, counts: dict[str, int]) -> None:
        """Log a data set, by which MLflow tells whether two runs used the same images."""
        from mlflow.entities import Dataset, DatasetInput

        told = {"source": json.dumps({"uri": source}), "profile": json.dumps(counts)}
        images = Dataset(name, digest, source_type="images", **told)
        self.client.log_inputs(self.state.runs[run], [DatasetInput(images, [])])

    def log_artifact(self, run: str, file: str, folder: str, checksum: str) -> None:
        """``file`` is a path in the journal's folder. It is deleted when it has been sent."""
        path = self.journal.folder / file
        if self.repeats and not path.exists():
            return  # it was sent
        if checksum_of(path) != checksum:
            raise DamagedFileError(f"{path}, which was kept for MLflow, is damaged and is not sent.")
        self.client.log_artifact(self.state.runs[run], str(path), folder or None)
        path.unlink()

    def log_model(self, run: str, params: dict[str, str], weights: str) -> None:
        """Make a trial's network a model of MLflow's, shown with its run and with the parent.

        Its weights stay an artifact of the trial's run, which the model's tag ``weights`` names. MLflow's table of runs
        shows a model in the row of its source, so that is the parent.
        """
        from mlflow.entities import LoggedModelOutput

        run_id, parent = self.state.runs[run], self.state.runs[PARENT]
        model = self._find_model(run)
        if not model:
            tags = {"weights": f"runs:/{run_id}/{weights}", MODEL_IS_ELSEWHERE: "true"}
            model = self.client.create_logged_model(self.state.experiment, run, parent, tags, params).model_id
        self.client.finalize_logged_model(model, "READY")
        for shown in (run_id, parent):
            if not self.repeats or model not in {known.model_id for known in self._models_of(shown)}:
                self.client.log_outputs(shown, [LoggedModelOutput(model, step=0)])

    def set_terminated(self, run: str, status: str, end_time: int) -> None:
        self.client.set_terminated(self.state.runs[run], status, end_time)
        self.state.open = [other for other in self.state.open if other != run]

    def _create(self, run: str, start_time: int) -> str:
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        tags = {**self.origin, MLFLOW_PARENT_RUN_ID: self.state.runs[PARENT]}
        return self.client.create_run(self.state.experiment, start_time, tags, run_name=run).info.run_id

    @cached_property
    def origin(self) -> dict[str, str]:
        """MLflow's own tags of who runs what, by which people who share a server know their runs."""
        from mlflow.tracking.context.registry import resolve_tags

        return dict(resolve_tags())

    def _find(self, run: str) -> str | None:
        """The run's id if a call whose answer was lost has created it."""
        if not self.repeats:
            return None
        mine = f"tags.`mlflow.parentRunId` = '{self.state.runs[PARENT]}'"
        siblings = self.client.search_runs([self.state.experiment], mine)
        return next((found.info.run_id for found in siblings if found.info.run_name == run), None)

    def _find_model(self, run: str) -> str | None:
        if not self.repeats:
            return None
        mine = f"source_run_id = '{self.state.runs[PARENT]}' AND name = '{run}'"
        found = self.client.search_logged_models([self.state.experiment], mine)
        return found[0].model_id if found else None

    def _models_of(self, run_id: str) -> list[LoggedModelOutput]:
        outputs = self.client.get_run(run_id).outputs
        return outputs.model_outputs if outputs else []


class BackgroundSender(threading.Thread):
    """Sends a journal while training goes on. Where MLflow cannot be reached, it says so once and keeps trying."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(name="MLflow", daemon=True)
        self.journal, self.sender = journal, Sender(journal)
        self.error: Exception | None = None  # of the last try
        self.closing = threading.Event()

    def run(self) -> None:
        while not self.sender.given_up:
            closing = self.closing.is_set()  # before sending: afterwards nothing more is written
            try:
                self.sender.send()
                if self.sender.given_up:
                    return
                self._succeeded()
                if closing:
                    return
                self.closing.wait(SECONDS_BETWEEN_LOOKS)
            except Exception as error:  # whatever it is, training goes on
                self._failed(error)
                if closing:
                    time.sleep(SECONDS_BETWEEN_LOOKS)
                else:
                    self.closing.wait(SECONDS_BETWEEN_TRIES)

    def close(self) -> bool:
        """Send the rest; returns whether all was sent. Gives up where MLflow stays away."""
        self.closing.set()
        begun, sent, is_said = time.monotonic(), self.journal.state.sent, False
        while self.is_alive():
            self.join(SECONDS_BETWEEN_LOOKS / 5)
            if self.journal.state.sent > sent:
                begun, sent = time.monotonic(), self.journal.state.sent
            waited = time.monotonic() - begun
            if waited > PATIENCE and not is_said:
                log.warning("Waiting for MLflow to take the rest of what was recorded.")
                is_said = True
            if waited > (PATIENCE if self.error else PATIENCE_WITH_A_CALL):
                self.sender.given_up = True
                return False
        return True

    def _succeeded(self) -> None:
        if self.error:
            log.warning("MLflow can be reached again, and has what was kept for it.")
        self.error = None

    def _failed(self, error: Exception) -> None:
        if not self.error:
            log.warning("MLflow cannot be reached (%s). The run goes on; what it records is kept.", first_line(error))
        self.error = error


def send_what_is_left(folder: Path, found_by: str) -> list[str]:
    """Send what earlier runs of a study could not, and mark as killed those that did not end; returns their ids.

    Only for a run (its id is ``found_by``, and the name of its own journal) with the study's lock: no other run of it
    is alive then.
    """
    dead = []
    for path in sorted(path for path in folder.glob("*/") if path.name != found_by):
        try:
            journal = Journal(path)
        except (OSError, ValueError) as error:
            log.warning("MLflow's journal %s cannot be read (%s): delete this folder.", path, error)
            continue
        try:
            dead += _send_one_left(journal, found_by)
        except Exception as error:  # whatever it is, this run goes on
            what = f"{journal.unsent()} entries of an earlier run for MLflow at {journal.state.tracking_uri}"
            log.warning("%s still cannot be sent (%s): they stay in %s.", what, first_line(error), path)
            journal.close()
    return dead


def _send_one_left(journal: Journal, found_by: str) -> list[str]:
    unsent, ended, sender = journal.unsent(), journal.ended_at(), Sender(journal)
    if journal.is_cut():
        log.warning("MLflow's journal %s is cut off: MLflow will miss a part of that run.", journal.folder)
    sender.send()
    dead = [journal.state.runs[run] for run in journal.state.open]
    for run_id in dead:
        mark_as_killed(sender.client, run_id, found_by, ended)
    if unsent:
        log.warning("MLflow now has %d entries that an earlier run could not send.", unsent - journal.lost)
    if journal.lost:
        parent = journal.state.runs[PARENT]
        sender.client.set_tag(
            parent, "incomplete", f"{journal.lost} entries were damaged before they were sent, or refused"
        )
        log.warning("%d entries are lost; the run %s has the tag incomplete.", journal.lost, parent)
    journal.remove()
    return dead


def first_line(error: Exception) -> str:
    """What failed, without the SQL or the layers of HTTP libraries that follow in the message."""
    text = str(error) or type(error).__name__
    return text.splitlines()[0].partition(" with exception")[0][:300]
