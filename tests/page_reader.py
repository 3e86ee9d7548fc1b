"""Reads a page as a browser would, for tests of pages; and tables in Markdown."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import dropwhile, takewhile

import pandas as pd

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Reader(HTMLParser):
    """Collects what a browser would show, as a whole and by section, and fails on tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open, self.tags, self.addresses, self.images, self.words = [], [], [], [], []
        self.sections = {"": []}  # words by heading; before the first heading the name is empty
        self.tables: list[list[list[str]]] = []  # rows of cells, the first row with the columns' names
        self.key_numbers: list[str] = []
        self.figures: list[str] = []  # titles
        self.title = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
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
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        tag = self.open[-1] if self.open else ""
        if tag == "h1":
            self.title = data
        elif tag == "h2":
            self.sections[data] = []
        elif tag == "dd":
            self.key_numbers.append(data)
        elif tag in ("th", "td"):
            self.tables[-1][-1][-1] += data
        if tag and tag not in ("script", "style"):
            self.words.append(data)
            list(self.sections.values())[-1].append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def headings(self) -> list[str]:
        return list(self.sections)[1:]

    def section(self, heading: str) -> str:
        """The words below a heading."""
        return " ".join(" ".join(self.sections[heading]).split())

    def table(self, *columns: str) -> pd.DataFrame:
        """The first table that has all these columns, its cells as text."""
        rows = next(rows for rows in self.tables if set(columns) <= set(rows[0]))
        return pd.DataFrame(rows[1:], columns=rows[0])


def read_markdown(text: str) -> pd.DataFrame:
    """The first Markdown table in a text, its cells as text."""
    after = dropwhile(lambda line: not line.startswith("|"), text.splitlines())
    lines = takewhile(lambda line: line.startswith("|"), after)
    names, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return pd.DataFrame(rows, columns=names)
