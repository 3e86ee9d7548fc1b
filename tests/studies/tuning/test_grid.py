"""The grid: which trials it makes, how it ranks them, and that it uses no test image."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from mixvision.schema.tables import PREDICTIONS
from mixvision.studies.tuning.grid import (
    Grid,
    choose_setting,
    chosen_trials,
    rank_settings,
    score_trials,
    search_grid,
    validation_sweeps,
)
from mixvision.training.config import Training
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.results import SweepResult

BRIEF = Training(evaluate_every=2, checkpoint_every=2, accelerator="cpu")
SMALL = Grid(
    ratios=(0, 50),
    learning_rates=(0.01, 0.02),
    first_l2=0.1,
    l2_factors=(0.05,),
    iterations=2,
    final_l2_factors=(0.1, 0.2),
    final_iterations=4,
)


class KnownSweeps:
    """Stands in for the training: a setting's performance is a known function, one evaluation a trial."""

    def __init__(self, performance) -> None:
        self.performance, self.trials = performance, []

    def train(self, trials: pd.DataFrame, prune=None, events: TrainingListener = SILENT) -> SweepResult:
        self.trials.append(trials)
        rows = [
            {
                "trial": trial.trial,
                "iteration": trial.iterations,
                "split": "validation",
                "performance_top1": self.performance(trial),
            }
            for trial in trials.itertuples()
        ]
        failed = [math.isnan(row["performance_top1"]) for row in rows]
        outcomes = trials[["trial", "iterations"]].assign(status=np.where(failed, "failed", "finished"), reason="")
        return SweepResult(pd.DataFrame(rows), PREDICTIONS.empty(), outcomes, {})


def near(rate: float, l2: float):
    """Best at one setting, everywhere else worse the further away."""
    return lambda trial: (
        0.9 - 0.1 * abs(math.log(trial.learning_rate / rate)) - 0.05 * abs(math.log(trial.l2 / l2)) - trial.ratio / 1000
    )


def test_the_study_has_165_trials_and_297000_model_iterations():
    sweeps = KnownSweeps(near(0.004, 0.3))
    trials, _, outcomes, _ = search_grid(Grid(), sweeps)
    assert [len(step) for step in sweeps.trials] == [44, 88, 33]
    assert trials["trial"].is_unique and trials["trial"].str.fullmatch(r"[a-z]+(-[\w.]+)+").all()
    assert outcomes["iterations"].sum() == Grid().budget == 297_000
    assert trials.groupby("step")["iterations"].unique().map(list).to_dict() == {
        "rates": [1500],
        "factors": [1500],
        "final": [3000],
    }


def test_each_step_goes_on_from_the_best_of_the_one_before():
    rates, factors, final = (KnownSweeps(near(0.0026, 0.3)), None, None)
    search_grid(Grid(), rates)
    rates, factors, final = rates.trials
    assert set(rates["learning_rate"]) == {0.001, 0.0025, 0.004, 0.0055} and set(rates["l2"]) == {0.7}
    assert set(factors["learning_rate"]) == {0.0025, 0.004} and set(factors["l2"]) == {0.1, 0.3, 2.0, 6.0}
    assert set(final["learning_rate"]) == {0.0025} and set(final["l2"]) == {0.1, 0.3, 0.5}
    assert set(rates["ratio"]) == set(final["ratio"]) == set(range(0, 101, 10))


def test_the_last_learning_rate_may_be_given_as_the_study_gives_it():
    sweeps = KnownSweeps(near(0.001, 0.3))
    trials, history, outcomes, _ = search_grid(Grid(final_learning_rate=0.004), sweeps)
    assert set(sweeps.trials[2]["learning_rate"]) == {0.004}
    chosen = choose_setting(score_trials(trials, history, outcomes))
    assert (chosen["learning_rate"], chosen["l2"]) == (0.004, 0.3)
    assert chosen["performance_top1"] == pytest.approx(
        np.mean([near(0.001, 0.3)(row) for row in sweeps.trials[2].query("l2 == 0.3").itertuples()])
    )
    assert "11 ratios from 0% to 100% real, 3000 iterations" in chosen["source"]


def test_a_setting_that_diverges_at_one_ratio_loses_to_one_that_works_for_all():
    def performance(trial):
        if trial.learning_rate == 0.0055:
            return math.nan if trial.ratio == 100 else 0.95
        return 0.94

    sweeps = KnownSweeps(performance)
    trials, history, outcomes, _ = search_grid(Grid(), sweeps)
    scores = score_trials(trials, history, outcomes)
    ranked = rank_settings(scores[scores["step"] == "rates"])
    assert ranked["learning_rate"].tolist() == [0.001, 0.0025, 0.004, 0.0055]  # equal ones in their order
    assert ranked["failed"].tolist() == [0, 0, 0, 1]
    assert ranked["performance_top1"].tolist() == pytest.approx([0.94] * 3 + [0.95 * 10 / 11])


def test_a_ratio_with_a_cancelled_trial_counts_for_no_setting():
    rows = [
        (0.1, 20, 0.5, "finished"),
        (0.1, 80, None, "cancelled"),
        (0.2, 20, 0.4, "finished"),
        (0.2, 80, 0.9, "finished"),
    ]
    scores = pd.DataFrame(rows, columns=["learning_rate", "ratio", "performance_top1", "status"]).assign(l2=1.0)
    ranked = rank_settings(scores.astype({"performance_top1": float}))
    assert ranked["learning_rate"].tolist() == [0.1, 0.2] and ranked["performance_top1"].tolist() == [0.5, 0.4]
    ranked = rank_settings(scores[scores["ratio"] == 80].astype({"performance_top1": float}))  # no other ratio remains
    assert ranked["learning_rate"].tolist() == [0.2, 0.1]
    assert ranked["performance_top1"].tolist() == pytest.approx([0.9, math.nan], nan_ok=True)  # and not 0
    assert ranked["failed"].tolist() == [0, 0]


def test_the_chosen_trials_are_those_of_the_last_step_with_a_result():
    sweeps = KnownSweeps(lambda trial: math.nan if trial.ratio == 30 else near(0.004, 0.3)(trial))
    trials, history, outcomes, _ = search_grid(Grid(), sweeps)
    scores = score_trials(trials, history, outcomes)
    names = [f"final-{ratio:03d}-0.004-0.3" for ratio in range(0, 101, 10) if ratio != 30]
    assert chosen_trials(scores, choose_setting(scores)) == names


def test_scores_are_the_best_validation_performances_without_test_images():
    trials = pd.DataFrame({"trial": ["a", "b"], "ratio": 50})
    outcomes = pd.DataFrame({"trial": ["b", "a"], "status": ["failed", "finished"], "reason": "", "iterations": [2, 4]})
    values = [("a", "validation", 0.5), ("a", "validation", 0.4), ("a", "test", 0.9), ("b", "validation", 0.8)]
    scores = score_trials(trials, pd.DataFrame(values, columns=["trial", "split", "performance_top1"]), outcomes)
    assert scores["performance_top1"].tolist() == pytest.approx([0.5, math.nan], nan_ok=True)
    assert scores["trained_iterations"].tolist() == [4, 2]


def test_without_validation_images_of_both_domains_there_is_nothing_to_choose_by():
    with pytest.raises(ValueError, match="keep some images of both domains for validation"):
        score_trials(
            pd.DataFrame({"trial": ["a"]}),
            pd.DataFrame({"trial": ["a"], "split": ["validation"], "performance_top1": [math.nan]}),
            pd.DataFrame({"trial": ["a"], "status": ["finished"], "reason": "", "iterations": [4]}),
        )


def test_the_grid_trains_on_real_images_and_measures_validation_images_only(small_manifest, small_pixels, tmp_path):
    sweeps = validation_sweeps(small_manifest, small_pixels, SMALL, BRIEF, tmp_path)
    tests = small_manifest.loc[small_manifest["split"] == "test", "id"]
    assert not set(sweeps.pool.ids) & set(tests)
    trials, history, outcomes, predictions = search_grid(SMALL, sweeps)
    assert len(trials) == 4 + 4 + 4 and set(history["trial"]) == set(trials["trial"])
    assert set(history["split"]) == {"validation"}
    assert history.groupby("trial")["iteration"].max().tolist() == trials.sort_values("trial")["iterations"].tolist()
    assert outcomes["status"].eq("finished").all() and outcomes["iterations"].sum() == SMALL.budget
    validated = small_manifest.loc[small_manifest["split"] == "validation", "id"]
    assert set(predictions["id"]) == set(validated) and set(predictions["snapshot"]) == {"best_validation"}
    assert len(predictions) == len(trials) * len(validated)
    assert len(list(tmp_path.iterdir())) == 3  # a checkpoint for every step
    again = search_grid(SMALL, sweeps)
    pd.testing.assert_frame_equal(again[1], history)


def test_the_fingerprint_tells_images_splits_and_settings_apart(small_manifest, small_pixels, tmp_path, monkeypatch):
    def fingerprint(manifest=small_manifest, pixels=small_pixels, training=BRIEF, setting: object = 1) -> str:
        return validation_sweeps(manifest, pixels, SMALL, training, tmp_path).fingerprint(setting)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    first = fingerprint()
    assert first == fingerprint(training=replace(BRIEF, checkpoint_every=9))  # which changes no result
    swapped = small_manifest.copy()
    swapped.loc[swapped["split"] == "test", "split"] = "validation"
    darker = {**small_pixels, "real": small_pixels["real"] // 2}
    others = [
        fingerprint(setting=2),
        fingerprint(training=replace(BRIEF, evaluate_every=3)),
        fingerprint(manifest=swapped),
        fingerprint(pixels=darker),
    ]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("mixvision.training.needs.free_bytes", lambda device: 2**30)  # there is no GPU to ask
    others.append(fingerprint(training=replace(BRIEF, accelerator="auto")))
    assert len({first, *others}) == 6


@pytest.mark.parametrize(
    "wrong",
    [
        {"ratios": (0, 101)},
        {"learning_rates": ()},
        {"learning_rates": (0.1, 0.1)},
        {"l2_factors": (0.0,)},
        {"final_l2_factors": "0.1"},
        {"first_l2": None},
        {"final_learning_rate": -1},
        {"iterations": 0},
        {"final_iterations": 1.5},
    ],
)
def test_wrong_settings_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"{name} is"):
        Grid(**wrong)


def test_lists_of_a_parameters_file_are_taken_as_numbers():
    grid = Grid(ratios=[0, 50], l2_factors=[2, 6])
    assert grid.ratios == (0, 50) and grid.l2_factors == (2.0, 6.0)
