"""Figures of single models: confusion matrices, calibration, and a map of the features."""

from __future__ import annotations

import colorsys

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mixvision.evaluation.calibration import reliability
from mixvision.evaluation.classification import whole_confusion
from mixvision.evaluation.mistakes import select_predictions
from mixvision.evaluation.selection import best_model
from mixvision.reporting import charts
from mixvision.reporting.formatting import number
from mixvision.reporting.style import TEMPLATE, title_with
from mixvision.studies.transfer.figures import METHOD_COLOURS
from mixvision.studies.transfer.tables import best_of_methods
from mixvision.vocabulary import AS_IS

MATRICES_ACROSS = 3
LARGEST_LEGEND = 40  # categories that are named beside the map
SYMBOLS = {"nice": "circle", "real": "diamond"}

_LABEL_PIXELS = 16  # that a category's name needs next to a matrix


def confusion_matrices(joined: pd.DataFrame, table: pd.DataFrame) -> go.Figure:
    """Confusion matrices of the best model of each method on test images; with many categories only the best model's.

    "As is" is left out unless there is nothing else: most of its predictions are not categories of the study.

    Args:
        joined: what :func:`mixvision.evaluation.metrics.join_predictions` returns.
        table: what :func:`mixvision.studies.transfer.tables.transfer_table` returns.
    """
    best, scores = best_model(table), table.set_index("trial")["validation_top1"]
    others = sorted(best_of_methods(table, without=[AS_IS]), key=lambda name: -scores[name])
    shown = list(dict.fromkeys([best, *others]))[:MATRICES_ACROSS]
    categories = sorted(joined["category"].astype("str").unique())
    matrices = {name: whole_confusion(select_predictions(joined, [name]), categories) for name in shown}
    figure = charts.confusion_matrices(matrices, best)
    side = figure.layout.height - 250
    step = -(-len(categories) * _LABEL_PIXELS // side)
    return figure.update_xaxes(dtick=step).update_yaxes(dtick=step, title_standoff=12)


def reliability_diagram(joined: pd.DataFrame, table: pd.DataFrame, bins: int = 15) -> go.Figure:
    """How often the best model of each method is right at each level of confidence, on test images.

    Arguments as for :func:`confusion_matrices`; ``bins`` as for
    :func:`mixvision.evaluation.calibration.reliability`.
    """
    diagonal = {"color": "#8A8F98", "width": 1.2, "dash": "dot"}
    figure = go.Figure(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, hoverinfo="skip", showlegend=False))
    models = table.set_index("trial").loc[best_of_methods(table)]
    for name, method, error in zip(models.index, models["method"], models["ece"], strict=True):
        points = reliability(select_predictions(joined, [name]), bins).query("images > 0")
        share = points["images"] / points["images"].sum()
        trace = go.Scatter(x=points["confidence"], y=points["accuracy"], mode="lines+markers")
        trace.update(name=f"{name}, ECE {number(error)}", line_color=METHOD_COLOURS[method])
        trace.update(marker_size=5 + 18 * np.sqrt(share), customdata=points["images"])
        trace.update(hovertemplate="confidence %{x:.3f}, accuracy %{y:.3f}, %{customdata} images")
        figure.add_trace(trace)
    subtitle = f"test images, snapshot chosen on validation, {bins} bins; larger points hold more images"
    title = title_with("Confidence of the models, and how often they are right", subtitle)
    figure.update_layout(template=TEMPLATE, title=title, height=600, width=760)
    figure.update_xaxes(title="confidence (probability of the first prediction)", range=[-0.02, 1.04])
    return figure.update_yaxes(title="accuracy (fraction)", range=[-0.02, 1.04])


def embedding_map(points: pd.DataFrame, subject: str) -> go.Figure:
    """A map on which images with similar features are close together: colours show the category, symbols the domain.

    Args:
        points: one row per image: ``id``, ``x``, ``y``, ``category``, ``domain`` and ``split``.
        subject: whose features and how they were mapped, for the title.
    """
    categories = sorted(points["category"].astype("str").unique())
    named = len(categories) <= LARGEST_LEGEND
    figure = go.Figure()
    for place, category in enumerate(categories):
        rows = points[points["category"].astype("str") == category]
        marker = {"color": _colour(place), "size": 7, "symbol": rows["domain"].map(SYMBOLS), "opacity": 0.85}
        trace = go.Scattergl(x=rows["x"], y=rows["y"], name=category, mode="markers", marker=marker, showlegend=named)
        trace.update(customdata=rows[["id", "split"]], hovertemplate="%{customdata[0]}<br>%{customdata[1]}")
        figure.add_trace(trace)
    domains = [domain for domain in SYMBOLS if (points["domain"] == domain).any()]
    symbols = "; ".join(f"{SYMBOLS[domain]}s: {domain}" for domain in domains) if len(domains) > 1 else ""
    hidden = "" if named else f"{len(categories)} categories, named on hover"
    subtitle = "; ".join(text for text in (subject, symbols, hidden) if text)
    figure.update_layout(template=TEMPLATE, title=title_with("A map of the features", subtitle))
    legend = {"orientation": "v", "x": 1.01, "xanchor": "left", "yref": "paper", "y": 1, "yanchor": "top"}
    figure.update_layout(height=max(640, 140 + 20 * len(categories) * named), margin_b=40, legend=legend)
    figure.update_xaxes(showticklabels=False, ticks="", showgrid=False)
    return figure.update_yaxes(showticklabels=False, ticks="", showgrid=False)


def _colour(place: int) -> str:
    """Colours that differ much between neighbours: hues a golden angle apart, light and dark in turn."""
    hue, lightness = place * 0.381966 % 1, (0.45, 0.62)[place % 2]
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, 0.65))
    return f"rgb({red},{green},{blue})"
