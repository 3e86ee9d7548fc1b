"""Tables, pictures and the settings of a page."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from page_reader import Reader
from PIL import Image

from mixvision.reporting.page import Page, Picture, Section, Table, render_page
from mixvision.reporting.scripts import SCRIPT_NAME, self_contained
from mixvision.reporting.settings import ReportParameters


def test_text_is_escaped():
    name = "<script>alert(1)</script>"
    table = Table(name, pd.DataFrame({name: [name]}))
    html = render_page(Page(name, name, name, [(name, name)], [Section(name, [name], [table])], footnotes=[name]))
    assert "script" not in Reader(html).tags


def test_the_contents_lead_to_every_section_and_to_the_notes():
    sections = [Section("Results", ["Text."]), Section("Settings", ["Text."])]
    html = render_page(Page("title", "question", "answer", evidence=sections, footnotes=["A note."]))
    links = re.findall(r'<a href="#([\w-]+)">(.*?)</a>', html)
    shown = [title for _, title in links]
    assert shown == ["Evidence", "Results", "Settings", "How to read this"]
    assert all(html.count(f'id="{target}"') == 1 for target, _ in links)
    assert 'href="#reading"' not in render_page(Page("title", "question", "answer", evidence=sections))


def test_plotly_is_left_out_where_nothing_is_drawn():
    assert "plotly" not in render_page(Page("title", "question", "answer")).lower()
    figure = go.Figure(go.Scatter(y=[1, 2]), {"title": {"text": "One line"}})
    html = render_page(Page("title", "question", "answer", evidence=[Section("s", figures=[figure])]))
    assert Reader(html).scripts == [f"../{SCRIPT_NAME}"]


def test_a_page_that_goes_elsewhere_alone_has_the_script_inside():
    figure = go.Figure(go.Scatter(y=[1, 2]), {"title": {"text": "One line"}})
    html = render_page(Page("title", "question", "answer", evidence=[Section("s", figures=[figure])]))
    alone = self_contained(html)
    assert not Reader(alone).scripts and alone.count("plotly.js v") == 1
    bare = render_page(Page("title", "question", "answer"))
    assert self_contained(bare) == bare


def test_long_tables_are_cut_and_say_so():
    table = Table("long", pd.DataFrame({"n": range(300)}), rows_shown=7)
    page = Reader(render_page(Page("t", "q", "a", evidence=[Section("s", tables=[table])])))
    assert page.tags.count("tr") == 8
    assert "The first 7 of 300 rows." in page.text


def test_empty_tables_say_none():
    table = Table("nothing", pd.DataFrame({"n": []}))
    assert "nothing: none." in Reader(render_page(Page("t", "q", "a", evidence=[Section("s", tables=[table])]))).text


def test_table_cells_are_text_and_numbers_are_recognised():
    table = Table("t", pd.DataFrame({"name": ["a"], "share": [0.12345], "count": [3], "none": [np.nan]}))
    assert table.rows() == [["a", "0.123", "3", "\N{EN DASH}"]]
    assert table.numeric() == [False, True, True, True]


@pytest.mark.parametrize(
    "parameters", [{"bootstrap_draws": 0}, {"images_per_category": 0}, {"mistakes_shown": -1}, {"seed": -1}]
)
def test_bad_parameters_are_refused(parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        ReportParameters(**parameters)


def test_pictures_need_a_description_and_tables_a_row():
    with pytest.raises(ValueError, match="description"):
        Picture("title", Image.new("RGB", (1, 1)), "")
    with pytest.raises(ValueError, match="rows_shown"):
        Table("title", pd.DataFrame(), rows_shown=0)


def test_pure_noise_can_be_written_as_jpeg():
    """Pillow's JPEG writer runs out of buffer on such pictures when asked to optimise."""
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    assert Picture("noise", Image.fromarray(noise), "noise").source().startswith("data:image/jpeg")
