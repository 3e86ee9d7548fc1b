"""Figures, and parts of figures, for several studies: panels, error bars, confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mixvision.reporting.style import TEMPLATE, title_with

PANELS_ACROSS = 4
LARGEST_LABELLED_MATRIX = 12
SPLIT_COLOURS = {"train": "#E69F00", "validation": "#56B4E9", "test": "#CC79A7"}
SIDE_BY_SIDE = {"scattermode": "group", "scattergap": 0.35}  # so that no marker hides another's interval
RING = "#00A878"  # stands out from the band, in light and dark
BAND = "rgba(0,158,115,0.2)"  # the green of the performance
PAGE_WIDTH = 1110  # pixels of the page's column


def accuracy_panels(titles: Sequence[str], along: str) -> go.Figure:
    """A grid of panels for accuracies along something, :data:`PANELS_ACROSS` to a row, with shared axes."""
    down = max(1, -(-len(titles) // PANELS_ACROSS))
    figure = make_subplots(
        rows=down,
        cols=max(1, min(PANELS_ACROSS, len(titles))),
        shared_xaxes="all",
        shared_yaxes="all",
        subplot_titles=titles,
        vertical_spacing=0.22 / down,
        horizontal_spacing=0.02,
    )
    figure.update_layout(template=TEMPLATE, height=190 + 190 * down, margin_t=115)
    figure.update_yaxes(range=[0, 1.02]).update_yaxes(title="top-1", col=1)
    return figure.update_xaxes(title=along, row=down)


def named_confusion_matrices(matrices: Mapping[str, pd.DataFrame], subject: str) -> go.Figure:
    """Confusion matrices of the same categories side by side, each under its name and each row divided by its sum.

    Args:
        matrices: counts by name; ``subject`` as for :func:`confusion_matrices`.
    """
    figure = make_subplots(
        cols=len(matrices), subplot_titles=list(matrices), shared_yaxes=True, horizontal_spacing=0.04
    )
    categories = len(next(iter(matrices.values())))
    for column, counts in enumerate(matrices.values(), start=1):
        shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
        trace = go.Heatmap(
            z=shares.to_numpy(),
            x=list(counts.columns.astype("str")),
            y=list(counts.index.astype("str")),
            customdata=counts.to_numpy(),
            text=shares.map(lambda share: f"{share:.2f}".lstrip("0") if share >= 0.005 else "").to_numpy(),
            texttemplate="%{text}" if categories <= LARGEST_LABELLED_MATRIX else None,
            hovertemplate="true %{y}, predicted %{x}: %{z:.1%} (%{customdata})<extra></extra>",
            coloraxis="coloraxis",
            xgap=1,
            ygap=1,
        )
        figure.add_trace(trace, row=1, col=column)
    figure.update_layout(
        template=TEMPLATE,
        title=title_with("Which categories are mistaken for which", f"test images, {subject}; each row adds up to 1"),
        coloraxis={"colorscale": "Purples", "cmin": 0, "cmax": 1, "colorbar": {"title": "share<br>of row"}},
        height=max(500, 220 + 22 * categories),
        margin_t=115,
    )
    figure.update_yaxes(autorange="reversed", type="category", showgrid=False, dtick=1)
    figure.update_yaxes(title="true category", col=1)
    return figure.update_xaxes(title="predicted category", type="category", showgrid=False, dtick=1, tickangle=-60)


def confusion_matrices(matrices: Mapping[str, pd.DataFrame], best: str) -> go.Figure:
    """Confusion matrices of all images by model, each row divided by its sum; with many categories only the best's.

    Args:
        matrices: what :func:`mixvision.evaluation.classification.whole_confusion` returns, by model.
        best: the model that is always drawn.
    """
    if len(matrices[best]) > LARGEST_LABELLED_MATRIX:
        matrices = {best: matrices[best]}
    figure = named_confusion_matrices(matrices, "snapshot chosen on validation")
    categories, labels = len(matrices[best]), 250  # pixels beside the matrices, and above and below them
    side = min(max(420, 22 * categories), (PAGE_WIDTH - labels) // len(matrices))
    if side < 24 * categories:  # pixels that a number needs; the hover text has it anyway
        figure.update_traces(texttemplate=None)
    figure.update_annotations(font_size=min(16, side // 14))
    return figure.update_layout(width=labels + side * len(matrices), height=labels + side)


def interval_bars(rows: pd.DataFrame, split: str = "test") -> dict[str, Any]:
    """Error bars from the bounds of the accuracy's interval, ``<split>_low`` and ``<split>_high``."""
    accuracy, low, high = (rows[f"{split}_{name}"] for name in ("top1", "low", "high"))
    bounds = {"array": high - accuracy, "arrayminus": accuracy - low}
    return {"type": "data", "symmetric": False, "thickness": 1.5, "width": 5} | bounds


def performance_band(rows: pd.DataFrame, by: str, name: str, low: str = "performance_top1_low") -> go.Scatter:
    """The interval of the performance along ``by`` as a band, from the columns ``low`` and its counterpart high."""
    ends = [*rows[low.replace("low", "high")], *rows[low][::-1]]
    band = go.Scatter(x=[*rows[by], *rows[by][::-1]], y=ends, name=name, mode="lines", line_width=0)
    return band.update(fill="toself", fillcolor=BAND, hoverinfo="skip")


def tied_rings(x: Sequence[Any] | pd.Series, y: Sequence[Any] | pd.Series, **place: Any) -> go.Scatter:
    """A ring around each point that the test images cannot tell from the best one."""
    ring = go.Scatter(x=x, y=y, name="not told apart from the best", mode="markers", hoverinfo="skip", **place)
    return ring.update(marker={"symbol": "circle-open", "size": 17, "color": RING, "line": {"width": 2.5}})


def mark_interval(figure: go.Figure, low: float, high: float, **place: Any) -> None:
    """A band behind a figure of models, over their axis of accuracies: the interval of the best one."""
    if not (pd.isna(low) or pd.isna(high)):
        figure.add_vrect(low, high, fillcolor=BAND, line_width=0, layer="below", **place)
