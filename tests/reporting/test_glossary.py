"""Every term of the glossary that a page uses is explained where it is first used, and only those."""

from __future__ import annotations

import re

import pandas as pd
import plotly.graph_objects as go
import pytest
from page_terms import require_explained_terms
from PIL import Image

from mixvision.reporting.explanations import Explainer
from mixvision.reporting.glossary import GLOSSARY, explain_terms
from mixvision.reporting.page import Page, Picture, Section, Table, render_page
from mixvision.vocabulary import AFTER_INITIAL, SNAPSHOTS


def page_of(section: Section) -> Page:
    return Page("title", "question", "answer", evidence=[section])


def figure_of(**layout) -> Section:
    return Section("figures", figures=[go.Figure(go.Scatter(y=[1, 2], name=layout.pop("name", "a")), layout)])


PLACES = {
    "title": Page("The ECE", "question", "answer"),
    "question": Page("title", "What ECE?", "answer"),
    "answer": Page("title", "question", "An ECE of 0.1."),
    "value": Page("title", "question", "answer", [("0.1 ECE", "of it")]),
    "meaning": Page("title", "question", "answer", [("0.1", "its ECE")]),
    "footnote": Page("title", "question", "answer", footnotes=["The ECE is small."]),
    "heading": page_of(Section("ECE")),
    "text": page_of(Section("s", ["first", "The ECE."])),
    "title of a table": page_of(Section("s", tables=[Table("ECE", pd.DataFrame({"a": [1]}))])),
    "column": page_of(Section("s", tables=[Table("t", pd.DataFrame({"ECE": [1]}))])),
    "cell": page_of(Section("s", tables=[Table("t", pd.DataFrame({"a": ["b", "ECE"]}))])),
    "title of a figure": page_of(figure_of(title={"text": "t", "subtitle": {"text": "ECE"}})),
    "axis": page_of(figure_of(xaxis_title="ECE")),
    "legend": page_of(figure_of(name="linear, ECE 0.1")),
    "panel": page_of(figure_of(annotations=[{"text": "ECE"}])),
    "picture": page_of(Section("s", pictures=[Picture("ECE", Image.new("RGB", (1, 1)), "a picture")])),
    "description": page_of(Section("s", pictures=[Picture("p", Image.new("RGB", (1, 1)), "The ECE.")])),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_term_is_explained_wherever_the_page_uses_it(place):
    html = render_page(PLACES[place])
    require_explained_terms(html)
    assert html.count("<dt>ECE</dt>") == 1
    assert html.count('popovertarget="term-ece"') == (place != "title")


def test_a_page_without_terms_has_no_list_of_them():
    assert "Terms" not in render_page(Page("title", "question", "answer"))


def test_terms_of_an_explanation_are_explained_before_it():
    explained = explain_terms(["its performance_gain", "The Performance gain"])
    assert list(explained) == ["nice, real", "% initial", "performance", "iteration", "performance gain"]
    assert explained["performance"] == GLOSSARY["performance"].meaning


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("outlier by aspect ratio: 40x30", []),
        ("60% real, the best ratio", ["nice, real", "% real"]),
        ("the test of time, and a validation", []),
        ("test accuracy", ["validation, test"]),
        ("stop at once", []),
        ("top-3", ["top-1, top-k"]),
        ("top 5", ["top-1, top-k"]),
        ("leaky", ["validation, test", "near-duplicate", "group", "leak"]),
        ("already overheads", []),
    ],
)
def test_words_that_only_look_like_terms_are_not_explained(text, terms):
    assert list(explain_terms([text])) == terms


@pytest.mark.parametrize("snapshot", [*SNAPSHOTS, AFTER_INITIAL])
def test_every_snapshot_is_explained(snapshot):
    explained = explain_terms([f"snapshot {snapshot}"])
    assert any(snapshot in f"{term} {meaning}" for term, meaning in explained.items())


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Small (ECE 0.1).", ["(ECE"]),
        ("See the ECE, please.", ["ECE,"]),
        ("An ECE and a (buffer).", ["(buffer)."]),
        ("An ECE.", ["ECE."]),
        ("ECE/buffer", ["ECE/"]),
        ("What an ECE is", []),
    ],
)
def test_a_term_stays_on_the_line_of_the_bracket_or_comma_beside_it(text, kept):
    shown = Explainer()(text)
    assert [re.sub("<.*?>", "", part) for part in re.findall(r'<span class="glued">(.*?)</span>', shown)] == kept
    assert re.sub("<.*?>", "", shown) == text
