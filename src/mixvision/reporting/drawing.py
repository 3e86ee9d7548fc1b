"""A Plotly figure as a page shows it: title as text, and a layout for wide and one for narrow screens."""

from __future__ import annotations

import copy
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import plotly.io
from markupsafe import Markup

Layout = dict[str, Any]

TITLE = 60  # pixels that a title takes above a figure
SMALL_PANEL, LARGE_PANEL = 150, 240  # pixels of a panel's height on a narrow screen
GAP = 58  # pixels between two rows of panels there: tick labels and the title of the panel below
MANY_PANELS = 4  # more than that stand in two columns on a narrow screen
SMALL = 11  # pixels of its letters
MOST_TICKS = 6  # that have room there
PANEL_WIDTH, LETTER = 300, 0.6  # pixels of all panels beside each other there; width of a letter in parts of its size
WIDEST_TITLE = 40  # letters of an axis there


@dataclass(frozen=True)
class Drawing:
    """A figure for a page.

    Attributes:
        name: its identifier on the page.
        title, subtitle: text, perhaps empty.
        texts: all texts within the figure, for the glossary.
        json: ``data`` with the layouts ``wide`` and ``narrow``, safe inside a script.
    """

    name: str
    title: str
    subtitle: str
    texts: tuple[str, ...]
    json: Markup


def drawing_of(figure: go.Figure, name: str) -> Drawing:
    """Prepare a figure for a page; it stays as it is."""
    content = json.loads(plotly.io.to_json(figure, validate=False))
    data, layout = content["data"], content["layout"]
    title = layout.pop("title", {})
    subtitle = title.get("subtitle", {}).get("text", "")
    wide = _without_title(layout)
    parts = {"data": data, "wide": wide, "narrow": narrow_layout(data, wide)}
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return Drawing(name, title.get("text", ""), subtitle, tuple(texts_within([data, layout])), Markup(text))


def texts_within(part: Any) -> Iterator[str]:
    """All texts within a figure's JSON or a part of it: names, labels and titles of axes among them."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for key, value in part.items():
            if key not in ("template", "bdata") and not key.endswith("mode"):  # "scattermode": "group" is no text
                yield from texts_within(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from texts_within(value)


def narrow_layout(data: list[dict[str, Any]], wide: Layout) -> Layout:
    """The layout for a phone: panels below each other, smaller type, no fixed width, a colour bar above."""
    layout = copy.deepcopy(wide)
    layout.pop("width", None)
    layout["font"] = {"size": SMALL} | layout.get("font", {})
    panels = list(dict.fromkeys((trace.get("xaxis", "x"), trace.get("yaxis", "y")) for trace in data))
    margin = _margin(layout) | {"l": 44, "r": 8, "b": 60}
    if len(panels) > 1:
        _stack(layout, [(_axis(layout, x), _axis(layout, y)) for x, y in panels], margin, _upright(data))
    for axis in (value for key, value in layout.items() if key.startswith("xaxis")):
        if isinstance(axis.get("dtick"), int | float) and axis.get("type") != "category":
            axis.pop("dtick")
            axis["nticks"] = MOST_TICKS
    for axis in (value for key, value in layout.items() if key[1:5] == "axis"):
        if text := (axis.get("title") or {}).get("text"):
            axis["title"] |= {"text": "<br>".join(textwrap.wrap(text, WIDEST_TITLE)), "standoff": 8}
    if "colorbar" in layout.get("coloraxis", {}):
        bar = {"orientation": "h", "thickness": 10, "y": 1, "yanchor": "bottom", "ypad": 26}
        layout["coloraxis"]["colorbar"] |= bar
        margin["t"] += 40
        layout["height"] = layout.get("height", 450) + 40
    layout["margin"] = margin
    return layout


def _stack(layout: Layout, panels: list[tuple[Layout, Layout]], margin: dict[str, float], labels: float) -> None:
    """Put panels, pairs of axes, into one or two columns, with their titles, and set the height.

    ``labels``: pixels that the labels below a panel take more than numbers do.
    """
    across = 2 if len(panels) > MANY_PANELS else 1
    down = -(-len(panels) // across)
    high = SMALL_PANEL if across > 1 else LARGE_PANEL
    gap = GAP + 18 * any("<br>" in note.get("text", "") for note in layout.get("annotations", [])) + labels
    inner = down * high + (down - 1) * gap
    layout["height"] = inner + margin["t"] + margin["b"]
    titles = {(_middle(x), y["domain"][1]): (x, y) for x, y in panels}
    placed = [(note, titles.get((note.get("x"), note.get("y")))) for note in layout.get("annotations", [])]
    names = [next((axes[way]["title"] for axes in panels if axes[way].get("title")), None) for way in (0, 1)]
    for place, (x, y) in enumerate(panels):
        row, column = divmod(place, across)
        x["domain"] = [0, 1] if across == 1 else [column * 0.54, column * 0.54 + 0.46]
        y["domain"] = [1 - (row * (high + gap) + high) / inner, 1 - row * (high + gap) / inner]
        last, first = place + across >= len(panels), column == 0
        x |= {"showticklabels": True, "title": names[0] if last else None}
        y |= {"showticklabels": first, "title": names[1] if first else None}
    for note, axes in placed:
        if axes:
            longest = max(map(len, note["text"].split("<br>")))
            size = min(14, int(PANEL_WIDTH / across / (LETTER * longest)))
            note |= {"x": _middle(axes[0]), "y": axes[1]["domain"][1], "font": {"size": max(7, size)}}


def _upright(data: list[dict[str, Any]]) -> float:
    """Pixels that the names below a matrix, which stand nearly upright, take more than numbers do."""
    names = [name for trace in data if trace["type"] == "heatmap" for name in trace["x"] if isinstance(name, str)]
    return max(0, LETTER * SMALL * max(map(len, names), default=0) - SMALL)


def _without_title(layout: Layout) -> Layout:
    """The layout without the room of its title."""
    margin = _margin(layout)
    top = max(14, margin["t"] - TITLE)
    height = layout.get("height", 450) - (margin["t"] - top)
    return layout | {"margin": margin | {"t": top}, "height": height}


def _margin(layout: Layout) -> dict[str, float]:
    usual = {"l": 80, "r": 80, "t": 100, "b": 80}
    return usual | layout.get("template", {}).get("layout", {}).get("margin", {}) | layout.get("margin", {})


def _axis(layout: Layout, name: str) -> Layout:
    """The layout of an axis that traces call "x" or "y2"."""
    return layout.setdefault(f"{name[0]}axis{name[1:]}", {"domain": [0, 1]})


def _middle(axis: Layout) -> float:
    return sum(axis["domain"]) / 2
