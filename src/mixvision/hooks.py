"""Hooks around a run: an MLflow child run for each model, reports as artifacts, and a summary at the end.

The catalog gives a dataset its role for these hooks, ``metadata: {mixvision: {role: ...}}``:

- final_metrics: a table with metrics of trials; its schema says which columns are metrics. ``trial`` and ``prefix``
  are templates filled from each row, by default "{trial}" and "{snapshot}.": the trial's name and its metrics' prefix.
- models: trained networks, stored with the trials' runs.
- checkpoints: a folder that is removed when the run has finished.
- summary: a text that is printed at the end; page: a file whose path is printed.

Every Kedro command imports this module, so MLflow and modules that import torch or pandas are imported where used.
"""

from __future__ import annotations

import atexit
import logging
import shutil
import signal
import tempfile
import threading
import time
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kedro.config import OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import AbstractDataset, CatalogProtocol, DataCatalog
from kedro.pipeline import Pipeline

from mixvision.addresses import with_shown_addresses
from mixvision.parameter_names import (
    declared,
    names_of_runtime_params,
    refuse_fixed_globals,
    refuse_old_names,
    refuse_unknown_names,
)
from mixvision.training.events import TrainingEvents, TrainingListener
from mixvision.vocabulary import BEST_VALIDATION, TEST, split_snapshot_name

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

    from mixvision.datasets.tables import TableDataset
    from mixvision.models.trained import TrainedNetwork

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LOGS = 2.0


class TrialRuns(TrainingListener):
    """Opens a child run for every trial of a sweep, logs its curves while it trains, and stores its weights.

    A client writes to child runs by their ids, so the run that kedro-mlflow opened stays the active one.
    """

    client: MlflowClient  # set once MLflow has an active run

    def __init__(self) -> None:
        self.events: TrainingEvents | None = None  # set while listening
        self.parent = ""  # the id of the active run, or empty
        self.runs: dict[str, str] = {}
        self.open: set[str] = set()
        self.settings: dict[str, Any] = {}
        self.unlogged: list[dict] = []
        self.logged_at = 0.0
        atexit.register(self.interrupted)

    @hook_impl
    def before_pipeline_run(self, catalog: CatalogProtocol) -> None:
        import mlflow

        self.catalog = catalog
        self.interrupted()  # closes an earlier run of this process that Ctrl-C stopped, as in a notebook
        self.runs, self.open, self.unlogged = {}, set(), []
        run = mlflow.active_run()
        self.parent = run.info.run_id if run else ""
        if run:
            self.client = mlflow.MlflowClient()
            if mlflow.get_tracking_uri().startswith("sqlite"):  # a server may have runs of other machines
                self._end_dead_runs(run.info.experiment_id)
            events: TrainingEvents = catalog.load("training_events")
            events.listen(self)
            self.events = events

    def _end_dead_runs(self, experiment: str) -> None:
        """Mark what a killed process left as running. This run has the study's lock, so no other is alive."""
        running = self.client.search_runs([experiment], "attributes.status = 'RUNNING'")
        dead = [run for run in running if run.info.run_id != self.parent]
        for run in dead:
            self.client.set_tag(run.info.run_id, "ended", f"found dead by the run {self.parent}")
            self.client.set_terminated(run.info.run_id, "KILLED")
        if dead:
            log.warning("%d runs of a process that was killed are marked as KILLED in MLflow.", len(dead))
            self.client.set_tag(self.parent, "predecessors", ", ".join(run.info.run_id for run in dead))

    @hook_impl
    def after_pipeline_run(self) -> None:
        self._stop("FINISHED")

    @hook_impl
    def on_pipeline_error(self) -> None:
        self._stop("FAILED")

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any) -> None:
        """Store each trial's final metrics and weights with its run."""
        if not self.parent:
            return
        dataset = self.catalog.get(dataset_name)
        if role(dataset) == "final_metrics":
            self._log_final_metrics(data, cast("TableDataset", dataset))
        if role(dataset) == "models":
            self._keep_networks(data)

    @hook_impl
    def before_node_run(self, inputs: dict[str, Any]) -> None:
        """Remember the node's settings as flat parameters, the only ones by which MLflow compares runs."""
        self.settings = {}
        for name, value in inputs.items():
            if name.startswith("params:") and is_dataclass(value) and not isinstance(value, type):
                self.settings |= asdict(value)

    def started(self, trials: pd.DataFrame) -> None:
        from mlflow.entities import Param
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        experiment = self.client.get_run(self.parent).info.experiment_id
        for trial in trials.to_dict("records"):
            tags = {MLFLOW_PARENT_RUN_ID: self.parent}
            run = self.client.create_run(experiment, tags=tags, run_name=trial["trial"])
            self.runs[trial["trial"]] = run.info.run_id
            self.open.add(trial["trial"])
            settings = {**self.settings, **trial}  # the trial's own take precedence; NaN means none
            parameters = [Param(name, str(value)) for name, value in settings.items() if value == value]
            self.client.log_batch(run.info.run_id, params=parameters)

    def evaluated(self, history: list[dict]) -> None:
        self.unlogged += history
        if time.monotonic() - self.logged_at > SECONDS_BETWEEN_LOGS:
            self._log_curves()

    def failed(self, trial: str, reason: str) -> None:
        self.client.set_tag(self.runs[trial], "failure", reason)
        self._close(trial, "FAILED")

    def pruned(self, trial: str, iteration: int) -> None:
        self.client.set_tag(self.runs[trial], "pruned", f"at iteration {iteration}")
        self._close(trial, "KILLED")

    def finished(self, trial: str) -> None:
        self._close(trial, "FINISHED")

    def interrupted(self) -> None:
        """Mark a run as killed when the process ends in the middle of it: Ctrl-C raises no pipeline error."""
        if self.events:
            import mlflow

            self._stop("KILLED")
            while mlflow.active_run():  # kedro-mlflow re-enters the run for every node
                mlflow.end_run("KILLED")
            self.client.set_terminated(self.parent, "KILLED")  # MLflow may have ended it as FINISHED before

    def _log_curves(self) -> None:
        """Log all evaluations since the last call: a call takes 20 ms on SQLite, and short trials evaluate often."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        by_trial: dict[str, dict[tuple[str, int], float]] = {}
        for row in self.unlogged:
            prefix = "" if row["split"] == "test" else f"{row['split']}_"
            points = by_trial.setdefault(row["trial"], {})
            for name, value in row.items():
                if name not in ("trial", "iteration", "epoch", "split"):
                    points["loss" if name == "loss" else prefix + name, row["iteration"]] = value
        for trial, points in by_trial.items():
            metrics = [Metric(name, value, now, step) for (name, step), value in points.items()]
            for begin in range(0, len(metrics), 1000):  # MLflow takes at most 1000 at once
                self.client.log_batch(self.runs[trial], metrics=metrics[begin : begin + 1000])
        self.unlogged, self.logged_at = [], time.monotonic()

    def _log_final_metrics(self, table: pd.DataFrame, dataset: TableDataset) -> None:
        """Log a table's metrics of this run's trials; of a table with a split column only those on test images."""
        from mlflow.entities import Metric

        now, about = int(time.time() * 1000), said_of(dataset, "mixvision")
        tested = table[table["split"] == TEST] if "split" in table else table
        for row in tested.to_dict("records"):
            trial = about.get("trial", "{trial}").format(**row)
            prefix = about.get("prefix", "{snapshot}.").format(**row)
            values = {prefix + name: row[name] for name in dataset.table.metrics(table)}
            final = [Metric(name, value, now, 0) for name, value in values.items() if value == value]  # no NaN
            if trial in self.runs and final:
                self.client.log_batch(self.runs[trial], metrics=final)

    def _keep_networks(self, networks: dict[str, TrainedNetwork]) -> None:
        """Store each trial's best network on the validation images with its run."""
        with tempfile.TemporaryDirectory() as folder:
            for name, network in networks.items():
                trial, snapshot = split_snapshot_name(name)
                if trial in self.runs and snapshot == BEST_VALIDATION:
                    network.save(Path(folder) / f"{snapshot}.safetensors")
                    self.client.log_artifact(self.runs[trial], Path(folder) / f"{snapshot}.safetensors")

    def _close(self, trial: str, status: str) -> None:
        self._log_curves()
        if trial in self.open:
            self.client.set_terminated(self.runs[trial], status)
            self.open.discard(trial)

    def _stop(self, status: str) -> None:
        for trial in tuple(self.open):
            self._close(trial, status)
        if self.events:
            self.events.stop(self)
            self.events = None


class ParameterNames:
    """Refuses an unknown study, and parameters with an old or unknown name, before anything is read or trained."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        loader = cast(OmegaConfigLoader, context.config_loader)
        self.require_environment(loader)
        base, patterns = Path(loader.conf_source) / "base", loader.config_patterns
        parameters, settings, runtime = loader["parameters"], loader["globals"], loader.runtime_params
        changeable = names_of_runtime_params(base, [*patterns["parameters"], *patterns["catalog"]])
        known = {**dict.fromkeys(changeable), **declared(base, patterns["parameters"])}
        known_settings = declared(base, patterns["globals"])
        refuse_old_names(parameters)
        refuse_unknown_names(settings, known_settings, "global setting")
        refuse_fixed_globals(runtime, known_settings, known)
        refuse_unknown_names(parameters, known)

    @staticmethod
    def require_environment(loader: OmegaConfigLoader) -> None:
        """Refuse an environment without a folder; Kedro would run the bundled sample instead."""
        conf, name = Path(loader.conf_source), loader.env or loader.default_run_env
        if name in (None, loader.base_env, loader.default_run_env) or (conf / name).is_dir():
            return
        known = ", ".join(sorted(path.name for path in conf.iterdir() if (path / "globals.yml").exists()))
        raise ValueError(
            f"There is no study {name!r} in {conf} (there are {known}): correct --env, or make one for your own images "
            f"by make study NAME={name} NICE=<folder, archive or URL> REAL=<the same>."
        )


class SourceCheck:
    """Checks every image source and the published numbers before any image is fetched or decoded.

    Nodes with the tag "check", which only look at parameters, run then, too. And passwords in the command's addresses
    are hidden before kedro-mlflow records it.
    """

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        from mixvision.datasets.images import ImageSourceDataset
        from mixvision.datasets.published import PublishedDataset

        for name in ("runtime_params", "extra_params"):
            if run_params.get(name):
                run_params[name] = with_shown_addresses(run_params[name])
        for name in sorted(pipeline.inputs()):
            dataset = catalog.get(name)
            if isinstance(dataset, ImageSourceDataset | PublishedDataset):
                dataset.check()
        for node in pipeline.only_nodes_with_tags("check").nodes:
            node.run({name: catalog.load(name) for name in node.inputs})


class Termination:
    """Ends a run that the system stops (SIGTERM) as Ctrl-C does: runs are marked as killed, and checkpoints stay."""

    @hook_impl
    def before_pipeline_run(self) -> None:
        in_main_thread = threading.current_thread() is threading.main_thread()  # only there signals can be handled
        if in_main_thread and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._leave)

    @staticmethod
    def _leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)


class ReportArtifacts:
    """Logs every dataset of the reporting layer to the run when it is saved."""

    @hook_impl
    def after_catalog_created(self, catalog: DataCatalog) -> None:
        self.catalog = catalog

    @hook_impl
    def after_dataset_saved(self, dataset_name: str) -> None:
        import mlflow

        layer = said_of(self.catalog.get(dataset_name), "kedro-viz").get("layer")
        if layer == "reporting" and mlflow.active_run():
            path = file_of(dataset_name, self.catalog)
            mlflow.log_artifact(str(path), artifact_path=path.parent.name)


class RunSummary:
    """Prints the results at the end of a run and removes checkpoints that are no longer needed."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        for name in sorted(pipeline.inputs()):
            if role(catalog.get(name)) == "checkpoints":
                shutil.rmtree(catalog.load(name))
        outputs = {name: role(catalog.get(name)) for name in sorted(pipeline.all_outputs())}
        for name in (name for name, its_role in outputs.items() if its_role == "summary"):
            print(f"\n{catalog.load(name)}")
        for name in (name for name, its_role in outputs.items() if its_role == "page"):
            print(f"\nThe page, with every table and picture: {file_of(name, catalog)}")
        if "models" in outputs.values():
            print("Compare the models in MLflow: make mlflow. Look at the pipeline in kedro-viz: make viz.")


def role(dataset: AbstractDataset | None) -> str | None:
    """A dataset's role for the hooks, as set in the catalog; None for most."""
    return said_of(dataset, "mixvision").get("role")


def said_of(dataset: AbstractDataset | None, reader: str) -> dict[str, Any]:
    """The part of a dataset's catalog metadata for one reader, kedro-viz or mixvision."""
    return (getattr(dataset, "metadata", None) or {}).get(reader) or {}


def file_of(name: str, catalog: DataCatalog) -> Path:
    """The file that the catalog names for a dataset."""
    return Path(catalog.config_resolver.resolve_pattern(name)["filepath"])
