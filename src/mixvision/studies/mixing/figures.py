"""The mixed-training study's Plotly figures."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from mixvision.reporting.charts import (
    PANELS_ACROSS,
    accuracy_panels,
    named_confusion_matrices,
    performance_band,
    tied_rings,
)
from mixvision.reporting.published import PublishedMixing
from mixvision.reporting.style import COLOURS, TEMPLATE, title_with
from mixvision.reporting.tables import inseparable, published_rows
from mixvision.vocabulary import DOMAINS, MEASURES

SNAPSHOT_NAMES = {
    "best_validation": "snapshot chosen on validation images",
    "last": "snapshot at the end of training",
    "best_test": "snapshot chosen on test images, those that it is measured on",
}


def accuracy_against_ratio(
    summary: pd.DataFrame, published: PublishedMixing | None, snapshot: str = "best_validation"
) -> go.Figure:
    """Top-1 test accuracy on nice and real images against the share of real training images.

    Args:
        summary: what :func:`mixvision.evaluation.metrics.summarise` returns, by ``ratio``.
        published: the paper's numbers (drawn dashed), or None.
        snapshot: which of the three snapshots to draw.
    """
    rows = _tested(summary, snapshot)
    figure = go.Figure()
    for domain in DOMAINS:
        figure.add_trace(_line(rows, f"{domain}_top1", _measured(domain, published), COLOURS[domain]))
        _add_published(figure, published, f"{domain}_top1", f"{domain}, published (best on test)", COLOURS[domain])
    return _against_ratio(figure, "Test accuracy (top-1) by share of real training images", rows, snapshot, "accuracy")


def performance_against_ratio(
    summary: pd.DataFrame,
    published: PublishedMixing | None,
    snapshot: str = "best_validation",
    table: pd.DataFrame | None = None,
) -> go.Figure:
    """Test performance, the root of nice times real accuracy, against the share of real training images.

    Arguments as for :func:`accuracy_against_ratio`; from ``table`` (of :func:`metric_table`) the 95% intervals are
    drawn as a band, and the ratios that cannot be told from the best have rings. Top-1 is drawn with
    circles, top-3 with diamonds.
    """
    rows = _tested(summary, snapshot)
    figure = go.Figure()
    for top, symbol, colour in (("top1", "circle", COLOURS["performance"]), ("top3", "diamond", "#CC79A7")):
        name = f"top-{top[-1]}"
        figure.add_trace(_line(rows, f"performance_{top}", _measured(name, published), colour, symbol))
        _add_published(figure, published, f"performance_{top}", f"{name}, published (best on test)", colour, symbol)
    if table is not None:
        rows_with_bounds = table[table["snapshot"] == snapshot]
        alike = rows_with_bounds[rows_with_bounds["ratio"].isin(inseparable(table))]
        figure.add_trace(performance_band(rows_with_bounds, "ratio", "95% interval, top-1"))
        figure.add_trace(tied_rings(alike["ratio"], alike["performance_top1"]))
    title = "Test performance, √(nice · real), by share of real training images"
    return _against_ratio(figure, title, rows, snapshot, "performance")


def learning_curves(history: pd.DataFrame, trials: pd.DataFrame, split: str = "test") -> go.Figure:
    """Top-1 accuracy during training, one panel per ratio, averaged over its seeds.

    Args:
        history: ``trial``, ``iteration``, ``split``, ``nice_top1``, ``real_top1``, ``performance_top1``.
        trials: ``trial`` and ``ratio``.
        split: the images measured on, ``"validation"`` or ``"test"``.
    """
    measured = history[history["split"] == split].merge(trials[["trial", "ratio"]], on="trial")
    means = measured.groupby(["ratio", "iteration"])[[f"{curve}_top1" for curve in MEASURES]].mean().reset_index()
    ratios = sorted(means["ratio"].unique())
    figure = accuracy_panels([f"{ratio}% real" for ratio in ratios], "iteration")
    for panel, ratio in enumerate(ratios):
        rows = means[means["ratio"] == ratio]
        for curve in MEASURES:
            line = {
                "color": COLOURS[curve],
                "dash": "dot" if curve == "performance" else "solid",
                "width": 1.8,
            }
            trace = go.Scatter(x=rows["iteration"], y=rows[f"{curve}_top1"], name=curve, mode="lines", line=line)
            trace.update(legendgroup=curve, showlegend=panel == 0)
            figure.add_trace(trace, row=panel // PANELS_ACROSS + 1, col=panel % PANELS_ACROSS + 1)
    title = title_with(f"Accuracy during training on the {split} images", "top-1, mean over the seeds of each ratio")
    return figure.update_layout(title=title)


def confusion_matrices(nice: pd.DataFrame, real: pd.DataFrame, subject: str) -> go.Figure:
    """Confusion matrices of both domains side by side, each row divided by its sum.

    Args:
        nice, real: counts, true categories down, predictions across (``confusion_counts``).
        subject: the model shown, for the title ("60% real").
    """
    return named_confusion_matrices({"nice": nice, "real": real}, subject)


def category_accuracies(accuracies: pd.DataFrame, subject: str) -> go.Figure:
    """Accuracy of each category on nice and on real images, joined by a bar; easiest real category on top.

    Args:
        accuracies: what :func:`mixvision.evaluation.mistakes.category_accuracy` returns.
        subject: the model shown, for the title.
    """
    wide = accuracies.pivot(index="category", columns="domain", values="accuracy").reindex(columns=DOMAINS)
    order = list(wide.sort_values(["real", "nice"]).index)
    figure = go.Figure()
    for category, (nice, real) in wide.iterrows():
        gap = {"color": "rgba(127,127,127,0.45)", "width": 5}
        figure.add_trace(
            go.Scatter(x=[nice, real], y=[category] * 2, mode="lines", line=gap, showlegend=False, hoverinfo="skip")
        )
    for domain, rows in accuracies.groupby("domain"):
        bounds = {"array": rows["high"] - rows["accuracy"], "arrayminus": rows["accuracy"] - rows["low"]}
        figure.add_trace(
            go.Scatter(
                x=rows["accuracy"],
                y=rows["category"].astype("str"),
                customdata=rows[["images", "low", "high"]],
                name=domain,
                mode="markers",
                marker={"color": COLOURS[domain], "size": 10},
                error_x={"type": "data", "symmetric": False, "thickness": 1, "width": 3} | bounds,
                hovertemplate="%{y}: %{x:.3f} (%{customdata[1]:.3f} to %{customdata[2]:.3f}), %{customdata[0]} images",
            )
        )
    title = title_with("Test accuracy by category", f"top-1, {subject}; lines: 95% interval")
    figure.update_layout(template=TEMPLATE, title=title, height=210 + 26 * len(order))
    figure.update_xaxes(title="accuracy (fraction)", range=[-0.02, 1.02])
    return figure.update_yaxes(type="category", categoryorder="array", categoryarray=order, dtick=1)


def _tested(summary: pd.DataFrame, snapshot: str) -> pd.DataFrame:
    return summary[(summary["split"] == "test") & (summary["snapshot"] == snapshot)].sort_values("ratio")


def _measured(name: str, published: PublishedMixing | None) -> str:
    """A line of this run, told from a published one where there are any."""
    return f"{name}, ours" if published else name


def _line(rows: pd.DataFrame, metric: str, name: str, colour: str, symbol: str = "circle") -> go.Scatter:
    spread = rows[f"{metric}_std"]
    return go.Scatter(
        x=rows["ratio"],
        y=rows[metric],
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 2.5},
        marker={"symbol": symbol, "size": 8},
        error_y={"type": "data", "array": spread, "visible": bool(spread.notna().any())},
        hovertemplate="%{x}% real: %{y:.3f}",
    )


def _add_published(
    figure: go.Figure,
    published: PublishedMixing | None,
    metric: str,
    name: str,
    colour: str,
    symbol: str = "circle",
) -> None:
    paper = published_rows(published)
    if paper is None or metric not in paper or paper[metric].isna().all():
        return
    rows = paper.dropna(subset=metric)
    figure.add_trace(
        go.Scatter(
            x=rows["ratio"],
            y=rows[metric],
            name=name,
            mode="lines+markers",
            line={"color": colour, "width": 1.5, "dash": "dash"},
            marker={"symbol": f"{symbol}-open", "size": 7},
            hovertemplate="%{x}% real: %{y:.3f}",
        )
    )


def _against_ratio(figure: go.Figure, title: str, rows: pd.DataFrame, snapshot: str, measure: str) -> go.Figure:
    seeds = int(rows["trials"].max()) if len(rows) else 0
    spread = f"; bars: standard deviation over {seeds} seeds" if seeds > 1 else ""
    figure.update_layout(template=TEMPLATE, title=title_with(title, SNAPSHOT_NAMES[snapshot] + spread), height=480)
    figure.update_xaxes(title="real images in the training set (%)", range=[-3, 103], dtick=10)
    return figure.update_yaxes(title=f"{measure} (fraction)", range=[0, 1.02])
