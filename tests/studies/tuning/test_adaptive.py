"""The adaptive search keeps to its budget, prunes, survives divergence, and continues after a kill."""

from __future__ import annotations

import math
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from mixvision.studies.tuning.adaptive import AdaptiveSearch, search_adaptively
from mixvision.studies.tuning.grid import Grid, validation_sweeps
from mixvision.training.config import Training
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.results import NoResultError, SweepResult

pytestmark = pytest.mark.slow

GRID = Grid(
    ratios=(20, 80),
    learning_rates=(0.001, 0.1),
    first_l2=0.1,
    l2_factors=(0.01, 1.0),
    iterations=20,
    final_l2_factors=(0.1, 0.2),
    final_iterations=40,
)
SEARCH = AdaptiveSearch(startup_trials=2, warmup_iterations=20)
EVALUATE_EVERY = 10
KILL_EVERY = 7  # evaluations; trials have two or four, so that kills come at every point of a trial


def near_the_middle(trial) -> float:
    return 0.9 - 0.1 * abs(math.log10(trial.learning_rate / 0.01)) - 0.1 * abs(math.log10(trial.l2 / 0.1))


class Killed(Exception):  # noqa: N818 (not an error)
    pass


class KnownSweeps:
    """Stands in for the training: performances rise to a known height for each setting and are reported as by a sweep.

    It can be killed at an evaluation, counted over the whole search. A sweep then continues from its last checkpoint,
    one evaluation earlier, and reports what was evaluated before.
    """

    def __init__(self, height=near_the_middle, kill_at: int | None = None) -> None:
        self.height, self.kill_at, self.evaluations = height, kill_at, 0
        self.checkpoints: dict[str, tuple[int, list[dict], dict]] = {}
        self.folder = ""

    def with_checkpoints_in(self, name: str) -> KnownSweeps:
        self.folder = name
        return self

    def fingerprint(self, *settings) -> str:
        return repr(settings)

    def train(self, trials: pd.DataFrame, prune, events: TrainingListener) -> SweepResult:
        length = trials["iterations"].iloc[0]
        place = self.folder + trials.to_json()
        begin, rows, stopped = self.checkpoints.get(place, (0, [], {}))
        tell(events, rows, stopped)
        for iteration in range(begin + EVALUATE_EVERY, length + 1, EVALUATE_EVERY):
            self.checkpoints[place] = (iteration - EVALUATE_EVERY, rows, dict(stopped))
            new = [self.row(trial, iteration) for trial in trials.itertuples() if trial.trial not in stopped]
            failed = {row["trial"]: ("failed", iteration) for row in new if math.isnan(row["performance_top1"])}
            tell(events, new, failed)
            rows, stopped = rows + new, stopped | failed
            pruned = prune(new) if iteration < length else set()
            stopped |= {trial: ("pruned", iteration) for trial in pruned}
            self.evaluations += 1
            if self.evaluations == self.kill_at:
                raise Killed
        ends = [(trial, *stopped.get(trial, ("finished", length))) for trial in trials["trial"]]
        outcomes = pd.DataFrame(ends, columns=["trial", "status", "iterations"])
        outcomes["reason"] = outcomes["status"].map({"failed": "diverged"}).fillna("")
        if outcomes["status"].eq("failed").all():
            raise NoResultError(outcomes)
        return SweepResult(pd.DataFrame(rows), pd.DataFrame(), outcomes, {})

    def row(self, trial, iteration: int) -> dict:
        performance = self.height(trial) * (1 - 0.5 ** (iteration / 20))
        return {"trial": trial.trial, "iteration": iteration, "split": "validation", "performance_top1": performance}


def tell(events: TrainingListener, rows: list[dict], stopped: dict) -> None:
    events.evaluated(rows)
    for trial, (status, _) in stopped.items():
        if status == "failed":
            events.failed(trial, "diverged")


class Recorder(TrainingListener):
    """Records what it is told, as the experiment tracker would."""

    def __init__(self) -> None:
        self.heard: dict[str, set] = {name: set() for name in ("started", "evaluated", "failed", "pruned", "finished")}

    def started(self, trials):
        self.heard["started"] |= set(trials["trial"])

    def evaluated(self, history):
        self.heard["evaluated"] |= {(row["trial"], row["iteration"]) for row in history}

    def failed(self, trial, reason):
        self.heard["failed"].add(trial)

    def pruned(self, trial, iteration):
        self.heard["pruned"].add(trial)

    def finished(self, trial):
        self.heard["finished"].add(trial)


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> tuple[Path, tuple[pd.DataFrame, ...]]:
    """The file of a finished search, to be copied, and its tables: to search takes longer than what most tests do."""
    folder = tmp_path_factory.mktemp("searched")
    return folder / "studies.db", search_adaptively(SEARCH, GRID, KnownSweeps(), folder)


@pytest.fixture
def finished(searched, tmp_path) -> tuple[pd.DataFrame, ...]:
    """The tables of a finished search, whose studies are in the test's folder."""
    shutil.copy(searched[0], tmp_path)
    return searched[1]


def assert_same(one, other) -> None:
    for table, expected in zip(one, other, strict=True):
        pd.testing.assert_frame_equal(table, expected)


def test_it_spends_the_grids_budget_within_the_grids_range(finished):
    trials, history, outcomes = finished
    spent = outcomes["iterations"].sum()
    assert GRID.budget - 2 * 40 < spent <= GRID.budget
    assert trials["learning_rate"].between(0.001, 0.1).all() and trials["l2"].between(0.01, 1.0).all()
    assert trials["trial"].is_unique and set(trials["step"]) == {"adaptive"}
    assert trials["ratio"].tolist() == [20, 80] * (trials["round"].max() + 1)
    assert history.groupby("trial")["iteration"].max().to_dict() == outcomes.set_index("trial")["iterations"].to_dict()


@pytest.fixture(scope="module")
def long_search(tmp_path_factory) -> tuple[pd.DataFrame, ...]:
    """The tables of a search whose budget is enough for many trials."""
    grid = replace(GRID, final_l2_factors=tuple(np.arange(1, 21) / 20))
    return search_adaptively(SEARCH, grid, KnownSweeps(), tmp_path_factory.mktemp("long"))


def test_it_prunes_by_the_median_of_the_complete_trials_of_the_ratio(long_search):
    trials, history, outcomes = long_search
    told = trials.merge(outcomes, on="trial", suffixes=("", "_trained"))
    assert set(told["status"]) == {"finished", "pruned"}
    for trial in told.itertuples():
        earlier = told[(told["ratio"] == trial.ratio) & (told["round"] < trial.round) & (told["status"] == "finished")]
        own = history[history["trial"] == trial.trial].set_index("iteration")["performance_top1"]
        for iteration in own.index[(own.index >= 20) & (own.index < 40)]:
            others = history[history["trial"].isin(earlier["trial"]) & (history["iteration"] == iteration)]
            poor = len(earlier) >= 2 and own[:iteration].max() < others["performance_top1"].median()
            assert poor == (trial.status == "pruned" and trial.iterations_trained == iteration)
    cheaper = told.loc[told["status"] == "pruned", "iterations_trained"]
    assert (cheaper < 40).all()


def test_it_learns_where_the_good_settings_are(long_search):
    trials, _, _ = long_search
    heights = pd.Series([near_the_middle(trial) for trial in trials.itertuples()])
    third = trials["round"].max() // 3
    assert heights[trials["round"] > 2 * third].mean() > heights[trials["round"] < third].mean() + 0.02


@pytest.mark.parametrize("proposals", [1, 2])
def test_a_search_killed_anywhere_goes_on_to_the_same_result(tmp_path, proposals):
    search = replace(SEARCH, proposals=proposals)
    whole = KnownSweeps()
    expected = search_adaptively(search, GRID, whole, tmp_path)
    assert "pruned" in set(expected[2]["status"])
    for kill_at in range(1, whole.evaluations + 1, KILL_EVERY):
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        sweeps = KnownSweeps(kill_at=kill_at)
        with pytest.raises(Killed):
            search_adaptively(search, GRID, sweeps, folder)
        assert_same(search_adaptively(search, GRID, sweeps, folder), expected)


@pytest.mark.parametrize(("proposals", "recorded"), [(1, 3), (2, 7)])
def test_a_kill_while_writing_the_studies_neither_loses_nor_doubles_trials(tmp_path, monkeypatch, proposals, recorded):
    """With two proposals for each ratio, what the first of them led to must not change the second."""
    search = replace(SEARCH, proposals=proposals)
    expected = search_adaptively(search, GRID, KnownSweeps(), tmp_path)
    (folder := tmp_path / "killed").mkdir()
    sweeps, add, calls = KnownSweeps(), optuna.Study.add_trial, []

    def add_the_first(study, trial):
        if len(study.study_name) > 60:  # the studies in the file; those in memory have short names
            calls.append(trial)
            if len(calls) > recorded:
                raise Killed
        add(study, trial)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(optuna.Study, "add_trial", add_the_first)
        search_adaptively(search, GRID, sweeps, folder)
    assert_same(search_adaptively(search, GRID, sweeps, folder), expected)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE trial_params SET param_value = param_value * 2 WHERE trial_id = 3",
        "UPDATE trial_values SET value = value + 0.01 WHERE trial_id = 2",
        "UPDATE trial_user_attributes SET value_json = replace(value_json, '0.', '1.') WHERE key = 'history'",
        None,
    ],
)
def test_damaged_studies_are_set_aside_and_the_search_starts_anew(tmp_path, finished, damage):
    file = tmp_path / "studies.db"
    if damage:
        with closing(sqlite3.connect(file)) as database:
            assert database.execute(damage).rowcount > 0
            database.commit()
    else:
        file.write_bytes(file.read_bytes()[:8192])
    assert_same(search_adaptively(SEARCH, GRID, KnownSweeps(), tmp_path), finished)
    assert (tmp_path / "studies.db.damaged").exists()
    assert_same(search_adaptively(SEARCH, GRID, KnownSweeps(kill_at=1), tmp_path), finished)


def test_a_finished_search_is_reported_again_without_training(tmp_path, finished):
    trials, history, outcomes = finished
    recorder = Recorder()
    assert_same(search_adaptively(SEARCH, GRID, KnownSweeps(kill_at=1), tmp_path, recorder), finished)
    names = set(trials["trial"])
    assert recorder.heard["started"] == names and len(recorder.heard["evaluated"]) == len(history)
    by_status = outcomes.groupby("status")["trial"].agg(set)
    assert {name: recorder.heard[name] for name in ("pruned", "finished")} == by_status.to_dict()


def test_the_tables_show_what_was_trained_and_not_what_would_be_proposed_now(tmp_path, monkeypatch, finished):
    monkeypatch.setattr("mixvision.studies.tuning.adaptive._propose", lambda *_: {"learning_rate": 0.05, "l2": 0.5})
    assert_same(search_adaptively(SEARCH, GRID, KnownSweeps(kill_at=1), tmp_path), finished)


@pytest.mark.usefixtures("finished")
def test_another_optuna_starts_a_new_search(tmp_path, monkeypatch):
    monkeypatch.setattr(optuna, "__version__", "1000.0")
    search_adaptively(SEARCH, GRID, KnownSweeps(), tmp_path)
    assert len(optuna.get_all_study_names(f"sqlite:///{tmp_path / 'studies.db'}")) == 4


def test_changed_pruning_settings_do_not_use_old_checkpoints(tmp_path):
    """All trials are random here, so that both searches propose the same until the pruner makes a difference."""
    old, new = replace(SEARCH, startup_trials=1, warmup_iterations=0), replace(SEARCH, startup_trials=1)
    expected = search_adaptively(new, GRID, KnownSweeps(), tmp_path)
    for kill_at in (11, 14):  # the third and the fourth round, after the old settings pruned one trial and both
        (folder := tmp_path / str(kill_at)).mkdir()
        sweeps = KnownSweeps(kill_at=kill_at)
        with pytest.raises(Killed):
            search_adaptively(old, GRID, sweeps, folder)
        assert_same(search_adaptively(new, GRID, sweeps, folder), expected)


@pytest.mark.parametrize(
    ("search", "grid"),
    [
        (replace(SEARCH, seed=1), GRID),
        (SEARCH, replace(GRID, seed=1)),
        (SEARCH, replace(GRID, learning_rates=(0.001, 0.2))),
        (SEARCH, replace(GRID, final_iterations=30)),
    ],
)
def test_changed_settings_start_a_new_search(tmp_path, finished, search, grid):
    changed = search_adaptively(search, grid, KnownSweeps(), tmp_path)
    assert not changed[0].equals(finished[0])
    assert len(optuna.get_all_study_names(f"sqlite:///{tmp_path / 'studies.db'}")) == 4
    assert_same(
        search_adaptively(SEARCH, GRID, KnownSweeps(kill_at=1), tmp_path), finished
    )  # the old one is still there


def test_diverging_trials_fail_and_the_search_goes_on(tmp_path):
    """High rates diverge at 80% real; in some rounds everything does, and even so the budget is spent."""
    sweeps = KnownSweeps(lambda trial: math.nan if trial.learning_rate > (0.03, 0.006)[trial.ratio > 50] else 0.5)
    trials, _, outcomes = search_adaptively(SEARCH, GRID, sweeps, tmp_path)
    statuses = outcomes.merge(trials[["trial", "round", "ratio"]], on="trial")
    assert statuses.groupby("round")["status"].apply(lambda ends: set(ends) == {"failed"}).any()
    assert {"failed", "finished"} <= set(statuses["status"])
    assert (statuses.loc[statuses["status"] == "failed", "reason"] == "diverged").all()
    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    held = [
        trial
        for name in optuna.get_all_study_names(storage)
        for trial in optuna.load_study(study_name=name, storage=storage).trials
    ]
    failed = [trial for trial in held if trial.user_attrs["status"] == "failed"]
    assert len(held) == len(trials) and len(failed) == (outcomes["status"] == "failed").sum() > 0
    for trial in failed:
        assert (trial.state, trial.value, trial.intermediate_values) == (TrialState.COMPLETE, 0.0, {})
    recorder = Recorder()
    search_adaptively(SEARCH, GRID, KnownSweeps(kill_at=1), tmp_path, recorder)
    assert recorder.heard["failed"] == set(statuses.loc[statuses["status"] == "failed", "trial"])


class OneCancelled(KnownSweeps):
    """As the training, in which a user cancels a trial."""

    def train(self, trials, prune=None, events=SILENT):
        result = super().train(trials, prune, events)
        status = result.outcomes["status"].mask(result.outcomes["trial"] == "adaptive-020-001", "cancelled")
        return replace(result, outcomes=result.outcomes.assign(status=status))


def test_a_cancelled_trial_has_no_value_and_a_later_run_says_that_it_is_not_tried_again(tmp_path, caplog):
    _, _, outcomes = search_adaptively(SEARCH, GRID, OneCancelled(), tmp_path)
    assert outcomes.loc[outcomes["status"] == "cancelled", "trial"].tolist() == ["adaptive-020-001"]
    assert "Not tried again" not in caplog.text
    search_adaptively(SEARCH, GRID, KnownSweeps(kill_at=1), tmp_path)
    assert f"adaptive-020-001 (cancelled). To search anew, delete {tmp_path / 'studies.db'}." in caplog.text


def test_the_search_avoids_settings_that_diverge(tmp_path):
    """Upper half of the rates diverges; below, all settings are alike. Six seeds give 0.11 to 0.19, chance 0.5."""
    grid = replace(GRID, final_l2_factors=tuple(np.arange(1, 21) / 20))
    sweeps = KnownSweeps(lambda trial: math.nan if trial.learning_rate > 0.01 else 0.5)
    trials, _, outcomes = search_adaptively(SEARCH, grid, sweeps, tmp_path)
    failed = outcomes["status"].eq("failed")[trials["round"] > trials["round"].max() // 3]
    assert failed.mean() < 0.33


def test_the_pruner_ignores_diverged_trials(tmp_path):
    """With two startup trials of which one diverged, one alone has a curve: too few to prune by."""
    grid = replace(GRID, final_l2_factors=tuple(np.arange(1, 13) / 12))
    sweeps = KnownSweeps(lambda trial: math.nan if trial.learning_rate > 0.02 else near_the_middle(trial))
    trials, _, outcomes = search_adaptively(SEARCH, grid, sweeps, tmp_path)
    told = trials.merge(outcomes[["trial", "status"]], on="trial")
    assert {"failed", "pruned"} <= set(told["status"])
    for trial in told[told["status"] == "pruned"].itertuples():
        earlier = told[(told["ratio"] == trial.ratio) & (told["round"] < trial.round)]
        assert earlier["status"].eq("finished").sum() >= 2


def test_other_errors_are_not_taken_for_divergence(tmp_path):
    class Broken(KnownSweeps):
        def train(self, *_):
            raise ValueError("a training set is too small")

    with pytest.raises(ValueError, match="too small"):
        search_adaptively(SEARCH, GRID, Broken(), tmp_path)


def test_a_round_that_costs_more_than_the_budget_is_refused(tmp_path):
    with pytest.raises(ValueError, match="proposals is 9.*Lower proposals"):
        search_adaptively(replace(SEARCH, proposals=9), GRID, KnownSweeps(), tmp_path)


class Killer(Recorder):
    def __init__(self, kill_at: int) -> None:
        super().__init__()
        self.kill_at = kill_at

    def evaluated(self, history):
        super().evaluated(history)
        self.kill_at -= 1
        if not self.kill_at:
            raise Killed


def test_a_real_search_killed_in_training_goes_on_to_the_same_result(small_manifest, small_pixels, tmp_path):
    grid = replace(GRID, iterations=2, final_iterations=6, learning_rates=(0.001, 0.05), final_l2_factors=(0.01,))
    search = AdaptiveSearch(startup_trials=1, warmup_iterations=0)
    training = Training(evaluate_every=2, checkpoint_every=3, accelerator="cpu")

    def run(folder, events=SILENT):
        folder.mkdir(exist_ok=True)
        sweeps = validation_sweeps(small_manifest, small_pixels, grid, training, folder / "checkpoints")
        return search_adaptively(search, grid, sweeps, folder, events)

    expected = run(tmp_path / "whole")
    assert "pruned" in set(expected[2]["status"])
    with pytest.raises(Killed):
        run(tmp_path / "killed", Killer(kill_at=5))
    (study, *others) = {path.parts[-3] for path in tmp_path.glob("killed/checkpoints/*/*/last.ckpt")}
    assert others == [] and study in optuna.get_all_study_names(f"sqlite:///{tmp_path}/killed/studies.db")[0]
    assert_same(run(tmp_path / "killed"), expected)


@pytest.mark.parametrize(
    "wrong", [{"proposals": 0}, {"startup_trials": 1.5}, {"warmup_iterations": -1}, {"seed": None}]
)
def test_wrong_settings_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is"):
        AdaptiveSearch(**wrong)
