"""Figures of the comparison of all arms."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from mixvision.reporting.charts import mark_interval, tied_rings
from mixvision.reporting.style import COLOURS, TEMPLATE, title_with
from mixvision.studies.alternatives.arms import ADDED, APPROACHES, IN_TURN, MIX, TOGETHER
from mixvision.studies.alternatives.tables import best_arm, tied_arms
from mixvision.vocabulary import MEASURES

APPROACH_COLOURS = dict(zip(APPROACHES, ("#0072B2", "#E69F00", "#009E73", "#CC79A7"), strict=True))
ROW = 26  # pixels of an arm
REAL_IMAGES = "real images in the training set"


def performance_of_arms(table: pd.DataFrame) -> go.Figure:
    """Test performance of every arm with its 95% interval; rings: not told from the best arm, whose interval is shaded.

    Args:
        table: what :func:`mixvision.studies.alternatives.tables.arms_table` returns.
    """
    figure = go.Figure()
    for approach in APPROACHES:
        rows = table[table["approach"] == approach]
        value = rows["performance_top1"]
        bounds = {"array": rows["performance_top1_high"] - value, "arrayminus": value - rows["performance_top1_low"]}
        trace = go.Scatter(
            x=value,
            y=rows["arm"],
            name=approach,
            mode="markers",
            marker={"size": 9, "color": APPROACH_COLOURS[approach]},
            error_x={"type": "data", "symmetric": False, "thickness": 1.5, "width": 4} | bounds,
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
        figure.add_trace(trace)
    alike = table[table["arm"].isin(tied_arms(table))]
    figure.add_trace(tied_rings(alike["performance_top1"], alike["arm"]))
    best = best_arm(table)
    mark_interval(figure, best["performance_top1_low"], best["performance_top1_high"])
    title = title_with("Test performance of every arm", "√(nice · real); bars: 95% interval over images and seeds")
    figure.update_layout(template=TEMPLATE, title=title, height=230 + ROW * len(table))
    figure.update_xaxes(title="performance (fraction)")
    order = list(table["arm"])[::-1]
    return figure.update_yaxes(type="category", categoryorder="array", categoryarray=order, dtick=1)


def performance_by_real_images(table: pd.DataFrame) -> go.Figure:
    """Fixed-size mixes beside all nice images with a growing number of real ones.

    Args:
        table: what :func:`mixvision.studies.alternatives.tables.arms_table` returns.
    """
    figure = go.Figure()
    lines = ((MIX, [MIX], "dash"), ("all nice images + real ones", [ADDED, TOGETHER], "solid"))
    for name, approaches, dash in lines:
        rows = table[table["approach"].isin(approaches) & ~_is_method(table)].sort_values("real_images")
        for measure in MEASURES:
            trace = go.Scatter(
                x=rows["real_images"],
                y=rows[f"{measure}_top1"],
                name=f"{measure}, {name}",
                mode="lines+markers",
                line={"color": COLOURS[measure], "dash": dash},
                hovertemplate="%{x} real images: %{y:.3f}",
            )
            figure.add_trace(trace)
    title = title_with("What more real images bring", "dashed: as many nice images are left out; solid: none is")
    figure.update_layout(template=TEMPLATE, title=title, height=480)
    figure.update_xaxes(title=REAL_IMAGES, rangemode="tozero")
    return figure.update_yaxes(title="test accuracy or performance (fraction)", range=[0, 1.02])


def replay_curve(forgetting: pd.DataFrame, trials: pd.DataFrame) -> go.Figure:
    """Accuracy at the end of the second training against the share of nice images that is replayed in it.

    Args:
        forgetting: what :func:`mixvision.studies.alternatives.tables.forgetting_table` returns.
        trials: of its arms, to tell plain replay from other methods.
    """
    turns = trials[trials["approach"] == IN_TURN].drop_duplicates("arm")
    plain = turns[(turns["objective"] == "cross_entropy") & (turns["trainable"] == "all")]
    rows = forgetting[forgetting["arm"].isin(plain["arm"])].sort_values("replay")
    figure = go.Figure()
    for domain in ("nice", "real"):
        trace = go.Scatter(
            x=rows["replay"],
            y=rows[f"{domain}_after"],
            name=domain,
            mode="lines+markers",
            line={"color": COLOURS[domain], "width": 2.5},
            hovertemplate="%{x}% replayed: %{y:.3f}",
        )
        figure.add_trace(trace)
    for value in rows["nice_before"].head(1):
        line = {"color": COLOURS["nice"], "dash": "dot"}
        figure.add_hline(value, line=line, annotation_text="nice, before", annotation_position="top left")
    title = title_with("How much replay keeps", "test accuracy at the end of training, first nice, then real images")
    figure.update_layout(template=TEMPLATE, title=title, height=440)
    figure.update_xaxes(title="nice images in the second training (%)", rangemode="tozero")
    return figure.update_yaxes(title="top-1 accuracy (fraction)", range=[0, 1.02])


def _is_method(table: pd.DataFrame) -> pd.Series:
    """Whether an arm of all images treats domains in a way of its own, rather than taking the images as they come."""
    return (table["approach"] == TOGETHER) & (table["arm"] != "all images")
