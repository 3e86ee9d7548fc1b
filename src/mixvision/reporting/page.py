"""One HTML page from an ordered list of sections; beside it needs only the script of its figures, and no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from mixvision.reporting.drawing import Drawing, drawing_of
from mixvision.reporting.explanations import Explainer
from mixvision.reporting.formatting import DASH, is_whole, number, setting_value, whole
from mixvision.reporting.glossary import explain_terms
from mixvision.reporting.names import plain_name
from mixvision.reporting.scripts import SCRIPT_NAME, SCRIPT_TAG
from mixvision.reporting.tiles import Tile, tiles_by_group

REMARK_PLACE = Markup("<!-- remark -->")


@dataclass(frozen=True)
class Table:
    """A frame under a title; ``rows_shown`` cuts long ones short and says so.

    Attributes:
        highlighted_row: the best row.
        tied_rows: those that cannot be told apart from it.
    """

    title: str
    frame: pd.DataFrame
    rows_shown: int = 200
    highlighted_row: int | None = None
    tied_rows: Collection[int] = ()

    def __post_init__(self) -> None:
        if self.rows_shown < 1:
            raise ValueError(f"rows_shown of table {self.title!r} is {self.rows_shown}; it must be at least 1.")

    def headings(self) -> list[str]:
        """Plain names of the columns."""
        return [plain_name(str(column)) for column in self.frame.columns]

    def rows(self) -> list[list[str]]:
        """The shown cells as text; floats with three decimals, thousands with commas."""
        shown = self.frame.head(self.rows_shown)
        return [[_text(cell) for cell in row] for row in shown.itertuples(index=False, name=None)]

    def numeric(self) -> list[bool]:
        """For each column, whether all its shown cells read as numbers (and are right-aligned)."""
        columns = zip(*self.rows(), strict=True)
        return [all(cell[:1] in set("0123456789.+-" + DASH) for cell in column) for column in columns]

    def kind(self, row: int) -> str:
        """How a row is marked: "best", "tied" or not at all."""
        return "best" if row == self.highlighted_row else "tied" if row in self.tied_rows else ""


@dataclass(frozen=True)
class Picture:
    """An image with its alternative text."""

    title: str
    image: Image.Image
    description: str

    def __post_init__(self) -> None:
        if not self.description:
            raise ValueError(f"description of picture {self.title!r} is empty; say in a sentence what it shows.")

    def groups(self) -> dict[str, list[Tile]]:
        """The tiles of a contact sheet by group; none for any other picture."""
        return tiles_by_group(self.image)

    def source(self, box: Sequence[int] | None = None) -> str:
        """The image or a part of it as a data address: JPEG with full colour resolution, so that labels stay sharp."""
        buffer = io.BytesIO()
        left, top, right, bottom = box or (0, 0, *self.image.size)
        self.image.crop((left, top, right, bottom)).convert("RGB").save(buffer, "JPEG", quality=90, subsampling=0)
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
    """The content of a page, in the order of all pages.

    Args:
        title: its heading, with the pipeline's name.
        question: what was asked, in a sentence.
        answer: the answer, in a sentence computed from the data.
        key_numbers: pairs of a number (as text) and what it is.
        evidence: sections that support the answer.
        data: sections on the images and the settings.
        footnotes: how to read this: how the numbers were made, and what to be careful about.
    """

    title: str
    question: str
    answer: str
    key_numbers: Sequence[tuple[str, str]] = ()
    evidence: Sequence[Section] = ()
    data: Sequence[Section] = ()
    footnotes: Sequence[str] = ()

    @property
    def sections(self) -> list[Section]:
        return [*self.evidence, *self.data]


def render_page(page: Page) -> str:
    """Render the page as HTML with all figures and images inside; equal pages give equal text.

    Each term of the glossary that it uses is explained at its first use, and once more at the end. Figures are drawn by
    the script :data:`SCRIPT_NAME` in the folder above; without it the page says that they are missing.
    """
    environment = Environment(
        loader=PackageLoader("mixvision.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    figures = [figure for section in page.sections for figure in section.figures]
    drawings = {id(figure): drawing_of(figure, f"figure-{place}") for place, figure in enumerate(figures, start=1)}
    anchors = {id(section): f"section-{place}" for place, section in enumerate(page.sections, start=1)}
    terms = explain_terms(_texts_of_page(page, drawings.values()))
    reading = "How to read this" if page.footnotes or terms else ""
    parts = [
        ("evidence", "Evidence", page.evidence),
        ("data", "Data and settings", page.data),
        ("reading", reading, []),
    ]
    return environment.get_template("page.html").render(
        page=page,
        parts=[part for part in parts if part[2] or (part[0] == "reading" and reading)],
        reading=reading,
        terms=terms,
        explain=Explainer(),
        drawn=lambda figure: drawings[id(figure)],
        anchor=lambda section: anchors[id(section)],
        remark_place=REMARK_PLACE,
        draws=bool(figures),
        script=SCRIPT_TAG,
        script_name=SCRIPT_NAME,
    )


def with_remark(page: str, remark: str) -> str:
    """A rendered page with a sentence above its answer that warns of the results; as it is if there is none."""
    return page.replace(REMARK_PLACE, f'<p class="warning" role="note">{escape(remark)}</p>', 1) if remark else page


def _texts_of_page(page: Page, drawings: Iterable[Drawing]) -> Iterator[str]:
    """Every text that a reader of the page can see."""
    yield from (page.title, page.question, page.answer, *page.footnotes)
    for value, meaning in page.key_numbers:
        yield from (value, meaning)
    for section in page.sections:
        yield from (section.title, *section.text)
        for table in section.tables:
            yield from (table.title, *table.headings())
            for row in table.rows():
                yield from row
        for picture in section.pictures:
            yield from (picture.title, picture.description)
            for group, tiles in picture.groups().items():
                yield from (group, *(line for tile in tiles for line in tile.caption))
    for drawing in drawings:
        yield from (drawing.title, drawing.subtitle, *drawing.texts)


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return number(cell)
    if isinstance(cell, bool | np.bool_):
        return setting_value(cell)
    if is_whole(cell):
        return whole(cell)
    return DASH if pd.isna(cell) else str(cell)
