"""Listeners are told of events in order; copies of a relay, and the default, tell nobody."""

from __future__ import annotations

import pickle

import pandas as pd
import pytest

from mixvision.training.events import SILENT, TrainingEvents, TrainingListener

KINDS = {
    "started": (pd.DataFrame({"trial": ["a"]}),),
    "evaluated": ([{"trial": "a"}],),
    "failed": ("a", "diverged"),
    "pruned": ("a", 3),
    "finished": ("a",),
}


class Recorder(TrainingListener):
    def __init__(self, name: str, heard: list) -> None:
        self.name, self.heard = name, heard

    def __getattribute__(self, kind: str):
        if kind not in KINDS:
            return super().__getattribute__(kind)
        return lambda *told: self.heard.append((self.name, kind, told))


@pytest.mark.parametrize("kind", KINDS)
def test_every_listener_is_told_in_order(kind):
    heard = []
    events = TrainingEvents(Recorder("first", heard))
    events.listen(second := Recorder("second", heard))
    getattr(events, kind)(*KINDS[kind])
    events.stop(second)
    getattr(events, kind)(*KINDS[kind])
    assert heard == [(name, kind, KINDS[kind]) for name in ("first", "second", "first")]


@pytest.mark.parametrize("kind", KINDS)
def test_without_listeners_nothing_happens(kind):
    heard = []
    copy = pickle.loads(pickle.dumps(TrainingEvents(Recorder("original", heard))))
    for silent in (TrainingEvents(), copy, SILENT):
        getattr(silent, kind)(*KINDS[kind])
    assert heard == []
