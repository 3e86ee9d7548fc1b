"""The tuning's Plotly figures."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from mixvision.reporting.style import TEMPLATE, shades, title_with
from mixvision.studies.tuning.grid import UNLUCKY
from mixvision.studies.tuning.page import best_by_ratio
from mixvision.vocabulary import FAILED, FINISHED, MISSING, PRUNED

SEARCH_COLOURS = {"grid": "#8A8A8A", "adaptive": "#CC79A7"}
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = {FINISHED: "circle", PRUNED: "x", **dict.fromkeys(UNLUCKY, "square-open"), FAILED: "triangle-up-open"}
LOG_TICKS = [digit * 10.0**exponent for exponent in range(-6, 3) for digit in (1, 2, 5)]
MEASURE = "best performance (fraction)"


def settings_against_ratio(scores: pd.DataFrame, step: str, title: str) -> go.Figure:
    """Best validation performance against the ratio, one line for each setting of a step.

    Colours show the L2 factors and dashes the learning rates, or colours the rates if there is only one factor.

    Args:
        scores: trials with step, ratio, learning_rate, l2, iterations, performance_top1.
        step: "rates", "factors" or "final".
        title: of the figure.
    """
    rows = scores[scores["step"] == step].sort_values(["learning_rate", "l2", "ratio"])
    rates, factors = (sorted(rows[name].unique()) for name in ("learning_rate", "l2"))
    coloured = "l2" if len(factors) > 1 else "learning_rate"
    values = factors if len(factors) > 1 else rates
    places = [0.5] if len(values) == 1 else [place / (len(values) - 1) for place in range(len(values))]
    colours = dict(zip(values, shades(places), strict=True))
    dashes = {rate: DASHES[place % len(DASHES)] if coloured == "l2" else "solid" for place, rate in enumerate(rates)}
    figure = go.Figure()
    for (rate, factor), line in rows.groupby(["learning_rate", "l2"]):
        colour = colours[factor if coloured == "l2" else rate]
        figure.add_trace(
            go.Scatter(
                x=line["ratio"],
                y=line["performance_top1"],
                name=f"rate {rate:g}, L2 {factor:g}",
                mode="lines+markers",
                line={"color": colour, "width": 2.2, "dash": dashes[rate]},
                hovertemplate="%{x}% real: %{y:.3f}",
            )
        )
    iterations = rows["iterations"].max() if len(rows) else 0
    subtitle = f"validation images, best within {iterations:,} iterations; diverged trials are left out"
    return _against_ratio(figure, title, subtitle)


def best_against_ratio(grid: pd.DataFrame, adaptive: pd.DataFrame) -> go.Figure:
    """The best validation performance that each search found for every ratio."""
    figure = go.Figure()
    for name, scores in (("grid", grid), ("adaptive", adaptive)):
        best = best_by_ratio(scores)
        trace = go.Scatter(x=best["ratio"], y=best["performance_top1"], name=name, mode="lines+markers")
        trace.update(
            customdata=best[["learning_rate", "l2"]],
            line={"color": SEARCH_COLOURS[name], "width": 2.5},
            hovertemplate="%{x}% real: %{y:.3f}, rate %{customdata[0]:.3g}, L2 %{customdata[1]:.3g}",
        )
        figure.add_trace(trace)
    return _against_ratio(
        figure, "The best setting of every ratio", "validation images, best of all trials of the ratio"
    )


def progress_curves(progress: pd.DataFrame, grid: pd.DataFrame) -> go.Figure:
    """The best performance so far against the cost, for both searches; the grid's steps are marked.

    Args:
        progress: search ("grid" or "adaptive"), spent, performance_top1.
        grid: scores of the grid's trials, with step and trained_iterations.
    """
    figure = go.Figure()
    for name, rows in progress.groupby("search", sort=False):
        line = {"color": SEARCH_COLOURS[name], "width": 2.5, "shape": "hv"}
        trace = go.Scatter(x=rows["spent"], y=rows["performance_top1"], name=name, mode="lines", line=line)
        figure.add_trace(trace.update(hovertemplate="%{x:,} model-iterations: %{y:.3f}"))
    ends = grid.groupby("step", sort=False)["trained_iterations"].sum().cumsum()
    for step, end in ends.items():
        figure.add_vline(end, line={"dash": "dot", "width": 1, "color": SEARCH_COLOURS["grid"]})
        figure.add_annotation(
            x=end, y=1, yref="paper", text=f"grid: {step}", showarrow=False, xanchor="right", yshift=10
        )
    subtitle = "best validation performance of each ratio so far (0 where it has none), mean over the ratios"
    figure.update_layout(
        template=TEMPLATE, title=title_with("Best performance by cost of the search", subtitle), height=480
    )
    figure.update_xaxes(title="model-iterations spent", rangemode="tozero")
    return figure.update_yaxes(title=MEASURE)


def adaptive_trials(adaptive: pd.DataFrame, learning_rate: float, l2: float) -> go.Figure:
    """The settings that the adaptive search tried, and how far each trial is below the best of its ratio.

    Args:
        adaptive: scores of the trials: ratio, learning_rate, l2, status, trained_iterations, performance_top1.
        learning_rate, l2: the grid's choice, for comparison.
    """
    behind = adaptive.groupby("ratio")["performance_top1"].transform("max") - adaptive["performance_top1"]
    adaptive = adaptive.assign(behind=behind)
    figure = go.Figure()
    for status, symbol in SYMBOLS.items():
        rows = adaptive[adaptive["status"] == status]
        if rows.empty:
            continue
        grey, scale = {"color": "#8A8A8A"}, {"color": rows["behind"], "coloraxis": "coloraxis"}
        measured, name = grey if status in MISSING else scale, {FAILED: "diverged"}.get(status, status)
        # Plotly's legend takes no colour from a scale, and complains in the browser's console.
        legend = go.Scatter(x=[None], y=[None], name=name, mode="markers", legendgroup=status)
        figure.add_trace(legend.update(marker={"symbol": symbol, "size": 10, **grey}))
        figure.add_trace(
            go.Scatter(
                x=rows["learning_rate"],
                y=rows["l2"],
                name=name,
                legendgroup=status,
                showlegend=False,
                mode="markers",
                marker={"symbol": symbol, "size": 10, **measured},
                customdata=rows[["ratio", "performance_top1", "trained_iterations"]],
                hovertemplate="rate %{x:.3g}, L2 %{y:.3g}, %{customdata[0]}% real: %{customdata[1]:.3f} "
                "after %{customdata[2]:,} iterations",
            )
        )
    star = {"symbol": "star-open", "size": 16, "color": "#E69F00", "line": {"width": 2}}
    figure.add_trace(go.Scatter(x=[learning_rate], y=[l2], name="chosen by the grid", mode="markers", marker=star))
    title = title_with(
        "Settings tried by the adaptive search", "colour: how far a trial is below the best of its ratio"
    )
    figure.update_layout(template=TEMPLATE, title=title, height=520)
    figure.update_layout(coloraxis={"colorscale": shades([1, 0]), "cmin": 0, "colorbar": {"title": "below<br>best"}})
    ticks = {"type": "log", "tickvals": LOG_TICKS, "ticktext": [f"{tick:g}" for tick in LOG_TICKS]}
    figure.update_xaxes(title="learning rate", **ticks)
    return figure.update_yaxes(title="L2 factor", **ticks)


def _against_ratio(figure: go.Figure, title: str, subtitle: str) -> go.Figure:
    figure.update_layout(template=TEMPLATE, title=title_with(title, subtitle), height=480)
    figure.update_xaxes(title="real images in the training set (%)", range=[-3, 103], dtick=10)
    return figure.update_yaxes(title=MEASURE)
