"""The figure, table and page of online learning carry the numbers of the arrivals."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from page_reader import Reader
from page_terms import require_explained_terms
from PIL import Image

from mixvision.reporting.formatting import DASH
from mixvision.reporting.style import COLOURS
from mixvision.studies.streams.page import arrivals_table, prequential_figure, streams_page, summary

SETTINGS = {"buffer": 1000, "stack_size": None}


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


def test_accuracies_are_drawn_at_the_number_of_images_known_before(arrivals):
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


def test_terms_are_explained(arrivals):
    require_explained_terms(streams_page("Digits", arrivals, prequential_figure(arrivals), None, SETTINGS))


def test_summary_and_page_give_the_last_measured_arrival(arrivals):
    """The third run brings no nice images, so that the second is the last one measured on both domains."""
    html = streams_page("Digits", arrivals, prequential_figure(arrivals), None, SETTINGS)
    page, last = Reader(html), arrivals.set_index("run").loc[2]
    answer = page.section("").partition("Run 2 ")[2].partition(").")[0]
    expected = [f"{last[f'{name}_top1']:.3f}" for name in ("performance", "nice", "real")]
    assert re.findall(r"\d\.\d{3}", answer) == expected
    assert page.key_numbers == ["3", "600", "540", "790", expected[0]]
    shown = page.table("run", "trained on")
    assert shown.to_numpy().tolist() == arrivals_table(arrivals).astype("str").to_numpy().tolist()
    text = summary("Digits", arrivals)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert rows[2:] == shown.to_numpy().tolist()
    news = "Run 3: 0 new nice and 30 new real images."
    assert text.endswith(news) and news in page.section("Run by run")


def test_the_first_run_has_no_performance_yet(arrivals):
    first = arrivals[:1]
    assert prequential_figure(first) is None
    html = streams_page("Digits", first, None, None, SETTINGS)
    assert Reader(html).table("setting").to_numpy().tolist() == [
        ["buffer", "1,000"],
        ["models trained together", "automatic"],
    ]
    assert Reader(html).key_numbers == ["1", "200", "500", "700"]
    assert Reader(html).table("run", "performance")["performance"].tolist() == [DASH]


def test_the_mistakes_on_the_last_arrival_are_pictures(arrivals):
    figure, sheet = prequential_figure(arrivals), Image.new("RGB", (40, 30), "red")
    assert "What the network got wrong" not in Reader(streams_page("Digits", arrivals, figure, None, SETTINGS)).headings
    html = streams_page("Digits", arrivals, figure, sheet, SETTINGS)
    assert "Most confident mistakes" in Reader(html).section("What the network got wrong")
    require_explained_terms(html)
