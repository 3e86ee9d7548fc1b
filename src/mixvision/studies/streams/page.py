"""The report on online learning from two streams, run by run.

Everything is derived from ``arrivals``, one row per run: run; iterations, all so far; for each domain (``nice_``,
``real_``) how many images were new, measured, in the buffer and trained on; and the fractions nice_top1, real_top1,
performance_top1 of the measured ones, classified before the network learned from them (NaN where there are none).
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.reporting.formatting import markdown_table, number
from mixvision.reporting.page import Page, Section, Table, render_page
from mixvision.reporting.sections import confident_picture, settings_table
from mixvision.reporting.style import COLOURS, TEMPLATE, title_with

QUESTION = "How well does a network that keeps learning from two growing streams classify the images that arrive next?"
CURVES = {
    "nice_top1": ("nice", "circle"),
    "real_top1": ("real", "square"),
    "performance_top1": ("performance", "diamond"),
}
NOTES = (
    "All accuracies are prequential. New images with a near-duplicate among the known ones do not count.",
    "Near-duplicates are searched among the images that are still in the folders. After an image is deleted, exact "
    "copies of its file or pixels are still recognised, but near-duplicates count as new.",
    "The training set of every run has exactly the chosen share of real images; its batches, shuffled twentieths of "
    "it, have that share on average.",
    "Each run trains on the newest images of the buffers. A tenth of the images, chosen by content, is never trained "
    "on.",
)


def prequential_figure(arrivals: pd.DataFrame) -> go.Figure | None:
    """Top-1 accuracy on each arrival, before learning from it, against the number of images known by then.

    None if no arrival was classified yet: the first run trains the network that will classify the next one.
    """
    if arrivals[list(CURVES)].isna().all(axis=None):
        return None
    new = arrivals["nice_new"] + arrivals["real_new"]
    known = new.cumsum() - new
    figure = go.Figure()
    for column, (name, symbol) in CURVES.items():
        measured = arrivals[column].notna()
        figure.add_trace(
            go.Scatter(
                x=known[measured],
                y=arrivals.loc[measured, column],
                name=name,
                mode="lines+markers",
                line={"color": COLOURS[name]},
                marker={"symbol": symbol, "size": 9},
                customdata=arrivals.loc[measured, "run"],
                hovertemplate="run %{customdata}, %{x} images known: %{y:.3f}",
            )
        )
    subtitle = "each arrival is classified before the network learns from it"
    figure.update_layout(template=TEMPLATE, title=title_with("Accuracy on new images", subtitle))
    figure.update_xaxes(title="images known before", rangemode="tozero")
    figure.update_yaxes(title="accuracy (top-1)", range=[-0.02, 1.02])
    return figure


def arrivals_table(arrivals: pd.DataFrame) -> pd.DataFrame:
    """The arrivals as text; every number of images is "nice + real"."""
    table = pd.DataFrame({"run": arrivals["run"], "iterations": arrivals["iterations"]})
    for name, heading in (("new", "new"), ("buffer", "in buffer"), ("trained", "trained on"), ("measured", "measured")):
        pairs = zip(arrivals[f"nice_{name}"], arrivals[f"real_{name}"], strict=True)
        table[heading] = [f"{nice} + {real}" for nice, real in pairs]
    for column, (name, _) in CURVES.items():
        table[name] = arrivals[column].map(number)
    return table


def summary(title: str, arrivals: pd.DataFrame) -> str:
    """The table, and a sentence on what the last run that trained did, as Markdown."""
    table = markdown_table(arrivals_table(arrivals))
    heading = f"{title}: online learning from two streams (images: nice + real)"
    return "\n\n".join([heading, QUESTION, table, _news(arrivals)])


def streams_page(
    title: str,
    arrivals: pd.DataFrame,
    figure: go.Figure | None,
    mistakes: Image.Image | None,
    settings: Mapping[str, object],
) -> str:
    """The whole report as one HTML page.

    Args:
        title: heading.
        arrivals: one row per run.
        figure: :func:`prequential_figure`; None before an arrival was classified.
        mistakes: those on the last classified arrival; None without one.
        settings: of the learning and the training, by name.
    """
    numbers = [
        (str(len(arrivals)), "runs"),
        (f"{arrivals['iterations'].max():,}", "iterations"),
        (f"{arrivals['nice_new'].sum():,}", "nice images seen"),
        (f"{arrivals['real_new'].sum():,}", "real images seen"),
    ]
    measured = arrivals.dropna(subset="performance_top1")
    answer = "No arrival of both domains has been measured yet (the first run only trains): add images and run again."
    if len(measured):
        nice, real, performance = (number(measured[column].iloc[-1]) for column in CURVES)
        numbers.append((performance, "performance on the last arrival of both domains"))
        answer = (
            f"Run {measured['run'].iloc[-1]} classified its new images with a performance of {performance} "
            f"(nice {nice}, real {real})."
        )
    evidence = [
        Section(
            "Run by run",
            [_news(arrivals)],
            [Table("Arrivals (images: nice + real)", arrivals_table(arrivals))],
            [figure] if figure else [],
        ),
        *_mistakes(mistakes),
    ]
    data = [Section("Settings", tables=[settings_table("Of the learning and its training", settings)])]
    return render_page(Page(f"{title}: streams", QUESTION, answer, numbers, evidence, data, NOTES))


def _mistakes(mistakes: Image.Image | None) -> list[Section]:
    if mistakes is None:
        return []
    text = "New images of the last run that classified any, as the network saw them before it learned from them."
    return [Section("What the network got wrong", [text], pictures=[confident_picture(mistakes, "New images")])]


def _news(arrivals: pd.DataFrame) -> str:
    last = arrivals[["run", "nice_new", "real_new"]].iloc[-1]
    return f"Run {last['run']}: {last['nice_new']} new nice and {last['real_new']} new real images."
