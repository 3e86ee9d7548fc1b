"""Transfer learning's Plotly figures: models compared, accuracy during training, by input size and by mixing ratio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from mixvision.evaluation.selection import best_model, not_behind
from mixvision.reporting.charts import (
    PANELS_ACROSS,
    SIDE_BY_SIDE,
    SPLIT_COLOURS,
    accuracy_panels,
    interval_bars,
    mark_interval,
    performance_band,
    tied_rings,
)
from mixvision.reporting.published import PublishedMixing
from mixvision.reporting.style import COLOURS, TEMPLATE, title_with
from mixvision.reporting.tables import published_rows
from mixvision.studies.transfer.ratios import tied_ratios
from mixvision.studies.transfer.tables import splits_tested
from mixvision.vocabulary import MEASURES

METHOD_COLOURS = {
    "as is": "#8A8F98",
    "as is, restricted": "#56B4E9",
    "head": "#E69F00",
    "fine-tuned": "#CC79A7",
    "views": "#7B5EA7",
    "ensemble, mean": "#A5682A",
    "ensemble, stacked": "#1B9E9E",
}
SYMBOLS = {"validation": "diamond-open", "test": "circle", "independent": "square"}
PANEL_WIDTH = 240  # pixels of one of four panels; a letter is about 0.58 of its size wide
LINE_COLOURS = ("#E69F00", "#56B4E9", "#CC79A7", "#7B5EA7", "#A5682A", "#1B9E9E", "#8A8F98")


def model_comparison(table: pd.DataFrame) -> go.Figure:
    """Test and validation accuracy of every model, coloured by method, and accuracy on an independent test set.

    Args:
        table: what :func:`mixvision.studies.transfer.tables.transfer_table` returns.
    """
    figure, splits = go.Figure(), splits_tested(table)
    for method, rows in table.groupby("method", sort=False):
        place = {"y": rows["trial"], "orientation": "h", "mode": "markers", "legendgroup": method}
        for split, symbol in SYMBOLS.items():
            if split not in ("validation", *splits):
                continue
            trace = go.Scatter(x=rows[f"{split}_top1"], name=method, offsetgroup=split, **place)
            trace.update(marker={"symbol": symbol, "size": 9, "color": METHOD_COLOURS[method]})
            trace.update(marker_line={"color": METHOD_COLOURS[method], "width": 2 if split == "validation" else 0})
            trace.update(showlegend=split == "test", hovertemplate=f"%{{y}}, {split}: %{{x:.3f}}<extra></extra>")
            figure.add_trace(trace.update(error_x=interval_bars(rows, split)) if split in splits else trace)
    subtitle = "top-1, snapshot chosen on validation; circles: test with its 95% interval; open diamonds: validation"
    subtitle += "; squares: independent test" if "independent" in splits else ""
    if "is_beaten" in table and table["is_beaten"].notna().any():
        best = best_model(table)
        row, tied = table.set_index("trial").loc[best], table[table["trial"].isin(not_behind(table, best, "trial"))]
        figure.add_trace(tied_rings(tied["test_top1"], tied["trial"], orientation="h", offsetgroup="test"))
        mark_interval(figure, row["test_low"], row["test_high"])
        subtitle += f"; band: the interval of {best}, the best"
    title = title_with("Accuracy of every model", subtitle)
    figure.update_layout(template=TEMPLATE, title=title, height=240 + 34 * len(table), **SIDE_BY_SIDE)
    lowest = table[["validation_top1", *(f"{split}_low" for split in splits)]].min(axis=None)
    low = 0.0 if pd.isna(lowest) else max(0.0, float(lowest))
    figure.update_xaxes(title="accuracy (fraction)", range=[low - 0.03 * (1.05 - low), 1 + 0.03 * (1.05 - low)])
    # Models that failed have no point, but keep their row.
    order = {"categoryorder": "array", "categoryarray": list(table["trial"]), "range": [len(table) - 0.5, -0.5]}
    return figure.update_yaxes(type="category", dtick=1, **order)


def learning_curves(history: pd.DataFrame, outcomes: pd.DataFrame, trials: pd.DataFrame) -> go.Figure:
    """Training and validation accuracy by epoch, one panel per trial: phases parted by lines, the best epoch starred.

    Args:
        history: ``trial``, ``epoch``, ``split``, ``cross_entropy``, ``top1`` and ``phase``.
        outcomes: ``trial`` and ``best_epoch``.
        trials: those to draw, in this order: ``trial``. One without history is left out.
    """
    figure = _panels(history, outcomes, trials, "top1")
    subtitle = "top-1; training: running mean over the epoch's batches; dotted lines: a new phase of training begins"
    return figure.update_layout(title=title_with("Accuracy during training", subtitle))


def loss_across_switch(history: pd.DataFrame, outcomes: pd.DataFrame, trials: pd.DataFrame) -> go.Figure:
    """Cross-entropy by epoch of fine-tuned trials, to see if it jumps where another part of the network is unfrozen.

    Arguments as for :func:`learning_curves`; trials of another ``method`` are left out.
    """
    figure = _panels(history, outcomes, trials[trials["method"] == "fine-tuned"], "cross_entropy")
    highest = max((max(trace.y, default=0) for trace in figure.data), default=1)
    figure.update_yaxes(range=[0, 1.05 * highest]).update_yaxes(title="cross-entropy", col=1)
    subtitle = "the head alone first; dotted lines: a new phase of training begins; training: running mean"
    return figure.update_layout(title=title_with("Loss across the switch", subtitle))


def _panels(history: pd.DataFrame, outcomes: pd.DataFrame, trials: pd.DataFrame, measure: str) -> go.Figure:
    drawn = trials.loc[trials["trial"].isin(history["trial"]), "trial"]
    figure = accuracy_panels(list(drawn), "epoch")
    widest = max(map(len, drawn), default=0)
    figure.update_annotations(font_size=min(16, int(PANEL_WIDTH / (0.58 * max(1, widest)))))
    best = outcomes.set_index("trial")["best_epoch"]
    longest = int(history.loc[history["trial"].isin(drawn), "epoch"].max()) if len(drawn) else 1
    for panel, name in enumerate(drawn):
        place = {"row": panel // PANELS_ACROSS + 1, "col": panel % PANELS_ACROSS + 1}
        rows = history[history["trial"] == name].sort_values("epoch")
        for trace in _curves(rows, best[name], measure):
            figure.add_trace(trace.update(legendgroup=trace.name, showlegend=panel == 0), **place)
        _part_phases(figure, rows, place)
        figure.update_xaxes(showticklabels=panel + PANELS_ACROSS >= len(drawn), **place)
    return figure.update_xaxes(tick0=0, dtick=max(1, -(-longest // 5)), range=[0, longest + 0.7])


def accuracy_by_input_size(table: pd.DataFrame) -> go.Figure:
    """Test and validation accuracy by the side of the input, one colour a backbone and head that has several sizes.

    Args:
        table: what :func:`mixvision.studies.transfer.tables.transfer_table` returns.
    """
    trained = table[table["method"].isin(["head", "fine-tuned"])].dropna(subset="test_top1")
    several = trained["backbone"].nunique() > 1
    names = trained["fine_tuning"].where(trained["method"] == "fine-tuned", trained["head"])
    names = trained["backbone"] + ", " + names if several else names
    trained = trained[trained.groupby(names)["input_size"].transform("nunique") > 1].sort_values("input_size")
    figure = go.Figure()
    for place, (name, rows) in enumerate(trained.groupby(names, sort=False)):
        colour = LINE_COLOURS[place % len(LINE_COLOURS)]
        for split in ("validation", *splits_tested(table)):
            dash, symbol = {"validation": "dot", "test": "solid", "independent": "dash"}[split], SYMBOLS[split]
            trace = go.Scatter(x=rows["input_size"], y=rows[f"{split}_top1"], name=name, mode="lines+markers")
            trace.update(line={"color": colour, "width": 2.5, "dash": dash}, marker={"symbol": symbol, "size": 9})
            trace.update(legendgroup=name, showlegend=split == "test")
            trace.update(hovertemplate=f"{name}, {split}, %{{x}} px: %{{y:.3f}}<extra></extra>")
            figure.add_trace(trace if split == "validation" else trace.update(error_y=interval_bars(rows, split)))
    subtitle = "top-1, snapshot chosen on validation; solid: test with its 95% interval; dotted: validation"
    subtitle += "; dashed: independent test" if "independent" in splits_tested(table) else ""
    figure.update_layout(template=TEMPLATE, title=title_with("Accuracy by input size", subtitle), height=480)
    sizes = sorted(trained["input_size"].unique())
    figure.update_xaxes(title="side of the input (pixels)", tickvals=sizes)
    return figure.update_yaxes(title="accuracy (fraction)")


def frozen_ratios(ratios: pd.DataFrame, published: PublishedMixing | None) -> go.Figure:
    """Accuracy of heads on frozen features by mixing ratio, and of published networks trained from scratch.

    Args:
        ratios: what :func:`mixvision.studies.transfer.ratios.ratio_table` returns.
        published: the published numbers of mixing with a network trained from scratch, or None.
    """
    figure = go.Figure()
    for name in MEASURES:
        figure.add_trace(_ratio_line(ratios, f"{name}_top1", f"{name}, frozen features", name, "solid", "circle"))
    tied = ratios[ratios["ratio"].isin(tied_ratios(ratios))]
    figure.add_trace(performance_band(ratios, "ratio", "its 95% interval", low="low"))
    figure.add_trace(tied_rings(tied["ratio"], tied["performance_top1"]))
    paper = published_rows(published)
    if paper is not None and "performance_top1" in paper:
        name, rows = "performance, published, trained from scratch", paper.dropna(subset="performance_top1")
        figure.add_trace(_ratio_line(rows, "performance_top1", name, "performance", "dash", "circle-open"))
    title = "Test accuracy of heads on frozen features by share of real training images"
    subtitle = "top-1, snapshot chosen on validation; performance: √(nice · real), with its 95% interval"
    figure.update_layout(template=TEMPLATE, title=title_with(title, subtitle), height=520)
    figure.update_xaxes(title="real images in the training set (%)", range=[-3, 103], dtick=10)
    return figure.update_yaxes(title="accuracy or performance (fraction)", range=[0, 1.02])


def _ratio_line(rows: pd.DataFrame, metric: str, name: str, colour: str, dash: str, symbol: str) -> go.Scatter:
    trace = go.Scatter(x=rows["ratio"], y=rows[metric], name=name, mode="lines+markers")
    trace.update(line={"color": COLOURS[colour], "width": 2.5 if dash == "solid" else 1.5, "dash": dash})
    return trace.update(marker={"symbol": symbol, "size": 8}, hovertemplate="%{x}% real: %{y:.3f}")


def _curves(rows: pd.DataFrame, best_epoch: float, measure: str) -> list[go.Scatter]:
    """The training and the validation curve of one trial, and the star of its best epoch."""
    trained, validated = (rows[rows["split"] == split] for split in ("train", "validation"))
    best = validated[validated["epoch"] == best_epoch]
    dots: dict[str, Any] = {"mode": "lines+markers", "line_width": 1.8, "marker_size": 4}
    star: dict[str, Any] = {"mode": "markers", "marker": {"symbol": "star", "size": 13}}
    curves = [
        ("training", trained, "train", dots),
        ("validation", validated, "validation", dots),
        ("best epoch", best, "validation", star),
    ]
    return [
        go.Scatter(
            x=points["epoch"],
            y=points[measure],
            name=name,
            customdata=points[["phase", "top1", "cross_entropy"]],
            hovertemplate="epoch %{x} (%{customdata[0]}): %{customdata[1]:.3f}, cross-entropy %{customdata[2]:.3f}",
            **style,
        ).update(line_color=SPLIT_COLOURS[split], marker_color=SPLIT_COLOURS[split])
        for name, points, split, style in curves
    ]


def _part_phases(figure: go.Figure, rows: pd.DataFrame, place: Mapping[str, int]) -> None:
    """A dotted line before every phase except the first, labelled with what is trained from there on."""
    epochs = rows.drop_duplicates("epoch")
    begins = epochs[(epochs["phase"] != epochs["phase"].shift()).to_numpy() & (np.arange(len(epochs)) > 0)]
    for phase, epoch in begins[["phase", "epoch"]].itertuples(index=False):
        figure.add_vline(x=epoch - 0.5, line={"color": "#8A8F98", "width": 1.2, "dash": "dot"}, **place)
        label = {"text": phase, "textangle": -90, "showarrow": False, "font": {"size": 11, "color": "#8A8F98"}}
        figure.add_annotation(x=epoch - 0.5, y=0.02, xanchor="left", yanchor="bottom", **label, **place)
