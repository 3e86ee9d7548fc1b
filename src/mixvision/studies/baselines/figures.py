"""The baselines' Plotly figures: comparison of models and of settings, accuracy during training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from mixvision.reporting.charts import (
    PANELS_ACROSS,
    SIDE_BY_SIDE,
    SPLIT_COLOURS,
    accuracy_panels,
    interval_bars,
    mark_interval,
    tied_rings,
)
from mixvision.reporting.style import TEMPLATE, title_with
from mixvision.studies.baselines.settings import setting_text
from mixvision.studies.baselines.tables import (
    FLOORS,
    ablation_rows,
    best_trial,
    compared_rows,
    floor_rows,
    tied_trials,
)

DASHES = {"linear": "dashdot", "random": "dot"}


def model_comparison(table: pd.DataFrame) -> go.Figure:
    """Test and validation accuracy of the compared models, beside the published one.

    Args:
        table: what :func:`mixvision.studies.baselines.tables.trial_table` returns.
    """
    rows = compared_rows(table)
    figure = go.Figure()
    for split, symbol, size, bars in (("validation", "diamond", 11, None), ("test", "circle", 9, interval_bars(rows))):
        trace = go.Scatter(x=rows[f"{split}_top1"], y=rows["trial"], name=split, mode="markers", error_x=bars)
        trace.update(orientation="h", marker={"symbol": symbol, "size": size, "color": SPLIT_COLOURS[split]})
        figure.add_trace(trace.update(hovertemplate="%{y}: %{x:.3f}", offsetgroup=split))
    paper = rows.dropna(subset="published_validation")
    if len(paper):
        trace = go.Scatter(x=paper["published_validation"], y=paper["trial"], name="published validation")
        marker = {"symbol": "diamond-open", "size": 11, "color": SPLIT_COLOURS["validation"], "line": {"width": 2}}
        trace.update(
            mode="markers", orientation="h", marker=marker, hovertemplate="%{y}: %{x:.3f}", offsetgroup="paper"
        )
        figure.add_trace(trace.update(offsetgroup="published"))
    subtitle = "top-1, snapshot chosen on validation; bars: 95% interval of the test accuracy"
    if "is_beaten" in table and table["is_beaten"].notna().any():
        tied, best = rows[rows["trial"].isin(tied_trials(table))], table.set_index("trial").loc[best_trial(table)]
        figure.add_trace(tied_rings(tied["test_top1"], tied["trial"], orientation="h", offsetgroup="test"))
        mark_interval(figure, best["test_low"], best["test_high"])
        subtitle += f"; band: that of {best.name}, the best of all"
    title = title_with("Accuracy of every model", subtitle)
    figure.update_layout(template=TEMPLATE, title=title, height=230 + 46 * len(rows), **SIDE_BY_SIDE)
    figure.update_xaxes(title="accuracy (fraction)", range=[-0.02, 1.02])
    # Models that failed have no point, but keep their row.
    order = {"categoryorder": "array", "categoryarray": list(rows["trial"]), "range": [len(rows) - 0.5, -0.5]}
    return figure.update_yaxes(type="category", **order)


def ablation(table: pd.DataFrame, base: Mapping[str, Any], ablated: str, setting: str) -> go.Figure:
    """Accuracy of the ablated model by the values of one setting, above the floors of guessing and a linear layer.

    Args:
        table: what :func:`mixvision.studies.baselines.tables.trial_table` returns.
        base: the base settings by name.
        ablated: the model whose settings are varied.
        setting: one of :data:`mixvision.studies.baselines.tables.SETTINGS`.
    """
    rows = ablation_rows(table, base, ablated, setting)
    figure = go.Figure(_ablation_traces(rows, setting))
    floors = floor_rows(table, ablated).set_index("trial")["test_top1"].dropna()
    low, high = _accuracy_range(rows, floors)
    subtitle = "top-1, snapshot chosen on validation, otherwise base settings; bars: 95% interval of the test accuracy"
    for model, floor in floors.items():
        if floor < low:
            subtitle += f"; {FLOORS[model]}, {floor:.3f}, is below the range shown"
            continue
        line = {"color": "rgba(127,127,127,0.9)", "width": 1.5, "dash": DASHES[model]}
        figure.add_hline(y=floor, line=line, name=f"{FLOORS[model]}, test: {floor:.3f}", showlegend=True)
    name = setting.replace("_", " ")
    title = title_with(f"Accuracy of {ablated} by {name}", subtitle)
    figure.update_layout(template=TEMPLATE, title=title, height=460, scattermode="group", scattergap=0.85)
    figure.update_xaxes(title=name, type="category", range=[-0.5, len(rows) - 0.5])
    return figure.update_yaxes(title="accuracy (fraction)", range=[low, high])


def learning_curves(history: pd.DataFrame, outcomes: pd.DataFrame, trials: pd.DataFrame) -> go.Figure:
    """Training and validation accuracy by epoch, one panel per trial, its best epoch starred.

    Args:
        history: ``trial``, ``epoch``, ``split``, ``cross_entropy``, ``top1``.
        outcomes: ``trial`` and ``best_epoch``.
        trials: those to draw, in this order: ``trial`` and ``split_first``. One without history is left out.
    """
    drawn = trials[trials["trial"].isin(history["trial"])]
    figure = accuracy_panels([row.trial if row.split_first else f"{row.trial}*" for row in drawn.itertuples()], "epoch")
    best = outcomes.set_index("trial")["best_epoch"]
    for panel, name in enumerate(drawn["trial"]):
        place = {"row": panel // PANELS_ACROSS + 1, "col": panel % PANELS_ACROSS + 1}
        for trace in _curves(history[history["trial"] == name].sort_values("epoch"), best[name]):
            figure.add_trace(trace.update(legendgroup=trace.name, showlegend=panel == 0), **place)
        figure.update_xaxes(showticklabels=panel + PANELS_ACROSS >= len(drawn), **place)
    subtitle = "top-1; training: running mean over the epoch's batches, with dropout and augmentation"
    if not drawn["split_first"].all():
        subtitle += "; *: leaky, with copies of its validation images in training"
    figure.update_layout(title=title_with("Accuracy during training", subtitle))
    epochs = int(history["epoch"].max()) if len(drawn) else 1
    return figure.update_xaxes(tick0=0, dtick=max(1, -(-epochs // 5)))


def _curves(rows: pd.DataFrame, best_epoch: int) -> list[go.Scatter]:
    """The training and the validation curve of one trial, and the star of its best epoch."""
    trained, validated = (rows[rows["split"] == split] for split in ("train", "validation"))
    best = validated[validated["epoch"] == best_epoch]
    dot: dict[str, Any] = {"size": 4}
    star: dict[str, Any] = {"symbol": "star", "size": 13}
    curves = [
        ("training", trained, "train", "lines+markers", dot),
        ("validation", validated, "validation", "lines+markers", dot),
        ("best epoch", best, "validation", "markers", star),
    ]
    return [
        go.Scatter(
            x=points["epoch"],
            y=points["top1"],
            name=name,
            mode=mode,
            line={"width": 1.8, "color": SPLIT_COLOURS[split]},
            marker={"color": SPLIT_COLOURS[split], **marker},
            customdata=points["cross_entropy"],
            hovertemplate="epoch %{x}: %{y:.3f}, cross-entropy %{customdata:.3f}",
        )
        for name, points, split, mode, marker in curves
    ]


def _ablation_traces(rows: pd.DataFrame, setting: str) -> list[go.Scatter]:
    """Validation, test and published validation accuracy by the setting's values; lines join numbers only."""
    values = [setting_text(setting, value) for value in rows[setting]]
    mode = "lines+markers" if setting in ("batch_size", "learning_rate") else "markers"
    published = {"line": {"width": 1.5, "dash": "dash"}, "marker_symbol": "circle-open", "connectgaps": True}
    curves = [
        ("validation", "validation_top1", "validation", {}),
        ("test", "test_top1", "test", {"error_y": interval_bars(rows)}),
        ("published validation", "published_validation", "validation", published),
    ]
    traces = []
    for name, column, split, style in curves:
        if name.startswith("published") and rows[column].isna().all():
            continue
        trace = go.Scatter(x=values, y=rows[column], name=name, mode=mode, hovertemplate="%{x}: %{y:.3f}")
        trace.update(line={"color": SPLIT_COLOURS[split], "width": 2.5}, marker={"size": 9})
        traces.append(trace.update(style))
    return traces


def _accuracy_range(rows: pd.DataFrame, floors: pd.Series) -> tuple[float, float]:
    """From just below the lowest number or linear layer to just above the highest; guessing may be below."""
    shown = [rows[column] for column in ("validation_top1", "test_low", "test_high", "published_validation")]
    shown = pd.concat([*shown, floors.drop("random", errors="ignore")]).dropna()
    if shown.empty:
        return 0.0, 1.0
    margin = max(0.02, 0.05 * (shown.max() - shown.min()))
    return float(max(shown.min() - margin, -0.02)), float(min(shown.max() + margin, 1.02))
