"""Reads a page as a browser would, for tests of pages; and tables in Markdown."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import dropwhile, takewhile

import pandas as pd

VOID = {"meta", "img", "br", "link", "hr", "input"}
HEADINGS = {"h2", "h3"}
PARTS = {"Evidence", "Data and settings", "Terms"}  # of every page
INLINE = {"button", "span", "b"}  # parts of a sentence


class Reader(HTMLParser):
    """Collects what a browser would show, as a whole and by section, and fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.tags, self.addresses, self.images, self.words = [], [], [], [], []
        self.sections = {"": []}  # words by heading; before the first heading the name is empty
        self.heading = ""
        self.tables: list[list[list[str]]] = []  # rows of cells, the first row with the columns' names
        self.key_numbers: list[str] = []
        self.figures: list[str] = []  # titles
        self.title = ""
        self.scripts: list[str] = []  # addresses
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        addresses = [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
        (self.scripts if tag == "script" else self.addresses).extend(addresses)
        if ("role", "img") in attributes:
            self.figures.append(dict(attributes)["aria-label"].partition(". ")[0])
        if tag == "img":
            self.images.append(dict(attributes))
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
        elif tag in HEADINGS:
            self.heading = ""
        elif tag == "dd" and not self.headings:
            self.key_numbers.append("")
        if tag not in INLINE:
            self._write(" ")
        if tag not in VOID:
            self.open.append("hidden" if ("popover", None) in _names(attributes) else tag)

    def handle_endtag(self, tag):
        assert self.open.pop() in (tag, "hidden")
        if tag in HEADINGS:
            self.sections.setdefault(self.heading, [])

    def handle_data(self, data):
        if not self.open or {"script", "style", "hidden"} & set(self.open):
            return
        tag = next(tag for tag in reversed(self.open) if tag not in INLINE)
        if tag == "h1":
            self.title += data
        elif tag in HEADINGS:
            self.heading += data
        elif tag == "dd" and not self.headings:
            self.key_numbers[-1] += data
        elif tag in ("th", "td"):
            self.tables[-1][-1][-1] += data
        self._write(data)

    def _write(self, data: str) -> None:
        self.words.append(data)
        if not {*HEADINGS} & set(self.open):
            list(self.sections.values())[-1].append(data)

    @property
    def text(self) -> str:
        return _joined(self.words)

    @property
    def headings(self) -> list[str]:
        return [heading for heading in list(self.sections)[1:] if heading not in PARTS]

    def section(self, heading: str) -> str:
        """The words below a heading."""
        return _joined(self.sections[heading])

    def table(self, *columns: str) -> pd.DataFrame:
        """The first table that has all these columns, its cells as text."""
        rows = next(rows for rows in self.tables if set(columns) <= set(rows[0]))
        return pd.DataFrame(rows[1:], columns=rows[0])


def _names(attributes) -> set[tuple[str, None]]:
    return {(name, None) for name, _ in attributes}


def _joined(words: list[str]) -> str:
    """Words as one text; parts of a sentence that are divided by a button join as they stand."""
    return " ".join("".join(words).split())


def read_markdown(text: str) -> pd.DataFrame:
    """The first Markdown table in a text, its cells as text."""
    after = dropwhile(lambda line: not line.startswith("|"), text.splitlines())
    lines = takewhile(lambda line: line.startswith("|"), after)
    names, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return pd.DataFrame(rows, columns=names)
