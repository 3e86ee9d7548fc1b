"""The figure, table and page of online learning carry the numbers of the arrivals."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from mixvision.reporting.formatting import DASH
from mixvision.reporting.style import COLOURS
from mixvision.studies.streams.page import arrivals_table, prequential_figure, streams_page, summary


@pytest.fixture
def arrivals() -> pd.DataFrame:
    """Three runs: the first measures nothing, the second both domains, the third brings real images only."""
    return pd.DataFrame(
        {
            "run": [1, 2, 3],
            "iterations": [200, 400, 600],
            "nice_new": [500, 40, 0],
            "real_new": [700, 60, 30],
            "nice_buffer": [500, 500, 500],
            "real_buffer": [500, 500, 500],
            "nice_trained": [192, 192, 192],
            "real_trained": [448, 448, 448],
            "nice_measured": [0, 38, 0],
            "real_measured": [0, 60, 29],
            "nice_top1": [np.nan, 0.64, np.nan],
            "real_top1": [np.nan, 0.25, 0.5],
            "performance_top1": [np.nan, 0.4, np.nan],
        }
    )


def test_accuracies_stand_at_the_number_of_images_known_before(arrivals):
    traces = {trace.name: trace for trace in prequential_figure(arrivals).data}
    assert list(traces["real"].x) == [1200, 1300] and list(traces["real"].y) == [0.25, 0.5]
    assert list(traces["nice"].x) == [1200] and list(traces["nice"].y) == [0.64]
    assert list(traces["performance"].y) == [0.4]
    assert all(trace.line.color == COLOURS[name] for name, trace in traces.items())


def test_the_table_has_a_row_a_run(arrivals):
    table = arrivals_table(arrivals)
    assert table["new"].tolist() == ["500 + 700", "40 + 60", "0 + 30"]
    assert table["measured"].tolist() == ["0 + 0", "38 + 60", "0 + 29"]
    assert table["performance"].tolist() == [DASH, "0.400", DASH]


def test_summary_and_page_say_what_came_out(arrivals):
    assert "0.640" in summary("Digits", "Something new.", arrivals)
    page = streams_page("Digits", "Something new.", arrivals, prequential_figure(arrivals))
    HTMLParser().feed(page)
    assert "Something new." in page and "Run 2 classified its arrivals with a performance of 0.400" in page


def test_after_the_first_run_the_page_says_what_to_do_next(arrivals):
    first = arrivals[:1]
    figure = prequential_figure(first)
    assert not any(len(trace.x) for trace in figure.data)
    assert "run again" in streams_page("Digits", "Run 1.", first, figure)
