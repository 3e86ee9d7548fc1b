"""Progress where no terminal shows it: few lines, and none of short work."""

from __future__ import annotations

import io
import os

import pytest
from tqdm import tqdm

from mixvision import progress as shown
from mixvision.progress import Lines, progress


class Clock:
    """A clock that a test sets; tqdm has one of its own, and is asked for lines at every step."""

    def __init__(self, monkeypatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(shown.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize(("seconds", "lines"), [(0.2, 0), (1, 3), (10, 33)])
def test_a_line_every_30_seconds(clock, seconds, lines):
    """Of a hundred steps that are all shown."""
    written = io.StringIO()
    with Lines(total=100, desc="decoding", unit="image", file=written, mininterval=0, miniters=1) as bar:
        for _ in range(100):
            clock.now += seconds
            bar.n += 1
            bar.refresh()
    found = written.getvalue().splitlines()
    assert len(found) == lines
    assert "\r" not in written.getvalue()


def test_a_line_says_what_how_far_and_how_long_still():
    about = {"prefix": "decoding real images: ", "unit": "image"}
    assert Lines.format_meter(1200, 5000, 60, **about) == (
        "decoding real images: 1,200 of 5,000 images, 24%, 01:00 so far, 03:10 left"
    )
    assert Lines.format_meter(7, None, 5) == "progress: 7 its, 00:05 so far"
    assert Lines.format_meter(0, 5, 5, unit="part") == "progress: 0 of 5 parts, 0%, 00:05 so far, unknown left"


@pytest.mark.parametrize(("size", "kind"), [((24, 80), tqdm), ((0, 0), Lines), ((0, 80), Lines)])
def test_a_terminal_shows_a_bar(monkeypatch, size, kind):
    """One of unknown size, as in some containers, would show blank lines."""
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    assert type(progress(total=1, disable=True)) is Lines
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, size)
    with os.fdopen(theirs, "w") as terminal, os.fdopen(ours, "rb"):
        monkeypatch.setattr(shown.sys, "stderr", terminal)
        assert type(progress(total=1, disable=True)) is kind
