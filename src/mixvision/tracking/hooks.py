"""The hook that tracks a run: kedro-mlflow opens it in MLflow, and everything after that goes through a journal.

The roles of datasets, which say what is tracked, are explained in ``mixvision.hooks``. Every Kedro command imports this
module, so MLflow is imported where it is used.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, DataCatalog
from kedro.pipeline import Pipeline

from mixvision.addresses import shown
from mixvision.hooks import file_of, is_report, parameters_among, role, said_of, study_of
from mixvision.interruptions import after_cell, without_signals
from mixvision.locks import lock_of_set_up
from mixvision.provenance import OLDER_RESULTS
from mixvision.tracking.answers import answer_in
from mixvision.tracking.database import check_database, check_server, create_database, follow_move
from mixvision.tracking.facts import command_of, counts_of, digest_of, facts
from mixvision.tracking.failures import explained
from mixvision.tracking.journal import PARENT, Journal
from mixvision.tracking.runs import LONGEST_TAG, NOTE, milliseconds
from mixvision.tracking.sender import send_what_is_left
from mixvision.tracking.settings import (
    complete_settings,
    has_experiment,
    require_experiment,
    require_valid,
    unchanged_variables,
)
from mixvision.tracking.starts import end_dead_starts, note_start, remove_note
from mixvision.tracking.tracked import JOURNAL, JoinedRun, TrackedRun
from mixvision.tracking.view import how_to_open
from mixvision.training.events import TrainingEvents

if TYPE_CHECKING:
    from mlflow.entities import RunInfo

    from mixvision.datasets.reports import PageDataset
    from mixvision.datasets.tables import TableDataset
    from mixvision.tracking.plugin import Plugin

log = logging.getLogger(__name__)

FOLDER = "data/.mlflow-journal"
# MLflow's own defaults block a call for minutes (7 retries, 120 seconds each); the journal tries again anyway.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}


class Tracking:
    """Tracks each run: its parameters and reports, and a child run for each trial."""

    def __init__(self) -> None:
        self.run: TrackedRun | JoinedRun | None = None
        self.project, self.folder, self.address = Path(), Path(), ""
        self.unready: KedroContext | None = None  # until MLflow is set up for it
        atexit.register(self.interrupted)

    @cached_property
    def plugin(self) -> Plugin:
        from mixvision.tracking.plugin import Plugin

        return Plugin()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self.interrupted()  # closes an earlier run of this process that Ctrl-C stopped
        self.unready = None
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs SQL before it raises an error
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it warns of each try of a server
        self.project = Path(context.project_path)
        self.folder = self.project / FOLDER / study_of(context)
        loader = cast(OmegaConfigLoader, context.config_loader)
        self.settings = loader["globals"]
        loader["mlflow"] = complete_settings(loader["mlflow"], self.project)
        require_valid(loader["mlflow"])
        self.address = loader["mlflow"]["server"]["mlflow_tracking_uri"]
        check_server(self.address)
        follow_move(self.address)
        with lock_of_set_up(self.project), explained(self.address):
            is_known = has_experiment(loader["mlflow"], self.folder.name)
        self.plugin.configure(context)
        self.unready = context
        if is_known:
            self._set_up(context)

    def _set_up(self, context: KedroContext) -> None:
        """Set MLflow up for this study. If it is new, only a run that is not refused does this: it leaves traces."""
        settings = cast(OmegaConfigLoader, context.config_loader)["mlflow"]
        with lock_of_set_up(self.project):
            create_database(self.address)
            with explained(self.address), unchanged_variables():
                require_experiment(settings, self.folder.name)
                self.plugin.after_context_created(context)
        self.unready = None

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        self.catalog = catalog

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        import mlflow

        after_cell(self.interrupted)
        if self.unready:
            self._set_up(self.unready)
        check_database(self.address)
        died = note_start(self.folder, milliseconds())
        try:
            with explained(self.address):
                self.plugin.before_pipeline_run(run_params, pipeline, catalog)
            if run := mlflow.active_run():
                journal = self._begin_journal(run.info, run_params)
                remove_note(self.folder)
                self._end_dead_runs(journal, died, run.info)
                self.plugin.journal = journal
                for node in pipeline.nodes:
                    self.plugin.before_node_run(node, self.catalog, parameters_among(node.inputs, catalog), False)
                self.run = TrackedRun(journal, catalog.load("training_events"), self.plugin.is_foreign)
        except BaseException as error:
            if not self.run and not self.plugin.is_foreign:
                mlflow.end_run("FAILED" if isinstance(error, Exception) else "KILLED")
            raise

    def _begin_journal(self, run: RunInfo, run_params: dict[str, Any]) -> Journal:
        from mlflow import get_tracking_uri

        where = self.folder / run.run_id, get_tracking_uri(), run.experiment_id, run.run_id
        journal = Journal.create(*where, self.plugin.is_foreign)
        pipelines = ", ".join(run_params.get("pipeline_names") or [])
        tags = {"study": self.folder.name, "pipeline": pipelines, "kedro_command": command_of(run_params)}
        for name, value in {**tags, **facts(self.project)}.items():
            journal.write("set_tag", name=name, value=value)
        journal.write("save_view", time=milliseconds())
        return journal

    def _end_dead_runs(self, journal: Journal, died: int | None, run: RunInfo) -> None:
        """Send what earlier runs could not, and mark those as killed whose process died."""
        from mlflow import MlflowClient

        dead = send_what_is_left(self.folder, run.run_id)
        if died is not None:
            dead += end_dead_starts(MlflowClient(), self.project, (died, run.start_time), run)
        if dead:
            log.warning("%d runs of a process that was killed are marked as KILLED in MLflow.", len(dead))
            journal.write("set_tag", name="predecessors", value=", ".join(dead))

    @hook_impl
    def before_node_run(self, catalog: CatalogProtocol, inputs: dict[str, Any]) -> None:
        """Remember the node's settings for the trials: flat, so that MLflow compares them."""
        self._join(catalog, inputs)
        if self.run:
            self.run.trials.settings = {}
            for name, value in inputs.items():
                if name.startswith("params:") and is_dataclass(value) and not isinstance(value, type):
                    self.run.trials.settings |= asdict(value)

    def _join(self, catalog: CatalogProtocol, inputs: dict[str, Any]) -> None:
        """In a process that the ParallelRunner started: record what happens here with the run that it belongs to."""
        folder = os.environ.get(JOURNAL)
        if not folder or (isinstance(self.run, TrackedRun) and self.run.process == os.getpid()):
            return
        if not self.run or self.run.process != os.getpid():
            self.run = JoinedRun(Path(folder))
        self.catalog = cast(DataCatalog, catalog)
        for value in inputs.values():
            if isinstance(value, TrainingEvents):  # a copy, which has no listeners
                value.listen(self.run.trials)

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Store each trial's final metrics and weights with its run, and reports with the parent."""
        if not self.run:
            return
        dataset = self.catalog.get(dataset_name)
        its_role = role(dataset)
        if its_role == "final_metrics":
            about, table = said_of(dataset, "mixvision"), cast("TableDataset", dataset).table
            trial, prefix = about.get("trial", "{trial}"), about.get("prefix", "{snapshot}/{split}/")
            self.run.trials.log_final_metrics(data, table.metrics(data), trial, prefix)
        if its_role == "answer" and (answer := answer_in(data)):
            self.run.trials.log_answer(answer)
        if its_role == "models":
            self.run.trials.keep_networks(data)
        if its_role == "summary":
            self.run.description = _description(self.run.journal, data, dataset_name.partition(".")[0])
            self.run.journal.write("set_tag", name=NOTE, value=self.run.description)
        self._note_images(dataset_name, data)
        if is_report(dataset_name, self.catalog):
            file = file_of(dataset_name, self.catalog)
            write: Callable[[Path], object] = partial(shutil.copyfile, file)
            if its_role == "page":  # MLflow shows it in a frame, where it finds no other file
                write = partial(Path.write_text, data=cast("PageDataset", dataset).alone(), encoding="utf-8")
            self.run.journal.keep_file(file.name, write, folder=file.parent.name)

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        self._note_images(dataset_name, data)

    def _note_images(self, dataset_name: str, data: Any) -> None:
        """Tell MLflow which images the run uses, once."""
        if not self.run or role(self.catalog.get(dataset_name)) != "manifest" or self.run.has_images:
            return
        self.run.has_images = True
        self.run.journal.write("set_tag", name="images", value=digest_of(data))
        for domain, images in data.groupby("domain"):
            source = shown(str((self.settings.get(domain) or {}).get("source")))
            self.run.journal.write("log_params", params={f"{domain}.source": source})
            told = {"name": f"{self.folder.name}/{domain}", "digest": digest_of(images), "source": source}
            self.run.journal.write("log_images", **told, counts=counts_of(images))

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any]) -> None:
        if self.run and (text := run_params.get(OLDER_RESULTS)):
            self.run.journal.write("set_tag", name=OLDER_RESULTS, value=text[:LONGEST_TAG])
        if self.run and self.run.journal.children():
            state = self.run.journal.state
            print(f"Compare the models in MLflow: {how_to_open(state.experiment, state.tracking_uri)}")
        self._end("FINISHED")

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        if self.run:
            from mixvision.plain_errors import sentence_of

            sentence = sentence_of(error)
            self.run.journal.write("set_tag", name="failure", value=sentence[:LONGEST_TAG])
            note = f"**Failed:** {sentence}\n\n{self.run.description}".strip()
            self.run.journal.write("set_tag", name=NOTE, value=note[:LONGEST_TAG])
        self._end("FAILED")

    def interrupted(self) -> None:
        """Mark a run as killed when the process ends in the middle of it: Ctrl-C raises no pipeline error."""
        if self.run:
            with without_signals():
                self._end("KILLED")

    def _end(self, status: str) -> None:
        if self.run:
            run, self.run = self.run, None
            run.end(status)
            self.plugin.leave()


def _description(journal: Journal, summary: str, pipeline: str) -> str:
    """A summary as the run's description: a link to the page in MLflow, the answer, the question, the tables."""
    state = journal.state
    place = f"#/experiments/{state.experiment}/runs/{state.runs[PARENT]}/artifacts/{pipeline}/page.html"
    heading, *parts = summary.strip().split("\n\n")
    asked = [part for part in parts[:1] if part.endswith("?")]
    told = sorted(parts[len(asked) :], key=lambda part: part.startswith("|"))
    answer = "\n\n".join([*told[:1], heading, *asked, *told[1:]])[: LONGEST_TAG - 1000]  # MLflow folds what is long
    return f"[The page, with every table and picture]({place})\n\n{answer}"
