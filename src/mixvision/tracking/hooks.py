"""The hook that tracks a run: kedro-mlflow opens it in MLflow, and everything after that goes through a journal.

The roles of datasets, which say what is tracked, are explained in ``mixvision.hooks``. Every Kedro command imports this
module, so MLflow is imported where it is used.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
from dataclasses import asdict, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol, DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from mixvision.addresses import shown
from mixvision.hooks import file_of, is_report, role, said_of, study_of, without_signals
from mixvision.tracking.answers import answer_in
from mixvision.tracking.database import check_database, create_database, follow_move
from mixvision.tracking.facts import counts_of, digest_of, facts, gpu
from mixvision.tracking.failures import explained
from mixvision.tracking.journal import PARENT, Journal
from mixvision.tracking.runs import LONGEST_TAG, NOTE, TrialRuns, milliseconds
from mixvision.tracking.sender import BackgroundSender, first_line, send_what_is_left
from mixvision.tracking.settings import complete_settings, require_experiment
from mixvision.tracking.view import how_to_open

if TYPE_CHECKING:
    from mixvision.datasets.reports import PageDataset
    from mixvision.datasets.tables import TableDataset
    from mixvision.tracking.plugin import Plugin
    from mixvision.training.events import TrainingEvents

log = logging.getLogger(__name__)

FOLDER = ".mlflow-journal"
RETRIES = "2"  # by MLflow itself, whose default blocks a call for 4.5 minutes; the journal tries again anyway


class TrackedRun:
    """What a run that is open in MLflow needs: a journal, the thread that sends it, and the listener of its trials."""

    def __init__(self, journal: Journal, events: TrainingEvents, is_foreign: bool) -> None:
        self.journal, self.events, self.is_foreign = journal, events, is_foreign
        self.sender = BackgroundSender(journal)
        self.trials = TrialRuns(journal)
        self.has_images = False
        self.events.listen(self.trials)
        self.sender.start()

    def end(self, status: str) -> bool:
        """End the runs and send the rest; returns whether MLflow has everything. A foreign run stays open."""
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


class Tracking:
    """Tracks each run: its parameters and reports, and a child run for each trial."""

    def __init__(self) -> None:
        self.run: TrackedRun | None = None
        self.folder, self.address = Path(), ""
        atexit.register(self.interrupted)

    @cached_property
    def plugin(self) -> Plugin:
        from mixvision.tracking.plugin import Plugin

        return Plugin()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", RETRIES)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs SQL before it raises an error
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it warns of each try of a server
        self.folder = Path(context.project_path) / FOLDER / study_of(context)
        loader = cast(OmegaConfigLoader, context.config_loader)
        self.settings = loader["globals"]
        loader["mlflow"] = complete_settings(loader["mlflow"], Path(context.project_path), self.folder.name)
        self.address = loader["mlflow"]["server"]["mlflow_tracking_uri"]
        create_database(self.address)
        follow_move(self.address)
        with explained(self.address):
            require_experiment(loader["mlflow"])
            self.plugin.after_context_created(context)

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        self.catalog = catalog

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        import mlflow

        self.interrupted()  # closes an earlier run of this process that Ctrl-C stopped, as in a notebook
        check_database(self.address)
        with explained(self.address):
            self.plugin.before_pipeline_run(run_params, pipeline, catalog)
        run = mlflow.active_run()
        if run:
            dead = send_what_is_left(self.folder, run.info.run_id)
            journal = Journal.create(
                self.folder / run.info.run_id,
                mlflow.get_tracking_uri(),
                run.info.experiment_id,
                run.info.run_id,
                self.plugin.is_foreign,
            )
            if dead:
                log.warning("%d runs of a process that was killed are marked as KILLED in MLflow.", len(dead))
                journal.write("set_tag", name="predecessors", value=", ".join(dead))
            names = ", ".join(run_params.get("pipeline_names") or [])
            for name, value in {"study": self.folder.name, "pipeline": names, **facts(self.folder.parents[1])}.items():
                journal.write("set_tag", name=name, value=value)
            journal.write("save_view", time=milliseconds())
            self.plugin.journal = journal
            self.run = TrackedRun(journal, catalog.load("training_events"), self.plugin.is_foreign)

    @hook_impl
    def before_node_run(self, node: Node, catalog: CatalogProtocol, inputs: dict[str, Any], is_async: bool) -> None:
        """Log the node's parameters, and remember its settings for the trials: flat, so that MLflow compares them."""
        if self.run:
            self.plugin.before_node_run(node, catalog, inputs, is_async)
            self.run.trials.settings = {}
            for name, value in inputs.items():
                if name.startswith("params:") and is_dataclass(value) and not isinstance(value, type):
                    self.run.trials.settings |= asdict(value)

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
            _describe(self.run.journal, data, dataset_name.partition(".")[0])
        self._note_images(dataset_name, data)
        if is_report(dataset_name, self.catalog):
            file = file_of(dataset_name, self.catalog)
            with self.run.journal.new_file(file.name, PARENT, file.parent.name) as path:
                if its_role == "page":  # MLflow shows it in a frame, where it finds no other file
                    path.write_text(cast("PageDataset", dataset).alone(), encoding="utf-8")
                else:
                    shutil.copyfile(file, path)

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
            told = {"name": f"{self.folder.name}/{domain}", "digest": digest_of(images), "source": source}
            self.run.journal.write("log_images", **told, counts=counts_of(images))

    @hook_impl
    def after_pipeline_run(self) -> None:
        if self.run and self.run.trials.known:
            state = self.run.journal.state
            print(f"Compare the models in MLflow: {how_to_open(state.experiment, state.tracking_uri)}")
        self._end("FINISHED")

    @hook_impl
    def on_pipeline_error(self) -> None:
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


def _describe(journal: Journal, summary: str, pipeline: str) -> None:
    """Make a summary the run's description, with a link to the page among the artifacts."""
    state = journal.state
    place = f"#/experiments/{state.experiment}/runs/{state.runs[PARENT]}/artifacts/{pipeline}/page.html"
    text = f"{summary.strip()[: LONGEST_TAG - 1000]}\n\n[The page, with every table and picture]({place})"
    journal.write("set_tag", name=NOTE, value=text)
