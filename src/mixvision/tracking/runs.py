"""A child run in MLflow for every trial, written to the run's journal as training reports it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mixvision.tracking.answers import Answer
from mixvision.tracking.journal import Journal
from mixvision.tracking.names import FIRST, SELECTED, curve_name, prefix_of
from mixvision.training.events import TrainingListener
from mixvision.vocabulary import BEST_VALIDATION, split_snapshot_name

if TYPE_CHECKING:
    import pandas as pd

    from mixvision.models.trained import TrainedNetwork

SECONDS_BETWEEN_LOGS = 2.0
NOTE = "mlflow.note.content"  # the tag that MLflow shows as a run's description
WEIGHTS = f"{BEST_VALIDATION}.safetensors"  # an artifact of each trial
LONGEST_TAG = 8000  # characters that MLflow takes


class TrialRuns(TrainingListener):
    """Opens a child run for every trial, logs its curves while it trains, and stores its results and weights."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.settings: dict[str, Any] = {}  # of the node that runs
        self.open: set[str] = set()  # the trials that began in this process
        self.unlogged: list[dict] = []
        self.logged_at = 0.0

    def started(self, trials: pd.DataFrame) -> None:
        start = milliseconds() + len(trials)
        for place, trial in enumerate(trials.to_dict("records")):
            name = trial["trial"]
            self.journal.write("create_run", name, start_time=start - place)  # MLflow shows the latest first
            settings = {**self.settings, **trial}  # the trial's own take precedence; NaN means none
            parameters = {key: str(value) for key, value in settings.items() if value == value}
            self.journal.write("log_params", name, params=parameters)
            told = ", ".join(f"{key} {trial[key]}" for key in trial if key in parameters and key != "trial")
            self.journal.write("set_tag", name, name=NOTE, value=f"A model of this run: {told}.")
            self.open.add(name)

    def evaluated(self, history: list[dict]) -> None:
        self.unlogged += history
        if time.monotonic() - self.logged_at > SECONDS_BETWEEN_LOGS:
            self._log_curves()

    def failed(self, trial: str, reason: str) -> None:
        self.journal.write("set_tag", trial, name="failure", value=reason)
        self._close(trial, "FAILED")

    def pruned(self, trial: str, iteration: int) -> None:
        self.journal.write("set_tag", trial, name="pruned", value=f"at iteration {iteration}")
        self._close(trial, "KILLED")

    def cancelled(self, trial: str, reason: str) -> None:
        self.journal.write("set_tag", trial, name="cancelled", value=reason)
        self._close(trial, "KILLED")

    def finished(self, trial: str) -> None:
        self._close(trial, "FINISHED")

    def close(self, status: str) -> None:
        """End all child runs that are open, whichever process began them."""
        self.open = {trial for trial, child in self.journal.children().items() if child.is_open}
        for trial in tuple(self.open):
            self._close(trial, status)

    def log_final_metrics(self, table: pd.DataFrame, metrics: list[str], trial: str, prefix: str) -> None:
        """Log columns of a table to this run's trials. ``trial`` and ``prefix`` are templates, filled from each row."""
        known = self.journal.children()
        for row in table.to_dict("records"):
            name, before = trial.format(**row), prefix_of(row, prefix)
            points = [(before + metric, float(row[metric]), milliseconds(), 0) for metric in metrics]
            points = [point for point in points if point[1] == point[1]]  # no NaN
            if name in known and points:
                self.journal.write("log_metrics", name, points=points)

    def log_answer(self, answer: Answer) -> None:
        """Log to the parent what was chosen, mark the chosen trials, and make their networks models of MLflow's."""
        self.journal.write("log_params", params={f"{SELECTED}/{answer.setting}": answer.value})
        points = [(name, value, milliseconds(), 0) for name, value in answer.metrics.items()]
        self.journal.write("log_metrics", points=points)
        children = self.journal.children().items()
        chosen = {name: child for name, child in children if child.parameters.get(answer.setting) == answer.value}
        for name, child in chosen.items():
            self.journal.write("set_tag", name, name=SELECTED, value="yes")
            note = f"{answer.reason(len(chosen))} {child.tags.get(NOTE, '')}".strip()
            self.journal.write("set_tag", name, name=NOTE, value=note)
            if WEIGHTS in child.files:
                self.journal.write("log_model", name, params=child.parameters, weights=WEIGHTS)

    def keep_networks(self, networks: dict[str, TrainedNetwork]) -> None:
        """Store each trial's best network on the validation images with its run."""
        known = self.journal.children()
        for name, network in networks.items():
            trial, snapshot = split_snapshot_name(name)
            if trial in known and snapshot == BEST_VALIDATION:
                self.journal.keep_file(WEIGHTS, network.save, trial)

    def _log_curves(self) -> None:
        """Log all evaluations since the last call: a call takes 20 ms on SQLite, and short trials evaluate often."""
        by_trial: dict[str, dict[tuple[str, int], float]] = {}
        for row in self.unlogged:
            points = by_trial.setdefault(row["trial"], {})
            for name, value in row.items():
                if name not in ("trial", "iteration", "epoch", "split"):
                    points[curve_name(row["split"], name), row["iteration"]] = float(value)
        for trial, points in by_trial.items():
            ordered = sorted(points.items(), key=lambda point: point[0][0] not in FIRST)
            rows = [(name, value, milliseconds(), step) for (name, step), value in ordered]
            self.journal.write("log_metrics", trial, points=rows)
        self.unlogged, self.logged_at = [], time.monotonic()

    def _close(self, trial: str, status: str) -> None:
        self._log_curves()
        if trial in self.open:
            self.journal.write("set_terminated", trial, status=status, end_time=milliseconds())
            self.open.discard(trial)


def milliseconds() -> int:
    """The time in milliseconds since 1970, as MLflow counts it."""
    return int(time.time() * 1000)
