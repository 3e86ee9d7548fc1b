"""Transfer learning's Plotly figures: models compared, accuracy along training, by input size and by mixing ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from mixvision.reporting.baselines_figures import SIDE_BY_SIDE, SPLIT_COLOURS
from mixvision.reporting.figures import PANELS_ACROSS, accuracy_panels
from mixvision.reporting.style import COLOURS, TEMPLATE, title_with
from mixvision.reporting.tables import published_rows

METHOD_COLOURS = {
    "as is": "#8A8F98",
    "as is, restricted": "#56B4E9",
    "head": "#E69F00",
    "fine-tuned": "#CC79A7",
    "views": "#7B5EA7",
    "ensemble, mean": "#A5682A",
    "ensemble, stacked": "#1B9E9E",
}
PANEL_WIDTH = 240  # pixels of one of four panels; a letter is about 0.58 of its size wide
LINE_COLOURS = ("#E69F00", "#56B4E9", "#CC79A7", "#7B5EA7", "#A5682A", "#1B9E9E", "#8A8F98")


def model_comparison(table: pd.DataFrame) -> go.Figure:
    """Test and validation accuracy of every model, coloured by method.

    Args:
        table: what :func:`mixvision.reporting.transfer_tables.transfer_table` returns.
    """
    figure = go.Figure()
    for method, rows in table.groupby("method", sort=False):
        place = {"y": rows["trial"], "orientation": "h", "mode": "markers", "legendgroup": method}
        for split, symbol in (("validation", "diamond-open"), ("test", "circle")):
            trace = go.Scatter(x=rows[f"{split}_top1"], name=method, offsetgroup=split, **place)
            trace.update(marker={"symbol": symbol, "size": 9, "color": METHOD_COLOURS[method]})
            trace.update(marker_line={"color": METHOD_COLOURS[method], "width": 2 if split == "validation" else 0})
            trace.update(showlegend=split == "test", hovertemplate=f"%{{y}}, {split}: %{{x:.3f}}<extra></extra>")
            figure.add_trace(trace.update(error_x=_interval(rows)) if split == "test" else trace)
    subtitle = "top-1, weights best_validation; circles: test with its 95% interval; open diamonds: validation"
    title = title_with("Accuracy of every model", subtitle)
    figure.update_layout(template=TEMPLATE, title=title, height=240 + 34 * len(table), **SIDE_BY_SIDE)
    lowest = table[["validation_top1", "test_low"]].min(axis=None)
    low = 0.0 if pd.isna(lowest) else max(0.0, float(lowest))
    figure.update_xaxes(title="accuracy (fraction)", range=[low - 0.03 * (1.05 - low), 1 + 0.03 * (1.05 - low)])
    # Models that failed have no point, but keep their line.
    order = {"categoryorder": "array", "categoryarray": list(table["trial"]), "range": [len(table) - 0.5, -0.5]}
    return figure.update_yaxes(type="category", dtick=1, **order)


def learning_curves(history: pd.DataFrame, outcomes: pd.DataFrame, trials: pd.DataFrame) -> go.Figure:
    """Training and validation accuracy by epoch, one panel a trial: phases parted by lines, the best epoch starred.

    Args:
        history: ``trial``, ``epoch``, ``split``, ``cross_entropy``, ``top1`` and ``phase``.
        outcomes: ``trial`` and ``best_epoch``.
        trials: those to draw, in this order: ``trial``. One without history is left out.
    """
    drawn = trials.loc[trials["trial"].isin(history["trial"]), "trial"]
    figure = accuracy_panels(list(drawn), "epoch")
    widest = max(map(len, drawn), default=0)
    figure.update_annotations(font_size=min(16, int(PANEL_WIDTH / (0.58 * max(1, widest)))))
    best = outcomes.set_index("trial")["best_epoch"]
    longest = int(history["epoch"].max()) if len(drawn) else 1
    for panel, name in enumerate(drawn):
        place = {"row": panel // PANELS_ACROSS + 1, "col": panel % PANELS_ACROSS + 1}
        rows = history[history["trial"] == name].sort_values("epoch")
        for trace in _curves(rows, best[name]):
            figure.add_trace(trace.update(legendgroup=trace.name, showlegend=panel == 0), **place)
        _part_phases(figure, rows, place)
        figure.update_xaxes(showticklabels=panel + PANELS_ACROSS >= len(drawn), **place)
    subtitle = "top-1; training: running mean over the epoch's batches; dotted lines: another part is trained from here"
    figure.update_layout(title=title_with("Accuracy along training", subtitle))
    return figure.update_xaxes(tick0=0, dtick=max(1, -(-longest // 5)), range=[0, longest + 0.7])


def accuracy_by_input_size(table: pd.DataFrame) -> go.Figure:
    """Test and validation accuracy by the side of the input, one colour a backbone and head that has several sizes.

    Args:
        table: what :func:`mixvision.reporting.transfer_tables.transfer_table` returns.
    """
    trained = table[table["method"].isin(["head", "fine-tuned"])].dropna(subset="test_top1")
    several = trained["backbone"].nunique() > 1
    names = trained["fine_tuning"].where(trained["method"] == "fine-tuned", trained["head"])
    names = trained["backbone"] + ", " + names if several else names
    trained = trained[trained.groupby(names)["input_size"].transform("nunique") > 1].sort_values("input_size")
    figure = go.Figure()
    for place, (name, rows) in enumerate(trained.groupby(names, sort=False)):
        colour = LINE_COLOURS[place % len(LINE_COLOURS)]
        for split, dash, symbol in (("validation", "dot", "diamond-open"), ("test", "solid", "circle")):
            trace = go.Scatter(x=rows["input_size"], y=rows[f"{split}_top1"], name=name, mode="lines+markers")
            trace.update(line={"color": colour, "width": 2.5, "dash": dash}, marker={"symbol": symbol, "size": 9})
            trace.update(legendgroup=name, showlegend=split == "test")
            trace.update(hovertemplate=f"{name}, {split}, %{{x}} px: %{{y:.3f}}<extra></extra>")
            figure.add_trace(trace.update(error_y=_interval(rows)) if split == "test" else trace)
    subtitle = "top-1, weights best_validation; solid: test with its 95% interval; dotted: validation"
    figure.update_layout(template=TEMPLATE, title=title_with("Accuracy by input size", subtitle), height=480)
    sizes = sorted(trained["input_size"].unique())
    figure.update_xaxes(title="side of the input (pixels)", tickvals=sizes)
    return figure.update_yaxes(title="accuracy (fraction)")


def frozen_ratios(
    ratios: pd.DataFrame, published: Mapping[str, Any] | None, from_scratch: pd.DataFrame | None = None
) -> go.Figure:
    """Accuracy of heads on frozen features by mixing ratio, beside networks trained from scratch.

    Args:
        ratios: what :func:`mixvision.reporting.transfer_ratios.ratio_table` returns.
        published: the published numbers of mixing with a network trained from scratch, or None.
        from_scratch: ours of such networks, ``ratio`` and ``performance_top1``, or None.
    """
    figure = go.Figure()
    bounds = {
        "array": ratios["high"] - ratios["performance_top1"],
        "arrayminus": ratios["performance_top1"] - ratios["low"],
    }
    for name in ("nice", "real", "performance"):
        bars = {"type": "data", "symmetric": False, **bounds} if name == "performance" else None
        trace = _ratio_line(ratios, f"{name}_top1", f"{name}, frozen features", name, "solid", "circle")
        figure.add_trace(trace.update(error_y=bars))
    others = [("performance, published, trained from scratch", published_rows(published), "dash", "circle-open")]
    others.append(("performance, ours, trained from scratch", from_scratch, "dot", "diamond-open"))
    for name, rows, dash, symbol in others:
        if rows is not None and "performance_top1" in rows:
            rows = rows.dropna(subset="performance_top1")
            figure.add_trace(_ratio_line(rows, "performance_top1", name, "performance", dash, symbol))
    title = "Test accuracy of heads on frozen features by share of real training images"
    subtitle = "top-1, weights best_validation; performance: √(nice · real), with its 95% interval"
    figure.update_layout(template=TEMPLATE, title=title_with(title, subtitle), height=520)
    figure.update_xaxes(title="real images in the training set (%)", range=[-3, 103], dtick=10)
    return figure.update_yaxes(title="accuracy or performance (fraction)", range=[0, 1.02])


def _ratio_line(rows: pd.DataFrame, metric: str, name: str, colour: str, dash: str, symbol: str) -> go.Scatter:
    trace = go.Scatter(x=rows["ratio"], y=rows[metric], name=name, mode="lines+markers")
    trace.update(line={"color": COLOURS[colour], "width": 2.5 if dash == "solid" else 1.5, "dash": dash})
    return trace.update(marker={"symbol": symbol, "size": 8}, hovertemplate="%{x}% real: %{y:.3f}")


def _curves(rows: pd.DataFrame, best_epoch: float) -> list[go.Scatter]:
    """The training and the validation curve of one trial, and the star of its best epoch."""
    trained, validated = (rows[rows["split"] == split] for split in ("train", "validation"))
    best = validated[validated["epoch"] == best_epoch]
    dots = {"mode": "lines+markers", "line_width": 1.8, "marker_size": 4}
    star = {"mode": "markers", "marker": {"symbol": "star", "size": 13}}
    curves = [
        ("training", trained, "train", dots),
        ("validation", validated, "validation", dots),
        ("best epoch", best, "validation", star),
    ]
    return [
        go.Scatter(
            x=points["epoch"],
            y=points["top1"],
            name=name,
            customdata=points[["phase", "cross_entropy"]],
            hovertemplate="epoch %{x} (%{customdata[0]}): %{y:.3f}, cross-entropy %{customdata[1]:.3f}",
            **style,
        ).update(line_color=SPLIT_COLOURS[split], marker_color=SPLIT_COLOURS[split])
        for name, points, split, style in curves
    ]


def _part_phases(figure: go.Figure, rows: pd.DataFrame, place: Mapping[str, int]) -> None:
    """A dotted line before every phase but the first, with what is trained from there on written along its foot."""
    begins = rows.groupby("phase", sort=False)["epoch"].min().sort_values()
    for phase, epoch in begins.iloc[1:].items():
        figure.add_vline(x=epoch - 0.5, line={"color": "#8A8F98", "width": 1.2, "dash": "dot"}, **place)
        label = {"text": phase, "textangle": -90, "showarrow": False, "font": {"size": 11, "color": "#8A8F98"}}
        figure.add_annotation(x=epoch - 0.5, y=0.02, xanchor="left", yanchor="bottom", **label, **place)


def _interval(rows: pd.DataFrame) -> dict[str, Any]:
    """Error bars from the bounds of the test accuracy's interval."""
    bounds = {"array": rows["test_high"] - rows["test_top1"], "arrayminus": rows["test_top1"] - rows["test_low"]}
    return {"type": "data", "symmetric": False, "thickness": 1.5, "width": 5} | bounds
