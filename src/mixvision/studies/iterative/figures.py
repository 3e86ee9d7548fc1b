"""The iterative-training study's Plotly figures: what is learned before the switch, and forgotten after it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mixvision.reporting.charts import performance_band, tied_rings
from mixvision.reporting.published import PublishedIterative
from mixvision.reporting.style import COLOURS, TEMPLATE, shades, title_with
from mixvision.reporting.tables import inseparable
from mixvision.studies.iterative.forgetting import second_domain, since_switch
from mixvision.vocabulary import AFTER_INITIAL

PANELS_ACROSS = 3
MATRICES_ACROSS = 5
FIRST_ITERATIONS = 300
SHARE_AXIS = "iterations spent on the initial training (%)"
# The snapshots that are drawn of each share: name in the legend, colour and dash.
DRAWN = {
    AFTER_INITIAL: ("after the initial training", "#56B4E9", "dot"),
    "best_validation": ("restricted training, chosen on validation", COLOURS["performance"], "solid"),
    "last": ("last: end of the restricted training", "#CC79A7", "dash"),
}


def forgetting_curves(history: pd.DataFrame, trials: pd.DataFrame, split: str = "test") -> go.Figure:
    """Top-1 accuracies and performance through both trainings, one panel per share, averaged over its seeds.

    Args:
        history: ``trial``, ``iteration``, ``split``, ``nice_top1``, ``real_top1``, ``performance_top1``.
        trials: ``trial``, ``share`` (per cent) and ``begin``, the iteration of the switch.
        split: the images measured on, ``"validation"`` or ``"test"``.
    """
    measured = history[history["split"] == split].merge(trials[["trial", "share", "begin"]], on="trial")
    columns = [f"{curve}_top1" for curve in COLOURS]
    means = measured.groupby(["share", "begin", "iteration"])[columns].mean().reset_index()
    shares = sorted(means["share"].unique())
    figure = _panels([f"{share}% initial" for share in shares], PANELS_ACROSS, shared_axes="all")
    for panel, share in enumerate(shares):
        rows = means[means["share"] == share]
        place = {"row": panel // PANELS_ACROSS + 1, "col": panel % PANELS_ACROSS + 1}
        for curve, colour in COLOURS.items():
            line = {"color": colour, "dash": "dot" if curve == "performance" else "solid", "width": 1.8}
            trace = go.Scatter(x=rows["iteration"], y=rows[f"{curve}_top1"], name=curve, mode="lines", line=line)
            figure.add_trace(trace.update(legendgroup=curve, showlegend=panel == 0), **place)
        switch = {"color": "rgba(127,127,127,0.9)", "width": 1.2, "dash": "dash"}
        figure.add_vline(x=rows["begin"].iloc[0], line=switch, **place)
    down = max(1, -(-len(shares) // PANELS_ACROSS))
    subtitle = "top-1, mean over the seeds of each share; dashed lines: switch to the restricted training"
    title = title_with(f"Accuracy through both trainings on the {split} images", subtitle)
    figure.update_layout(template=TEMPLATE, title=title, height=190 + 210 * down, margin_t=115)
    figure.update_yaxes(range=[0, 1.02]).update_yaxes(title="top-1", col=1)
    return figure.update_xaxes(title="iteration", row=down)


def forgetting_zoom(
    history: pd.DataFrame, trials: pd.DataFrame, first: str, published: PublishedIterative | None
) -> go.Figure:
    """Test accuracy on the first domain in the first iterations after the switch, one line per share.

    Args:
        history, trials: as for :func:`forgetting_curves`.
        first: domain of the initial training.
        published: the paper's ``accuracy_at_switch`` and ``accuracy_after_200`` on nice images, or None.
    """
    after = since_switch(history, trials)
    after = after[after["since"] <= FIRST_ITERATIONS]
    means = after.groupby(["share", "since"])[f"{first}_top1"].mean().reset_index()
    figure = go.Figure()
    for share, colour in _share_colours(means["share"].unique()).items():
        rows = means[means["share"] == share]
        line = {"color": colour, "width": 2}
        trace = go.Scatter(x=rows["since"], y=rows[f"{first}_top1"], name=f"{share}%", mode="lines+markers", line=line)
        figure.add_trace(trace.update(marker_size=5))
    if published and published.forgetting and first == "nice":
        paper = {"x": [0, 200], "y": published.forgetting}
        line = {"color": "rgba(127,127,127,0.9)", "width": 1.5, "dash": "dash"}
        marker = {"symbol": "circle-open", "size": 9}
        figure.add_trace(go.Scatter(**paper, name="published", mode="lines+markers", line=line, marker=marker))
    title = f"How fast accuracy on {first} images falls during the restricted training on {second_domain(first)} images"
    subtitle = f"top-1, test images, first {FIRST_ITERATIONS} iterations after the switch, mean over seeds"
    figure.update_layout(template=TEMPLATE, title=title_with(title, subtitle), height=500, legend_title="% initial")
    figure.update_xaxes(title="iterations since the switch")
    return figure.update_yaxes(title=f"accuracy on {first} images (fraction)", range=[0, 1.02])


def performance_against_share(table: pd.DataFrame, published: PublishedIterative | None) -> go.Figure:
    """Test performance at the end of both trainings against the share of the initial one.

    Args:
        table: what :func:`mixvision.reporting.tables.metric_table` returns, by ``share``. Of the snapshot chosen on
            validation the 95% interval is drawn as a band, with rings around the shares not told from the best.
        published: the paper's ``highest_performance``, drawn as a line, or None.
    """
    figure = go.Figure()
    for snapshot, (name, colour, dash) in DRAWN.items():
        rows = table[table["snapshot"] == snapshot]
        spread = rows["performance_top1_std"]
        line = {"color": colour, "width": 2.5, "dash": dash}
        trace = go.Scatter(x=rows["share"], y=rows["performance_top1"], name=name, mode="lines+markers", line=line)
        trace.update(marker_size=8, hovertemplate="%{x}% initial: %{y:.3f}")
        figure.add_trace(trace.update(error_y={"type": "data", "array": spread, "visible": bool(spread.notna().any())}))
    honest = table[table["snapshot"] == "best_validation"]
    alike = honest[honest["share"].isin(inseparable(table, "share"))]
    figure.add_trace(performance_band(honest, "share", "its 95% interval"))
    figure.add_trace(tied_rings(alike["share"], alike["performance_top1"]))
    if published and published.highest_performance is not None:
        text = f"published: never above {published.highest_performance:.2f}"
        line = {"color": "rgba(127,127,127,0.9)", "width": 1.5, "dash": "dash"}
        figure.add_hline(y=published.highest_performance, line=line, annotation_text=text)
    seeds = int(table["trials"].max()) if len(table) else 0
    subtitle = "top-1, test images" + (f"; bars: standard deviation over {seeds} seeds" if seeds > 1 else "")
    title = title_with("Performance, √(nice · real), at the end of both trainings", subtitle)
    figure.update_layout(template=TEMPLATE, title=title, height=480)
    figure.update_xaxes(title=SHARE_AXIS, range=[-3, 103], dtick=10)
    return figure.update_yaxes(title="performance (fraction)", range=[0, 1.02])


def accuracy_matrices(matrix: pd.DataFrame, first: str) -> go.Figure:
    """The accuracy matrix of every share: trainings down, domains across.

    Args:
        matrix: what :func:`mixvision.studies.iterative.forgetting.accuracy_matrix` returns.
        first: domain of the initial training.
    """
    domains = [first, second_domain(first)]
    shares = sorted(matrix["share"].unique())
    figure = _panels([f"{share}% initial" for share in shares], MATRICES_ACROSS, shared_axes=True)
    for panel, share in enumerate(shares):
        accuracies = matrix[matrix["share"] == share].set_index("after")[[f"{domain}_top1" for domain in domains]]
        trace = go.Heatmap(
            z=accuracies.to_numpy(),
            x=domains,
            y=[f"after {training}" for training in accuracies.index],
            texttemplate="%{z:.2f}",
            hovertemplate="%{y}, %{x} images: %{z:.3f}<extra></extra>",
            coloraxis="coloraxis",
            xgap=1,
            ygap=1,
        )
        figure.add_trace(trace, row=panel // MATRICES_ACROSS + 1, col=panel % MATRICES_ACROSS + 1)
    down = max(1, -(-len(shares) // MATRICES_ACROSS))
    title = title_with(
        "Accuracy after each training", f"top-1 accuracy, test images; trained on {domains[0]}, then {domains[1]}"
    )
    colours = {"colorscale": "Purples", "cmin": 0, "cmax": 1, "colorbar": {"title": "top-1"}}
    figure.update_layout(template=TEMPLATE, title=title, coloraxis=colours, height=200 + 150 * down, margin_t=115)
    figure.update_layout(margin_b=50)
    return figure.update_yaxes(autorange="reversed", showgrid=False).update_xaxes(showgrid=False)


def interpolation_curves(interpolations: pd.DataFrame) -> go.Figure:
    """Test accuracy of the networks between the ends of both trainings, one line per share.

    Args:
        interpolations: what :func:`mixvision.studies.iterative.forgetting.interpolation_summary` returns.
    """
    tested = interpolations[interpolations["split"] == "test"]
    figure = _panels(list(COLOURS), len(COLOURS), shared_axes="all")
    for share, colour in _share_colours(tested["share"].unique()).items():
        rows = tested[tested["share"] == share]
        for column, curve in enumerate(COLOURS, start=1):
            line = {"color": colour, "width": 2}
            trace = go.Scatter(x=rows["alpha"], y=rows[f"{curve}_top1"], name=f"{share}%", mode="lines", line=line)
            figure.add_trace(trace.update(legendgroup=str(share), showlegend=column == 1), row=1, col=column)
    subtitle = "top-1, test images; alpha = 0: end of the initial training, alpha = 1: end of the restricted one"
    title = title_with("Accuracy of interpolated weights, (1 - alpha) · initial + alpha · restricted", subtitle)
    figure.update_layout(template=TEMPLATE, title=title, height=480, margin_t=115, legend_title="% initial")
    figure.update_yaxes(range=[0, 1.02]).update_yaxes(title="top-1", col=1)
    return figure.update_xaxes(title="alpha")


def _panels(titles: Sequence[str], across: int, shared_axes: bool | str) -> go.Figure:
    """A grid of panels with these titles, filled row by row."""
    down = max(1, -(-len(titles) // across))
    figure = make_subplots(
        rows=down,
        cols=max(1, min(across, len(titles))),
        shared_xaxes=shared_axes,
        shared_yaxes=shared_axes,
        subplot_titles=titles,
        vertical_spacing=0.3 / down,
        horizontal_spacing=0.04,
    )
    return figure.update_xaxes(showticklabels=True)  # also where the panel below is missing


def _share_colours(shares: Sequence[int]) -> dict[int, str]:
    """A colour for each share, from blue (least initial training) to green."""
    colours = shades([share / 100 for share in sorted(shares)])
    return dict(zip(sorted(shares), colours, strict=True))
