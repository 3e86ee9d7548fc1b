"""One self-contained HTML page from an ordered list of sections; it opens offline and needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
import plotly.io
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from plotly.offline import get_plotlyjs

from mixvision.reporting.formatting import DASH, number


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
        """For each column, whether all its shown cells read as numbers (and stand to the right)."""
        columns = zip(*self.rows(), strict=True)
        return [all(cell[:1] in set("0123456789.-" + DASH) for cell in column) for column in columns]


@dataclass(frozen=True)
class Picture:
    """An image with the text that stands for it where it cannot be seen."""

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
    """Everything the page says.

    Args:
        title: its heading.
        question: what was asked, in a sentence.
        answer: the answer, in a sentence computed from the data.
        key_numbers: pairs of a number (as text) and what it is.
        sections: in reading order.
        footnotes: what the numbers mean, and what to be careful about.
    """

    title: str
    question: str
    answer: str
    key_numbers: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = ()
    footnotes: Sequence[str] = ()


def render_page(page: Page) -> str:
    """The page as HTML with all scripts, figures and images inside; equal pages give equal text."""
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
        plotly_script=Markup(get_plotlyjs()) if figures else "",
        draw=lambda figure: _drawn(figure, places[id(figure)]),
    )


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
