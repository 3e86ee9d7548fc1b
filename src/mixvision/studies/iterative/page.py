"""The page of the iterative-training study: the whole network on one domain first, then its head on the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.reporting.category_tables import (
    EXPLANATION,
    TITLE,
    WITHOUT_LEAKS,
    category_tables,
    chosen_category_tables,
)
from mixvision.reporting.formatting import DASH, number, with_spread
from mixvision.reporting.names import plain_name
from mixvision.reporting.page import Page, Section, Table, render_page
from mixvision.reporting.published import PublishedIterative
from mixvision.reporting.results import StudyResults
from mixvision.reporting.sections import (
    audit_section,
    excluded_section,
    intervals_note,
    mistake_pictures,
    published_note,
    seeds_note,
    settings_section,
)
from mixvision.reporting.tables import (
    SETTINGS,
    best_ratio,
    comparison_table,
    inseparable,
    inseparable_sentence,
    snapshot_table,
)
from mixvision.reporting.ties import marks_text
from mixvision.studies.iterative.forgetting import best_interpolations, second_domain
from mixvision.vocabulary import AFTER_INITIAL, MEASURES, SNAPSHOTS


@dataclass(frozen=True)
class IterativeResults:
    """All that was measured.

    Attributes:
        first: domain of the initial training.
        table: what :func:`mixvision.reporting.tables.metric_table` returns, by ``share``.
        table_without_leaks: the same on test images that do not leak, or None if none leak.
        measures, speed, interpolations: what the functions ``continual_measures``, ``forgetting_speed`` and
            ``interpolation_summary`` of :mod:`mixvision.studies.iterative.forgetting` return.
        published: the paper's numbers, or None.
    """

    first: str
    table: pd.DataFrame
    table_without_leaks: pd.DataFrame | None
    measures: pd.DataFrame
    speed: pd.DataFrame
    interpolations: pd.DataFrame
    published: PublishedIterative | None


@dataclass(frozen=True, kw_only=True)
class IterativeReport(StudyResults):
    """What the page of iterative training shows; the tables are those of :class:`IterativeResults`."""

    table: pd.DataFrame
    table_without_leaks: pd.DataFrame
    measures: pd.DataFrame
    speed: pd.DataFrame
    interpolations: pd.DataFrame
    performance: go.Figure
    forgetting: go.Figure
    forgetting_zoom: go.Figure
    accuracy_matrices: go.Figure
    interpolation: go.Figure
    mistakes: Image.Image
    hardest: Image.Image


def iterative_page(title: str, results: IterativeResults, shown: IterativeReport, notes: Sequence[str] = ()) -> str:
    """The whole report as one HTML page.

    Args:
        title: heading.
        results: all that was measured.
        shown: the figures, the images, the audit, and the trials with all their settings.
        notes: further footnotes.
    """
    evidence = [
        _performance_section(results, [shown.performance]),
        _categories_section(results),
        _curves_section(results, [shown.forgetting, shown.forgetting_zoom]),
        _matrix_section(results, [shown.accuracy_matrices]),
        _interpolation_section(results, [shown.interpolation]),
        _mistakes_section(results, shown),
        _metrics_section(results),
    ]
    data = [
        audit_section(shown),
        excluded_section(shown.manifest),
        settings_section(shown.trials),
    ]
    page = Page(
        f"{title}: iterative",
        question(results.first),
        answer(results),
        _key_numbers(results),
        evidence,
        data,
        _footnotes(results, notes),
    )
    return render_page(page)


def question(first: str) -> str:
    """What was asked, by the domain of the initial training."""
    return (
        f"A network is trained on {first} images first (initial training) and then on {second_domain(first)} images "
        "(restricted training): what share of the iterations should the initial training have, and how much accuracy "
        f"on {first} images is lost?"
    )


def answer(results: IterativeResults) -> str:
    """The outcome: the best share by its unbiased result, what the restricted training gained, what was forgotten."""
    share = best_ratio(results.table, "share")
    honest, before, end = (_row(results, snapshot, share) for snapshot in ("best_validation", AFTER_INITIAL, "last"))
    first = results.first
    sentences = [
        f"Best on the validation images: {share}% of the iterations for the initial training, with a test performance "
        f"of {number(honest['performance_top1'])} (95% interval {number(honest['performance_top1_low'])} to "
        f"{number(honest['performance_top1_high'])}), nice {number(honest['nice_top1'])} and real "
        f"{number(honest['real_top1'])}.",
        *filter(None, [inseparable_sentence(results.table, "share")]),
        f"At the end of its initial training, on {first} images only, this was {number(before['performance_top1'])}: "
        f"the restricted training {_change(honest['performance_top1'] - before['performance_top1'])}. "
        f"{_improved(results)}",
        f"From the end of the initial training to that of the restricted one, accuracy on {first} images went from "
        f"{number(before[f'{first}_top1'])} to {number(end[f'{first}_top1'])}{_speed(results, share)}.",
    ]
    if results.table_without_leaks is not None:
        clean = _row(results, "best_validation", share, results.table_without_leaks)
        sentences.append(
            "Near-duplicates or groups cross these splits: on the test images that do not leak the performance is "
            f"{number(clean['performance_top1'])}."
        )
    return " ".join(sentences)


def shares_table(results: IterativeResults) -> pd.DataFrame:
    """Top-1 test performance of each share after both trainings, and what was forgotten, as text."""
    shown = comparison_table(results.table, results.table_without_leaks, by="share").set_index(SETTINGS["share"])
    initial = results.table[results.table["snapshot"] == AFTER_INITIAL].set_index("share")
    shown.insert(0, plain_name(AFTER_INITIAL), with_spread(initial, "performance_top1"))
    shown["forgetting"] = with_spread(results.measures.set_index("share"), "forgetting")
    return shown.fillna(DASH).reset_index()


def _performance_section(results: IterativeResults, figures: Sequence[go.Figure]) -> Section:
    shown = shares_table(results)
    best = best_ratio(results.table, "share")
    text = [marks_text("share", best, inseparable(results.table, "share"))]
    if results.published and results.published.highest_performance is not None:
        highest = number(results.published.highest_performance)
        text.append(f"Published: never above {highest}; see the notes at the end.")
    highlighted = int(shown.index[shown[SETTINGS["share"]] == best][0])
    tied = [int(row) for row in shown.index[shown[SETTINGS["share"]].isin(inseparable(results.table, "share"))]]
    table = Table("Performance (top-1) on the test images", shown, highlighted_row=highlighted, tied_rows=tied)
    return Section("Performance by share of the initial training", text, [table], figures)


def _curves_section(results: IterativeResults, figures: Sequence[go.Figure]) -> Section:
    first = results.first
    text = [
        f"Accuracy on {first} images at the switch, later and at the end, and the iterations until half of the final "
        "loss of accuracy was reached for the first time. Values between two evaluations are interpolated."
    ]
    if results.published and results.published.forgetting and first == "nice":
        paper = [number(accuracy) for accuracy in results.published.forgetting]
        text.append(f"Published: from about {paper[0]} at the switch to {paper[1]} within 200 iterations.")
    speed = _as_text(results.speed)
    return Section("Forgetting during training", text, [Table(f"Accuracy on {first} images", speed)], figures)


def _matrix_section(results: IterativeResults, figures: Sequence[go.Figure]) -> Section:
    text = ["Measures of continual learning, with the two domains as two tasks."]
    measures = Table("After both trainings (end of training, test images)", _as_text(results.measures))
    return Section("Accuracy matrix, forgetting and backward transfer", text, [measures], figures)


def _interpolation_section(results: IterativeResults, figures: Sequence[go.Figure]) -> Section:
    text = [
        "Weights between those at the end of the initial training (alpha = 0) and of the restricted one (alpha = 1), "
        "as in WiSE-FT. They need no training. The table takes the alpha that is best on the validation images and "
        "measures it on the test images."
    ]
    best = best_interpolations(results.interpolations)
    shown = pd.DataFrame({SETTINGS["share"]: best["share"], "alpha": best["alpha"].map("{:.2f}".format)})
    for name in MEASURES:
        shown[name] = with_spread(best, f"{name}_top1")
    tables = [
        Table("Best alpha of each share", shown),
        *category_tables(best, "share", SETTINGS["share"], title=f"{TITLE}, best alpha"),
    ]
    return Section("Interpolated weights", text, tables, figures)


def _mistakes_section(results: IterativeResults, shown: IterativeReport) -> Section:
    title = f"A closer look at the best share, {best_ratio(results.table, 'share')}% initial"
    text = ["Test images, snapshot chosen on validation, all seeds of this share together."]
    return Section(title, text, pictures=mistake_pictures(shown.mistakes, shown.hardest))


def _categories_section(results: IterativeResults) -> Section:
    tables = chosen_category_tables(results.table, "share", SETTINGS["share"])
    if results.table_without_leaks is not None:
        tables += chosen_category_tables(results.table_without_leaks, "share", SETTINGS["share"], WITHOUT_LEAKS)
    return Section("Accuracy by category", [EXPLANATION], tables)


def _metrics_section(results: IterativeResults) -> Section:
    kinds = [AFTER_INITIAL, *SNAPSHOTS]
    tables = [
        Table(f"All test images, {plain_name(kind)}", snapshot_table(results.table, kind, "share")) for kind in kinds
    ]
    if results.table_without_leaks is not None:
        heading = "Test images that do not leak"
        clean = results.table_without_leaks
        tables += [Table(f"{heading}, {plain_name(kind)}", snapshot_table(clean, kind, "share")) for kind in kinds]
    return Section("All metrics by snapshot", tables=tables)


def _key_numbers(results: IterativeResults) -> list[tuple[str, str]]:
    share = best_ratio(results.table, "share")
    measures = results.measures.set_index("share").loc[share]
    return [
        (f"{share}%", "of the iterations for the initial training, the best share"),
        (number(_row(results, "best_validation", share)["performance_top1"]), "its performance (top-1)"),
        (number(_row(results, AFTER_INITIAL, share)["performance_top1"]), "after its initial training"),
        (number(measures["average_accuracy"]), "its average accuracy at the end"),
        (number(measures["forgetting"]), f"its forgetting of {results.first} images"),
    ]


def _footnotes(results: IterativeResults, notes: Sequence[str]) -> list[str]:
    lines = [
        f"The snapshots other than {plain_name(AFTER_INITIAL)} are of the restricted training only.",
        "The best share is the one with the highest performance, chosen on validation, on the validation images.",
        intervals_note(results.table),
        seeds_note(results.table, "share"),
    ]
    if results.published:
        lines.append(published_note(results.published))
    return [*lines, *notes]


def _row(results: IterativeResults, snapshot: str, share: int, table: pd.DataFrame | None = None) -> pd.Series:
    rows = results.table if table is None else table
    return rows[rows["snapshot"] == snapshot].set_index("share").loc[share]


def _change(difference: float) -> str:
    if abs(difference) < 0.0005:  # not visible in the three decimals shown
        return "left it as it was"
    return f"{'raised' if difference > 0 else 'lowered'} it by {number(abs(difference))}"


def _improved(results: IterativeResults) -> str:
    """At how many shares the restricted training improved performance, at its best iteration and at its end."""
    performances = results.table.pivot(index="share", columns="snapshot", values="performance_top1")
    best, last = (int((performances[name] > performances[AFTER_INITIAL]).sum()) for name in ("best_validation", "last"))
    return (
        f"It improved performance at {best} of {len(performances)} shares when stopped at the best iteration on the "
        f"validation images, and at {last} when trained to the end."
    )


def _speed(results: IterativeResults, share: int) -> str:
    half = results.speed.set_index("share")["iterations_to_half"].get(share)
    return "" if pd.isna(half) else f"; half of that loss came within {half:.0f} iterations of the switch"


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """A table by share as text, means with their deviations; iterations as whole numbers."""
    shown = {SETTINGS["share"]: frame["share"]}
    for column in frame.columns:
        if f"{column}_std" in frame:
            name = column.replace("_", " ")
            whole = column.startswith("iterations")
            shown[name] = (
                frame[column].map("{:.0f}".format, na_action="ignore") if whole else with_spread(frame, column)
            )
    return pd.DataFrame(shown)
