"""Tables, pictures and the settings of a page."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from page_reader import Reader
from PIL import Image

from mixvision.reporting.contact_sheets import mistakes_sheet, sample_sheet
from mixvision.reporting.formatting import markdown_table, setting_value
from mixvision.reporting.page import Page, Picture, Section, Table, render_page
from mixvision.reporting.scripts import SCRIPT_NAME, self_contained
from mixvision.reporting.sections import settings_table
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


@pytest.mark.parametrize("count", [5000, np.int64(5000), 5000.0])
def test_a_large_number_looks_the_same_in_tables_settings_and_summaries(count):
    frame = pd.DataFrame({"trial": ["a"], "iterations": [count]}, dtype=object)
    (row,) = Table("Counts", frame.assign(seconds=5000.25)).rows()
    assert row[2] == "5,000.250" and setting_value(count) == "5,000" == settings_table("", {"x": count}).rows()[0][1]
    if not isinstance(count, float):
        assert row[1] == "5,000" and "5,000 |" in markdown_table(frame)
    assert setting_value([1000, 20]) == "1,000, 20" and setting_value(True) == "yes" and setting_value("5000") == "5000"


@pytest.mark.parametrize("parameters", [{"images_per_category": 0}, {"mistakes_shown": -1}, {"seed": -1}])
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


def test_the_images_of_a_contact_sheet_are_shown_one_by_one_with_their_labels_as_text():
    pixels = {"real": np.stack([np.full((16, 16, 3), shade, np.uint8) for shade in (0, 255)])}
    mistakes = pd.DataFrame({"domain": "real", "category": ["apple", "a<b"], "prediction": ["pear", "fig"]})
    sheet = mistakes_sheet(mistakes.assign(probability=[0.9, 0.5], pixel_row=[0, 1]), pixels)
    html = render_page(Page("t", "q", "a", evidence=[Section("s", pictures=[Picture("Mistakes", sheet, "Wrong.")])]))
    page = Reader(html)
    shown = [Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))) for image in page.images]
    assert [image.size for image in shown] == [(80, 80)] * 2
    assert [image.getpixel((40, 40)) for image in shown] == [(0, 0, 0), (255, 255, 255)]
    assert "is apple said pear 0.900, real" in page.text and "is a<b said fig 0.500, real" in page.text


def test_a_sample_has_a_group_for_each_category_and_domain(study):
    sheet = sample_sheet(study.manifest, study.pixels, np.random.default_rng(0), 2)
    groups = Picture("Sample", sheet, "Images.").groups()
    assert list(groups)[:2] == ["Apple, nice", "Apple, real"]
    assert {len(tiles) for tiles in groups.values()} == {2} and len(groups) == 10
