"""The hook tracks each dataset by its role in the catalog."""

from __future__ import annotations

import math
import os
import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from kedro.io import DataCatalog

from mixvision.configuration import ConfigLoader
from mixvision.settings import CONFIG_LOADER_ARGS
from mixvision.tracking.answers import Answer
from mixvision.tracking.facts import counts_of, digest_of
from mixvision.tracking.hooks import Tracking
from mixvision.tracking.journal import PARENT, Journal
from mixvision.tracking.runs import NOTE, TrialRuns

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def tracking(tmp_path, monkeypatch) -> Tracking:
    """The hook in a run of the sample study that has begun two trials. Nothing sends its journal."""
    monkeypatch.chdir(tmp_path)
    journal = Journal.create(tmp_path / "journal", "nowhere", "1", "parent")
    trials = TrialRuns(journal)
    trials.started(pd.DataFrame({"trial": ["a", "run-002"]}))
    hook = Tracking()
    hook.catalog = DataCatalog.from_config(ConfigLoader(str(CONF), **CONFIG_LOADER_ARGS)["catalog"])
    hook.run = SimpleNamespace(journal=journal, trials=trials, has_images=False, description="")
    yield hook
    hook.run = None


def logged(tracking: Tracking) -> dict[str, dict[str, float]]:
    """By trial, all metrics that were logged since the last call."""
    found, journal = {}, tracking.run.journal
    while entry := journal.next():
        if entry.do == "log_metrics":
            points = entry.arguments["points"]
            found.setdefault(entry.run, {}).update({name: value for name, value, time, step in points})
        journal.advance()
    return found


def test_the_schemas_metrics_are_logged_under_the_name_of_their_split(tracking):
    rows = [("a", "last", "test", 0.5), ("a", "last", "validation", 0.6), ("other", "last", "test", 0.7)]
    metrics = pd.DataFrame(rows, columns=["trial", "snapshot", "split", "top1"])
    tracking.after_dataset_saved(
        "baselines.metrics", metrics.assign(images=3, top3=1.0, nice_top1=math.nan, real_top1=0.25)
    )
    assert logged(tracking) == {
        "a": {
            f"last/{split}/{name}": value
            for split, top1 in (("test", 0.5), ("validation", 0.6))
            for name, value in (("top1", top1), ("top3", 1.0), ("real_top1", 0.25))
        }
    }


def test_tuning_logs_scores_but_not_settings(tracking):
    scores = pd.DataFrame({"trial": ["a"], "learning_rate": 0.1, "l2": 0.2, "performance_top1": 0.75})
    tracking.after_dataset_saved("tuning.grid_scores", scores)
    assert logged(tracking) == {"a": {"selected/validation/performance_top1": 0.75}}
    tracking.after_dataset_saved("tuning.adaptive_scores", scores.assign(performance_top1=math.nan))
    assert logged(tracking) == {}  # it diverged


def test_metrics_of_an_arrival_are_logged_to_its_own_run(tracking):
    arrivals = pd.DataFrame(
        {"run": [1, 2], "nice_measured": [0, 4], "nice_top1": [None, 0.5], "real_top1": [None, 1.0]}
    )
    tracking.after_dataset_saved("streams.arrivals", arrivals)
    assert logged(tracking) == {"run-002": {"prequential/nice_top1": 0.5, "prequential/real_top1": 1.0}}


def test_other_tables_are_not_logged(tracking):
    tracking.after_dataset_saved("mixing.mistakes", pd.DataFrame({"performance_top1": [0.5]}))
    assert logged(tracking) == {}


def test_the_parent_says_which_ratio_was_chosen_and_its_trials_say_so(tracking):
    """Chosen on validation images; the best on the test images is another one."""
    journal = tracking.run.journal
    tracking.run.trials.started(pd.DataFrame({"trial": ["ratio-050", "ratio-060"], "ratio": [50, 60]}))
    table = pd.DataFrame(
        {
            "ratio": [50, 60, 60],
            "snapshot": ["best_validation", "best_validation", "last"],
            "validation_performance_top1": [0.8, 0.9, math.nan],
            "performance_top1": [0.95, 0.7, 0.99],
            "performance_top1_low": [0.9, 0.6, 0.9],
            "performance_top1_high": [1.0, 0.8, 1.0],
        }
    )
    while journal.next():
        journal.advance()
    tracking.after_dataset_saved("mixing.metric_table", table)
    entries = []
    while entry := journal.next():
        entries.append(entry)
        journal.advance()
    parameters, metrics, tag = entries[:3]
    assert parameters.arguments == {"params": {"selected/ratio": "60"}}
    assert {name: value for name, value, *_ in metrics.arguments["points"]} == {
        "selected/validation/performance_top1": 0.9,
        "selected/test/performance_top1": 0.7,
        "selected/test/performance_top1_low": 0.6,
        "selected/test/performance_top1_high": 0.8,
    }
    assert (tag.run, tag.arguments) == ("ratio-060", {"name": "selected", "value": "yes"})
    assert (entries[3].run, entries[3].arguments["name"]) == ("ratio-060", NOTE)
    assert entries[3].arguments["value"] == (
        "Chosen: its ratio, 60, has the highest performance on the validation images (0.900). "
        "A model of this run: ratio 60."
    )


@pytest.mark.parametrize(
    ("answer", "models", "sentence"),
    [
        (Answer("trial", "cnn", {"selected/validation/top1": 0.5}), 1, "it has the highest accuracy on the .* (0.500)"),
        (
            Answer("share", "20", {"selected/validation/performance_top1": 0.25}),
            5,
            "its share, 20, has the highest performance on the .* (0.250, the mean of 5 models)",
        ),
    ],
)
def test_a_chosen_model_says_by_what_it_was_chosen(answer, models, sentence):
    assert re.fullmatch(f"Chosen: {sentence.replace('(', '[(]').replace(')', '[)]')}.", answer.reason(models))


def test_the_digest_of_images_changes_with_their_pixels_and_splits_alone():
    images = pd.DataFrame({"id": ["a", "b"], "category": "fig", "status": "kept", "split": ["train", "test"]})
    images = images.assign(square_sha256=["1", "2"], phash=[3, 4])
    digest = digest_of(images)
    assert digest == digest_of(images[::-1].assign(phash=0)) and 0 < len(digest) <= 36
    assert digest != digest_of(images.assign(split="train")) and digest != digest_of(images.assign(square_sha256="1"))
    assert counts_of(images) == {"images": 2, "train": 1, "test": 1}


def test_a_failed_run_says_why_before_what_it_had_found(tracking, monkeypatch):
    monkeypatch.setattr(tracking, "_end", lambda status: None)
    tracking.after_dataset_saved("ingestion.summary", "Digits: images\n\nAll are kept.")
    tracking.on_pipeline_error(ValueError("iterations is 0; give a whole number of 1 or more."))
    notes, journal = [], tracking.run.journal
    while entry := journal.next():
        if entry.run == PARENT and entry.arguments.get("name") == NOTE:
            notes.append(entry.arguments["value"])
        journal.advance()
    assert len(notes) == 2 and notes[0].startswith("[The page, ") and "All are kept." in notes[0]
    assert notes[1] == f"**Failed:** ValueError: iterations is 0; give a whole number of 1 or more.\n\n{notes[0]}"


def test_how_a_trial_ended_is_its_status_in_mlflow(tracking):
    trials, journal = tracking.run.trials, tracking.run.journal
    trials.cancelled("a", "cancelled by the user")
    trials.failed("run-002", "the loss is not a number")
    found = []
    while entry := journal.next():
        if entry.do in ("create_run", "log_params") or entry.arguments.get("name") == NOTE:
            journal.advance()
            continue
        found.append((entry.run, *(entry.arguments[name] for name in ("name", "status") if name in entry.arguments)))
        journal.advance()
    assert found == [("a", "cancelled"), ("a", "KILLED"), ("run-002", "failure"), ("run-002", "FAILED")]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals to send to one process")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_cut_off_what_the_first_one_began(sent):
    """The impatient Ctrl-C: MLflow took a run that was stopped in the middle for FINISHED."""
    hook, ended = Tracking(), []

    def end(status):
        os.kill(os.getpid(), sent)
        ended.append(status)

    before = signal.getsignal(sent)
    hook.plugin = SimpleNamespace(leave=lambda: ended.append("left"))
    hook.run = SimpleNamespace(end=end)
    hook.interrupted()
    assert ended == ["KILLED", "left"] and signal.getsignal(sent) is before
