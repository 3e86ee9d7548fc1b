"""Figures on a page: their titles are text, and on a phone their panels stand below each other."""

from __future__ import annotations

import json

import pytest
from plotly import graph_objects as go
from plotly.subplots import make_subplots

from mixvision.reporting.charts import accuracy_panels
from mixvision.reporting.drawing import drawing_of
from mixvision.reporting.style import TEMPLATE, title_with


def panels_of(count: int) -> go.Figure:
    figure = accuracy_panels([f"panel {number}" for number in range(count)], "iteration")
    for number in range(count):
        figure.add_trace(go.Scatter(y=[0, 1]), row=number // 4 + 1, col=number % 4 + 1)
    return figure.update_layout(title=title_with("Curves </script>", "of all"))


def layouts(figure: go.Figure) -> tuple[dict, dict]:
    parts = json.loads(str(drawing_of(figure, "figure-1").json))
    return parts["wide"], parts["narrow"]


def test_a_title_becomes_text_and_leaves_its_room():
    figure = go.Figure(go.Scatter(y=[1], name="a line"), {"template": TEMPLATE, "height": 480})
    figure.update_layout(title=title_with("Performance", "of all ratios"))
    drawing = drawing_of(figure, "figure-1")
    assert (drawing.title, drawing.subtitle) == ("Performance", "of all ratios")
    assert "a line" in drawing.texts and "Performance" not in drawing.texts
    assert not {"lines", "group"} & set(drawing_of(figure.update_layout(scattermode="group"), "figure-2").texts)
    wide, _ = layouts(figure)
    assert "title" not in wide and wide["height"] == 480 - 60 and wide["margin"]["t"] == 90 - 60
    assert figure.layout.title.text == "Performance", "the figure itself stays as it is"


def test_no_text_ends_the_script_that_holds_it():
    figure = go.Figure(go.Scatter(y=[1], name="</script>"))
    assert "<" not in drawing_of(figure, "figure-1").json


@pytest.mark.parametrize(("count", "across"), [(2, 1), (4, 1), (5, 2), (11, 2)])
def test_panels_do_not_overlap_on_a_phone_and_keep_their_titles(count, across):
    _, narrow = layouts(panels_of(count))
    axes = [(narrow[f"xaxis{n or ''}"], narrow[f"yaxis{n or ''}"]) for n in ("", *range(2, count + 1))]
    places = [(*x["domain"], *y["domain"]) for x, y in axes]
    assert len({left for left, *_ in places}) == across
    for one in places:
        assert 0 <= one[0] < one[1] <= 1 and -1e-9 <= one[2] < one[3] <= 1
        others = [other for other in places if other != one]
        assert all(one[1] <= o[0] or o[1] <= one[0] or one[3] <= o[2] or o[3] <= one[2] for o in others)
    titles = {note["text"]: (note["x"], note["y"]) for note in narrow["annotations"]}
    assert list(titles.values()) == [((left + right) / 2, top) for left, right, _, top in places]


def test_a_phone_gets_no_fixed_width_and_few_ticks():
    figure = make_subplots(1, 2).add_trace(go.Heatmap(z=[[1]], coloraxis="coloraxis"), row=1, col=1)
    figure.update_layout(width=1100, coloraxis={"colorbar": {"title": "share"}}).update_xaxes(dtick=10)
    figure.update_xaxes(title="a title that is far too long for the width of a phone")
    wide, narrow = layouts(figure)
    assert wide["width"] == 1100 and "width" not in narrow
    assert narrow["coloraxis"]["colorbar"]["orientation"] == "h"
    assert "dtick" not in narrow["xaxis"] and narrow["xaxis"]["title"]["text"].count("<br>") == 1


def test_long_titles_of_panels_beside_each_other_are_small_enough_on_a_phone():
    figure = panels_of(6)
    figure.layout.annotations[1].text = "cnn-learning-rate-0.0001"
    short, long, *_ = layouts(figure)[1]["annotations"]
    assert 0.58 * long["font"]["size"] * 24 < 155 and short["font"]["size"] == 14
