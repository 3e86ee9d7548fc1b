"""The page parses, needs nothing from outside, and says what the data says."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from PIL import Image

from mixvision.evaluation.intervals import performance_intervals
from mixvision.evaluation.metrics import join_predictions, summarise, trial_metrics
from mixvision.reporting.page import Page, Picture, Section, Table, render_page
from mixvision.reporting.settings import ReportParameters
from mixvision.reporting.tables import best_ratio, metric_table
from mixvision.studies.mixing.figures import accuracy_against_ratio, learning_curves
from mixvision.studies.mixing.page import answer, mixing_page
from mixvision.vocabulary import SNAPSHOTS

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Reader(HTMLParser):
    """Collects what a browser would see, and refuses tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.tags, self.addresses, self.images, self.words = [], [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def make_page(study, published=None, **changes) -> tuple[str, pd.DataFrame]:
    joined = join_predictions(study.predictions, study.manifest)
    summary = summarise(trial_metrics(joined), study.trials)
    intervals = performance_intervals(joined, study.trials, np.random.default_rng(0), draws=200)
    table = metric_table(summary, intervals, published)
    figures = [accuracy_against_ratio(summary, published)]
    sheet = Image.new("RGB", (40, 30), "red")
    audit = {"Images per split": pd.DataFrame({"split": ["train"], "images": [80]})}
    arguments = {"figures": figures, "best_figures": [learning_curves(study.history, study.trials)]} | changes
    html = mixing_page(
        title="Five fruits",
        manifest=study.manifest,
        trials=study.trials,
        table=table,
        sample_sheet=sheet,
        mistakes_sheet=sheet,
        audit=audit,
        published=published,
        **arguments,
    )
    return html, table


def test_the_page_parses_and_needs_nothing_from_outside(study, published):
    html, _ = make_page(study, published)
    page = Reader(html)
    assert page.addresses
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not re.search(r"url\(|@import", re.search(r"(?s)<style>.*?</style>", html).group())
    assert html.count("plotly.js v") == 1
    assert page.tags.count("h1") == 1


def test_images_have_alternative_text_and_their_size(study):
    images = Reader(make_page(study)[0]).images
    assert len(images) == 2
    assert all(image["alt"] and (image["width"], image["height"]) == ("40", "30") for image in images)


def test_the_answer_is_computed_from_the_data(study):
    html, table = make_page(study)
    best = best_ratio(table)
    honest = table[table["snapshot"] == "best_validation"].set_index("ratio")["performance_top1"]
    assert f"{best}% real images" in answer(table)
    assert all(f"{honest[ratio]:.3f}" in answer(table) for ratio in (0, best, 100))
    assert answer(table) in Reader(html).text


def test_a_pure_ratio_that_is_best_is_not_repeated(study):
    _, table = make_page(study)
    table.loc[table["ratio"] == 100, "validation_performance_top1"] = 1.0
    assert answer(table).count("real images only") == 1


def test_the_page_explains_the_figures_and_shows_notes_audit_and_excluded_files(study):
    text = Reader(make_page(study, notes=["Thinned to the smaller."])[0]).text
    for phrase in [
        *SNAPSHOTS,
        "optimistic",
        "Thinned to the smaller.",
        "Images per split",
        "real/Apple/torn.jpg",
    ]:
        assert phrase in text
    assert "Published" not in text


def test_published_source_is_named(study, published):
    assert "Table 2 of a paper" in Reader(make_page(study, published)[0]).text


def test_a_table_without_leaks_is_shown_beside(study):
    _, table = make_page(study)
    assert "without a near-duplicate" not in Reader(make_page(study)[0]).text
    assert "without a near-duplicate" in Reader(make_page(study, table_without_leaks=table)[0]).text


def test_equal_input_gives_an_equal_page(study):
    assert make_page(study)[0] == make_page(study)[0]


def test_text_is_escaped():
    name = "<script>alert(1)</script>"
    table = Table(name, pd.DataFrame({name: [name]}))
    html = render_page(Page(name, name, name, [(name, name)], [Section(name, [name], [table])], [name]))
    assert "script" not in Reader(html).tags


def test_plotly_is_left_out_where_nothing_is_drawn():
    assert "plotly" not in render_page(Page("title", "question", "answer")).lower()
    figure = go.Figure(go.Scatter(y=[1, 2]), {"title": {"text": "One line"}})
    assert "Plotly.newPlot" in render_page(
        Page("title", "question", "answer", sections=[Section("s", figures=[figure])])
    )


def test_long_tables_are_cut_and_say_so():
    table = Table("long", pd.DataFrame({"n": range(300)}), rows_shown=7)
    page = Reader(render_page(Page("t", "q", "a", sections=[Section("s", tables=[table])])))
    assert page.tags.count("tr") == 8
    assert "The first 7 of 300 rows." in page.text


def test_empty_tables_say_none():
    table = Table("nothing", pd.DataFrame({"n": []}))
    assert "None." in Reader(render_page(Page("t", "q", "a", sections=[Section("s", tables=[table])]))).text


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


def test_a_picture_of_pure_noise_is_no_problem():
    """Pillow's JPEG writer runs out of buffer on such pictures when asked to optimise."""
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    assert Picture("noise", Image.fromarray(noise), "noise").source().startswith("data:image/jpeg")
