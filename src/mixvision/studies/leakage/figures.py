"""The figure of the leakage study."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mixvision.reporting.charts import interval_bars
from mixvision.reporting.style import COLOURS, TEMPLATE, title_with
from mixvision.vocabulary import DOMAINS


def accuracy_under_both_splits(comparison: pd.DataFrame, method: str) -> go.Figure:
    """Top-1 test accuracy against the share of real training images, a panel per domain; the plain split is dashed.

    Args:
        comparison: what :func:`mixvision.studies.leakage.comparison.compare_accuracies` returns.
        method: how the study splits its images, "grouped" or "published".
    """
    titles = [f"{domain} test images" for domain in DOMAINS]
    figure = make_subplots(cols=2, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.04)
    for column, domain in enumerate(DOMAINS, start=1):
        rows = comparison[comparison["domain"] == domain].sort_values("ratio")
        for side, name, dash, symbol in (
            ("used", method, "solid", "circle"),
            ("plain", "plain", "dash", "circle-open"),
        ):
            trace = go.Scatter(
                x=rows["ratio"],
                y=rows[f"{side}_top1"],
                name=f"{domain}, {name} split",
                mode="lines+markers",
                line={"color": COLOURS[domain], "width": 2.5, "dash": dash},
                marker={"symbol": symbol, "size": 8},
                error_y=interval_bars(rows, side),
                hovertemplate="%{x}% real: %{y:.3f}",
            )
            figure.add_trace(trace, row=1, col=column)
    title = title_with(
        "Test accuracy (top-1) under both splits, by share of real training images",
        "snapshot chosen on validation; bars: 95% interval",
    )
    figure.update_layout(template=TEMPLATE, title=title, height=480, margin_t=115)
    figure.update_yaxes(range=[0, 1.02]).update_yaxes(title="accuracy (fraction)", col=1)
    return figure.update_xaxes(title="real images in the training set (%)", range=[-4, 104], dtick=20)
