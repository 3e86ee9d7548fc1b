"""How every Plotly figure looks. Nice is always blue, real orange-red, performance green (Okabe and Ito)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

READABLE = (0.3, 0.85)  # the part of Viridis that stands out from both light and dark pages
COLOURS = {"nice": "#0072B2", "real": "#D55E00", "performance": "#009E73"}

_AXIS = {"gridcolor": "rgba(127,127,127,0.25)", "zeroline": False, "automargin": True, "ticks": "outside"}
TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif", "size": 13},
        "title": {"x": 0, "xref": "container", "xanchor": "left", "pad": {"l": 16}, "font": {"size": 17}},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "legend": {"orientation": "h", "yref": "container", "y": 0.01, "yanchor": "bottom", "x": 0},
        "margin": {"l": 70, "r": 20, "t": 90, "b": 100},
        "hoverlabel": {"namelength": -1},
        "colorscale": {"sequential": "Purples"},
    }
)


def title_with(text: str, subtitle: str) -> dict[str, Any]:
    """The layout of a title with a line of explanation under it."""
    return {"text": text, "subtitle": {"text": subtitle}}


def shades(places: Sequence[float]) -> list[str]:
    """Colours from blue (place 0) to green (place 1) for ordered values, seen on light and on dark pages."""
    low, high = READABLE
    return sample_colorscale("Viridis", [low + (high - low) * place for place in places])
