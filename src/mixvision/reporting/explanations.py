"""Explains each term of the glossary where a page first uses it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from markupsafe import Markup, escape

from mixvision.reporting.glossary import GLOSSARY

_BUTTON = Markup('<button type="button" class="term" popovertarget="{}">{}</button>')
# A browser may break the line on either side of a button, so also after "(" and before a comma; this keeps them.
_GLUED = Markup('<span class="glued">{}{}{}</span>')
_GLUED_BEFORE, _GLUED_AFTER = re.compile(r"\S{1,12}$"), re.compile(r"\S{1,12}")
_MEANING = Markup('<div popover id="{}"><b>{}</b>: {}</div>')


class Explainer:
    """Puts a button on each term at its first use, if it gets the texts of a page in the order of reading.

    The button opens the term's meaning; that needs no script, and works by touch, by keyboard and in screen readers.
    """

    def __init__(self) -> None:
        self._used: list[str] = []

    def __call__(self, text: str) -> Markup:
        """The text, escaped, with a button on each term that is new."""
        marked, end = Markup(), 0
        found = self._new(text)
        for place, (start, stop, name) in enumerate(found):
            until = found[place + 1][0] if place + 1 < len(found) else len(text)
            opened, closed = _GLUED_BEFORE.search(text[end:start]), _GLUED_AFTER.match(text[stop:until])
            before, after = opened.group() if opened else "", closed.group() if closed else ""
            button = self._button(name, text[start:stop])
            marked += escape(text[end : start - len(before)])
            marked += _GLUED.format(before, button, after) if before or after else button
            end = stop + len(after)
        return marked + escape(text[end:])

    def buttons(self, texts: Iterable[str]) -> Markup:
        """Buttons for the new terms of texts that cannot hold any, such as those within a figure; perhaps none."""
        return Markup(", ").join([self._button(name, name) for _, _, name in self._new("\n".join(texts))])

    def meanings(self) -> Markup:
        """What the buttons open."""
        return Markup("\n").join(_MEANING.format(_id(name), name, GLOSSARY[name].meaning) for name in self._used)

    def _button(self, name: str, text: str) -> Markup:
        self._used.append(name)
        return _BUTTON.format(_id(name), text)

    def _new(self, text: str) -> list[tuple[int, int, str]]:
        """Where terms that are new begin and end, in their order; the longest first where several share words."""
        uses = [use for name in GLOSSARY if name not in self._used for use in _uses(name, text)]
        found: list[tuple[int, int, str]] = []
        for start, stop, name in sorted(uses, key=lambda use: (use[0], -use[1])):
            free = not found or start >= found[-1][1]
            if free and name not in (other for *_, other in found):
                found.append((start, stop, name))
        return found


def _uses(name: str, text: str) -> Iterator[tuple[int, int, str]]:
    for match in re.finditer(GLOSSARY[name].pattern, text, re.IGNORECASE):
        if match.group():
            yield *match.span(), name


def _id(name: str) -> str:
    """An identifier from a term: "term-95-interval"."""
    return "term-" + "-".join(re.findall(r"[a-z0-9]+", name.lower()))
