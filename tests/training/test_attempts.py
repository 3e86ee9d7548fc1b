"""Trials that run out of memory or are cancelled do not cost the others; other errors end the study."""

from __future__ import annotations

from concurrent.futures import CancelledError

import pandas as pd
import pytest
import torch

from mixvision.training.attempts import train_in_groups
from mixvision.training.events import TrainingEvents, TrainingListener
from mixvision.training.memory import is_out_of_memory, stop_using_onednn
from mixvision.training.results import SweepResult, outcome

OF_THE_CPU = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes. Error code 12"


class Recorder(TrainingListener):
    def __init__(self, *to_cancel: str) -> None:
        self.names, self.told = frozenset(to_cancel), {}

    def failed(self, trial, reason):
        self.told[trial] = reason

    def to_cancel(self):
        return self.names


@pytest.fixture(autouse=True)
def leave_the_garbage(monkeypatch):
    """Collecting it takes seconds where much is imported."""
    monkeypatch.setattr("mixvision.training.attempts._release_memory", lambda: None)


@pytest.fixture(autouse=True)
def with_onednn(monkeypatch):
    """As at the start of a process, and again afterwards."""
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", True)


def run(groups, errors=None, recorder=None) -> SweepResult:
    """Train groups of which each raises the error of the first of its trials that has one."""

    def train(names: list[str]) -> SweepResult:
        for name in names:
            if name in (errors or {}):
                raise errors[name]
        outcomes = pd.DataFrame([outcome(name, iterations=5, together=len(names)) for name in names])
        return SweepResult(pd.DataFrame(), pd.DataFrame(), outcomes, {name: {} for name in names})

    events = TrainingEvents(recorder or Recorder())
    return train_in_groups(train, groups, events, "batch_size (now 8)", {"iterations": 0, "together": 1})


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(OF_THE_CPU),
        torch.OutOfMemoryError("CUDA out of memory. Tried ..."),
        RuntimeError("could not execute a primitive"),
    ],
)
def test_a_trial_that_does_not_fit_is_found_by_halving_and_the_others_are_trained(error):
    recorder = Recorder()
    result = run([list("abcde"), ["f"]], {"d": error}, recorder)
    outcomes = result.outcomes.set_index("trial")
    assert list(outcomes.index) == list("abcdef")
    assert outcomes["status"].to_dict() == dict.fromkeys("abcef", "finished") | {"d": "out of memory"}
    assert outcomes["together"].to_dict() == {"a": 2, "b": 2, "c": 1, "d": 1, "e": 1, "f": 1}
    reason = "Out of memory, even when trained by itself: lower batch_size (now 8)."
    assert outcomes.loc["d", "reason"] == reason and recorder.told == {"d": reason}
    assert set(result.weights) == set("abcef")


def test_cancelled_trials_are_not_started_or_end():
    recorder = Recorder("a", "b", "c")
    result = run([["a", "b"], ["c", "d"], ["e"]], {"e": CancelledError("Cancelled after epoch 2.")}, recorder)
    outcomes = result.outcomes.set_index("trial")
    ended = {"a": "cancelled", "b": "cancelled", "c": "finished", "d": "finished", "e": "cancelled"}
    assert outcomes["status"].to_dict() == ended  # c is in a stack with d, which drops it at its first evaluation
    assert recorder.told == {
        "a": "Cancelled before it started.",
        "b": "Cancelled before it started.",
        "e": "Cancelled after epoch 2.",
    }


@pytest.mark.parametrize("error", [RuntimeError("a shape is wrong"), ValueError("a setting is wrong"), OSError(28, "")])
def test_other_errors_end_the_study(error):
    with pytest.raises(type(error)) as raised:
        run([["a", "b"]], {"a": error})
    assert raised.value is error


def test_after_an_error_of_onednns_compiler_the_rest_is_trained_without_it(caplog):
    """oneDNN fails from then on, also for networks that would fit: none of these may count as out of memory."""
    tried = []

    def train(names: list[str]) -> SweepResult:
        tried.append(names)
        if "b" in names and torch.backends.mkldnn.enabled:
            raise RuntimeError("could not create a primitive")
        outcomes = pd.DataFrame([outcome(name, iterations=5) for name in names])
        return SweepResult(pd.DataFrame(), pd.DataFrame(), outcomes, {name: {} for name in names})

    result = train_in_groups(train, [["a"], ["b", "c"], ["d"]], TrainingEvents(), "batch_size", {"iterations": 0})
    assert tried == [["a"], ["b", "c"], ["b", "c"], ["d"]]
    assert set(result.outcomes["status"]) == {"finished"}
    assert "computed without it" in caplog.text


def test_the_error_of_onednns_compiler_is_of_memory_and_ends_its_use_once():
    error = RuntimeError("could not create a primitive")
    assert is_out_of_memory(error)
    assert not stop_using_onednn(MemoryError()) and torch.backends.mkldnn.enabled
    assert [stop_using_onednn(error) for _ in range(2)] == [True, False]
    assert not torch.backends.mkldnn.enabled
