"""One self-contained HTML page from an ordered list of sections; it opens offline and needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import plotly.io
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from plotly.offline import get_plotlyjs

from mixvision.reporting.formatting import DASH, number
from mixvision.reporting.glossary import explain_terms


@dataclass(frozen=True)
class Table:
    """A frame under a title; ``rows_shown`` cuts long ones short and says so."""

    title: str
    frame: pd.DataFrame
    rows_shown: int = 200
    highlighted_row: int | None = None

    def __post_init__(self) -> None:
        if self.rows_shown < 1:
            raise ValueError(f"rows_shown of table {self.title!r} is {self.rows_shown}; it must be at least 1.")

    def rows(self) -> list[list[str]]:
        """The shown cells as text; floats with three decimals."""
        shown = self.frame.head(self.rows_shown)
        return [[_text(cell) for cell in row] for row in shown.itertuples(index=False, name=None)]

    def numeric(self) -> list[bool]:
        """For each column, whether all its shown cells read as numbers (and are right-aligned)."""
        columns = zip(*self.rows(), strict=True)
        return [all(cell[:1] in set("0123456789.+-" + DASH) for cell in column) for column in columns]


@dataclass(frozen=True)
class Picture:
    """An image with its alternative text."""

    title: str
    image: Image.Image
    description: str

    def __post_init__(self) -> None:
        if not self.description:
            raise ValueError(f"description of picture {self.title!r} is empty; say in a sentence what it shows.")

    def source(self) -> str:
        """The image as a data address: JPEG with full colour resolution, so that labels stay sharp."""
        buffer = io.BytesIO()
        self.image.convert("RGB").save(buffer, "JPEG", quality=90, subsampling=0)
        return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@dataclass(frozen=True)
class Section:
    """One part of the page, shown in this order: paragraphs, tables, figures, pictures."""

    title: str
    text: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[go.Figure] = ()
    pictures: Sequence[Picture] = ()


@dataclass(frozen=True)
class Page:
    """The content of a page.

    Args:
        title: its heading.
        question: what was asked, in a sentence.
        answer: the answer, in a sentence computed from the data.
        key_numbers: pairs of a number (as text) and what it is.
        sections: in reading order.
        footnotes: how the numbers were made, and what to be careful about.
    """

    title: str
    question: str
    answer: str
    key_numbers: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = ()
    footnotes: Sequence[str] = ()


def render_page(page: Page) -> str:
    """Render the page as HTML with all scripts, figures and images inside; equal pages give equal text.

    Below the summary the page explains the terms of the glossary that it uses.
    """
    environment = Environment(
        loader=PackageLoader("mixvision.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    figures = [figure for section in page.sections for figure in section.figures]
    places = {id(figure): f"figure-{place}" for place, figure in enumerate(figures, start=1)}
    return environment.get_template("page.html").render(
        page=page,
        terms=explain_terms(_texts_of_page(page)),
        plotly_script=Markup(get_plotlyjs()) if figures else "",
        draw=lambda figure: _drawn(figure, places[id(figure)]),
    )


def _texts_of_page(page: Page) -> Iterator[str]:
    """Every text that a reader of the page can see."""
    yield from (page.title, page.question, page.answer, *page.footnotes)
    for value, meaning in page.key_numbers:
        yield from (value, meaning)
    for section in page.sections:
        yield from (section.title, *section.text)
        for table in section.tables:
            yield from (table.title, *map(str, table.frame.columns))
            for row in table.rows():
                yield from row
        for figure in section.figures:
            yield from _texts_of_figure(figure.to_plotly_json())
        for picture in section.pictures:
            yield from (picture.title, picture.description)


def _texts_of_figure(part: Any) -> Iterator[str]:
    """All texts within a figure's JSON or a part of it, titles, names and labels among them."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            yield from _texts_of_figure(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _texts_of_figure(value)


def _drawn(figure: go.Figure, name: str) -> Markup:
    """The figure's HTML, without plotly.js itself."""
    html = plotly.io.to_html(
        figure,
        full_html=False,
        include_plotlyjs=False,
        div_id=name,
        config={"responsive": True, "displayModeBar": False},
    )
    return Markup(html)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return number(cell)
    return DASH if pd.isna(cell) else str(cell)
