"""Figures of the conclusions: differences, the ratios, both approaches, and the law of mixing."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mixvision.evaluation.selection import best_label
from mixvision.reporting.published import PublishedMixing
from mixvision.reporting.style import COLOURS, TEMPLATE, title_with
from mixvision.reporting.tables import best_published, published_rows
from mixvision.studies.conclusions.statements import CENTRE, NEAR

NEUTRAL = "#7F7F7F"
LABEL = 18  # pixels of a line of text
REAL_SHARE = "real images in the training set (%)"


def hypothesis_differences(verdicts: pd.DataFrame) -> go.Figure:
    """The hypotheses that are differences, each with its interval; values right of 0 support the hypothesis.

    Args:
        verdicts: what :func:`mixvision.studies.conclusions.hypotheses.judge_hypotheses` returns.
    """
    rows = verdicts[verdicts["estimate"].notna()].iloc[::-1]
    names = [f"{row.hypothesis}<br><b>{row.verdict}</b>" for row in rows.itertuples()]
    bounds = {"array": rows["high"] - rows["estimate"], "arrayminus": rows["estimate"] - rows["low"]}
    figure = go.Figure(
        go.Scatter(
            x=rows["estimate"],
            y=names,
            name="this study, with its bounds",
            mode="markers",
            marker={"color": COLOURS["nice"], "size": 11},
            error_x={"type": "data", "symmetric": False, "thickness": 2, "width": 6} | bounds,
            hovertemplate="%{x:+.3f}",
        )
    )
    if rows["published_estimate"].notna().any():
        marker = {"symbol": "diamond-open", "size": 11, "color": NEUTRAL, "line": {"width": 2}}
        paper = go.Scatter(x=rows["published_estimate"], y=names, name="published (best on test)", mode="markers")
        figure.add_trace(paper.update(marker=marker, hovertemplate="%{x:+.3f}"))
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 1.5})
    title = title_with("The hypotheses as differences", "right of 0: for the hypothesis; left of 0: against it")
    figure.update_layout(template=TEMPLATE, title=title, height=230 + 75 * max(1, len(rows)), showlegend=True)
    figure.update_yaxes(type="category", range=[-0.6, max(1, len(rows)) - 0.4])
    return figure.update_xaxes(title="difference in test accuracy or performance (fraction)", tickformat="+.2f")


def behind_the_best(ratios: pd.DataFrame, published: PublishedMixing | None) -> go.Figure:
    """How far each ratio's test performance is behind the highest; "near 50%" is shaded.

    Args:
        ratios: what :func:`mixvision.studies.conclusions.hypotheses.distances_of_ratios` returns.
        published: the paper's mixed models, or None.
    """
    figure = go.Figure()
    for is_beaten, name in ((False, "cannot be told from the best"), (True, "certainly behind another ratio")):
        rows = ratios[ratios["is_beaten"] == is_beaten]
        trace = go.Scatter(
            x=rows["ratio"],
            y=rows["behind"],
            name=name,
            mode="markers",
            marker={"size": 11, "color": COLOURS["performance"], "symbol": "circle-open" if is_beaten else "circle"},
            error_y={"type": "data", "array": rows["margin"], "thickness": 1.5, "width": 5},
            hovertemplate="%{x}% real: %{y:.3f} behind<extra></extra>",
        )
        figure.add_trace(trace)
    band = {"fillcolor": COLOURS["performance"], "opacity": 0.12, "line_width": 0, "layer": "below"}
    label = f"within {NEAR} points of {CENTRE}%"
    figure.add_vrect(CENTRE - NEAR, CENTRE + NEAR, annotation_text=label, annotation_position="top left", **band)
    if best := best_published(published):
        line = {"color": NEUTRAL, "dash": "dash"}
        below = {"text": f"published: {best[0]}%", "yshift": -LABEL}  # on a phone they would stand in each other's way
        side = "right" if best[0] <= CENTRE else "left"
        figure.add_vline(best[0], line=line, annotation=below, annotation_position=f"top {side}")
    subtitle = "test performance, √(nice · real); bars: how uncertain the difference is, over images and seeds"
    figure.update_layout(template=TEMPLATE, title=title_with("How far each ratio is behind the best", subtitle))
    figure.update_layout(height=460, margin_b=70, showlegend=True)
    figure.update_xaxes(title=REAL_SHARE, range=[-5, 105], dtick=10)
    return figure.update_yaxes(title="behind the best (fraction)", rangemode="tozero")


def approaches(
    settings: pd.DataFrame, published: PublishedMixing | None, published_iterative: float | None
) -> go.Figure:
    """Performance of mixed models by ratio and of iterative ones by initial share, side by side on one scale.

    Args:
        settings: what ``Evidence.settings`` holds, with ``approach`` and ``value`` as columns.
        published: the paper's mixed models, or None.
        published_iterative: the paper's highest performance of iterative training, or None.
    """
    titles = ["mixed training", "iterative training"]
    figure = make_subplots(cols=2, shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.04)
    for column, approach in enumerate(("mixed", "iterative"), start=1):
        rows = settings[settings["approach"] == approach]
        bounds = {
            "array": rows["performance_high"] - rows["performance"],
            "arrayminus": rows["performance"] - rows["performance_low"],
        }
        trace = go.Scatter(
            x=rows["value"],
            y=rows["performance"],
            name="this study, chosen on validation, with 95% interval",
            mode="lines+markers",
            line={"color": COLOURS["performance"], "width": 2.5},
            marker={"size": 8},
            error_y={"type": "data", "symmetric": False, "thickness": 1.2, "width": 4} | bounds,
            showlegend=column == 1,
            hovertemplate="%{x}%: %{y:.3f}",
        )
        figure.add_trace(trace, row=1, col=column)
    paper, dashed = published_rows(published), {"color": NEUTRAL, "width": 1.5, "dash": "dash"}
    if paper is not None and "performance_top1" in paper:
        trace = go.Scatter(x=paper["ratio"], y=paper["performance_top1"], name="published (best on test)", line=dashed)
        figure.add_trace(trace.update(mode="lines+markers", marker_symbol="circle-open"), row=1, col=1)
    if published_iterative is not None:
        text = f"published: never above {published_iterative:.2f}"
        figure.add_hline(published_iterative, line=dashed, annotation_text=text, row=1, col=2)
    title = title_with("Mixed against iterative training", "test performance, √(nice · real), top-1")
    figure.update_layout(template=TEMPLATE, title=title, height=480, margin_t=115)
    figure.update_yaxes(range=[0, 1.02]).update_yaxes(title="performance (fraction)", col=1)
    figure.update_xaxes(title=REAL_SHARE, range=[-4, 104], dtick=20, col=1)
    return figure.update_xaxes(title="iterations spent on the initial training (%)", range=[-4, 104], dtick=20, col=2)


def mixing_law_fits(curves: pd.DataFrame) -> go.Figure:
    """The fitted laws, with the accuracies that were fitted and those that were not, one panel a fit.

    Args:
        curves: what :func:`mixvision.studies.conclusions.mixing_law.fit_proxies` returns.
    """
    sets, iterations = list(curves["proxies"].unique()), sorted(curves["iteration"].unique())
    down, across = max(1, len(sets)), max(1, len(iterations))
    titles = [f"{names}<br>iteration {iteration}" for names in sets for iteration in iterations]
    grid = {"shared_xaxes": "all", "shared_yaxes": "all", "horizontal_spacing": 0.02, "vertical_spacing": 0.28 / down}
    figure = make_subplots(rows=down, cols=across, subplot_titles=titles, **grid)
    for row, names in enumerate(sets, start=1):
        for column, iteration in enumerate(iterations, start=1):
            panel = curves[(curves["proxies"] == names) & (curves["iteration"] == iteration)]
            _draw_law(figure, panel, row, column)
    subtitle = (
        "validation images; filled: proxy ratios, used in the fit; open: ratios not used; dotted: predicted best ratio"
    )
    title = title_with("A law of mixing, fitted on a few ratios early in training", subtitle)
    figure.update_layout(template=TEMPLATE, title=title, height=240 + 260 * down, margin_t=150)
    figure.update_yaxes(range=[0, 1.02]).update_yaxes(title="top-1", col=1)
    return figure.update_xaxes(range=[-4, 104], dtick=20).update_xaxes(title=REAL_SHARE, row=down)


def _draw_law(figure: go.Figure, panel: pd.DataFrame, row: int, column: int) -> None:
    for measure, colour in COLOURS.items():
        first = row == column == 1
        line = {"color": colour, "width": 2}
        curve = go.Scatter(x=panel["ratio"], y=panel[f"{measure}_top1"], name=measure, mode="lines", line=line)
        figure.add_trace(curve.update(legendgroup=measure, showlegend=first), row=row, col=column)
        seen = panel.dropna(subset=f"observed_{measure}_top1")
        symbols = ["circle" if proxy else "circle-open" for proxy in seen["proxy"]]
        points = go.Scatter(x=seen["ratio"], y=seen[f"observed_{measure}_top1"], name=f"{measure}, observed")
        points.update(mode="markers", marker={"color": colour, "size": 8, "symbol": symbols}, legendgroup=measure)
        figure.add_trace(points.update(showlegend=False), row=row, col=column)
    best = best_label(panel.set_index("ratio")["performance_top1"])
    figure.add_vline(best, line={"color": NEUTRAL, "dash": "dot"}, row=row, col=column)
