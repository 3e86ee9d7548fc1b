"""The page of the mixed-training study: how much real data to mix in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.reporting.category_tables import EXPLANATION, WITHOUT_LEAKS, chosen_category_tables
from mixvision.reporting.formatting import number
from mixvision.reporting.image_tables import image_counts
from mixvision.reporting.names import plain_name
from mixvision.reporting.page import Page, Picture, Section, Table, render_page
from mixvision.reporting.published import PublishedMixing
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
    own_snapshots_table,
    snapshot_table,
)
from mixvision.reporting.ties import marks_text
from mixvision.vocabulary import BEST_IN, BEST_TEST, SNAPSHOTS

QUESTION = (
    "One network must recognise the same categories in clean catalogue pictures (nice) and in photos from "
    "the real world (real): what share of real images should its training set have?"
)


@dataclass(frozen=True, kw_only=True)
class MixingResults(StudyResults):
    """What the page of mixed training shows.

    Attributes:
        table: what :func:`mixvision.reporting.tables.metric_table` returns.
        table_without_leaks: the same on test images that do not leak; None if none leak.
        accuracy, performance, learning_curves: figures of all ratios.
        category_accuracies, confusion: figures of the best ratio.
        samples, mistakes: the contact sheets.
    """

    table: pd.DataFrame
    table_without_leaks: pd.DataFrame | None
    accuracy: go.Figure
    performance: go.Figure
    learning_curves: go.Figure
    category_accuracies: go.Figure
    confusion: go.Figure
    samples: Image.Image
    mistakes: Image.Image
    hardest: Image.Image


def mixing_page(
    title: str, results: MixingResults, published: PublishedMixing | None, notes: Sequence[str] = ()
) -> str:
    """The whole report as one HTML page.

    Args:
        title: heading.
        results: all that it shows.
        published: the paper's numbers, or None.
        notes: further footnotes, such as that the larger domain was thinned to the smaller.
    """
    table, table_without_leaks = results.table, results.table_without_leaks
    figures = [results.accuracy, results.performance, results.learning_curves]
    best = best_ratio(table)
    evidence = [
        _comparison_section(table, table_without_leaks, published, best, figures),
        Section(
            f"A closer look at the best ratio, {best}% real",
            ["Test images, snapshot chosen on validation, all seeds of this ratio together."],
            figures=[results.category_accuracies, results.confusion],
            pictures=mistake_pictures(results.mistakes, results.hardest),
        ),
        _categories_section(table, table_without_leaks),
        _metrics_section(table, table_without_leaks),
    ]
    data = [
        _images_section(results.manifest, results.samples),
        audit_section(results),
        excluded_section(results.manifest),
        settings_section(results.trials),
    ]
    page = Page(
        f"{title}: mixing",
        QUESTION,
        answer(table, table_without_leaks),
        _key_numbers(table, results.manifest),
        evidence,
        data,
        footnotes(table, published, notes),
    )
    return render_page(page)


def answer(table: pd.DataFrame, table_without_leaks: pd.DataFrame | None = None) -> str:
    """The outcome in a sentence: the best ratio by its unbiased result, compared with both pure ratios.

    Where test images leak, a second sentence gives the number without them.
    """
    best = best_ratio(table)
    rows = table[table["snapshot"] == "best_validation"].set_index("ratio")
    row = rows.loc[best]
    sentence = (
        f"Best on the validation images: {_name(best)}, "
        f"with a test performance of {number(row['performance_top1'])} "
        f"(95% interval {number(row['performance_top1_low'])} to {number(row['performance_top1_high'])}), "
        f"nice {number(row['nice_top1'])} and real {number(row['real_top1'])}"
    )
    others = [
        f"{_name(ratio)} gave {number(rows.loc[ratio, 'performance_top1'])} "
        f"(nice {number(rows.loc[ratio, 'nice_top1'])}, real {number(rows.loc[ratio, 'real_top1'])})"
        for ratio in (0, 100)
        if ratio in rows.index and ratio != best
    ]
    outcome = " ".join(filter(None, ["; ".join([sentence, *others]) + ".", inseparable_sentence(table)]))
    if table_without_leaks is None:
        return outcome
    clean = table_without_leaks[table_without_leaks["snapshot"] == "best_validation"].set_index("ratio").loc[best]
    return (
        f"{outcome} Near-duplicates or groups cross these splits: on the test images that do not leak that performance "
        f"is {number(clean['performance_top1'])}."
    )


def footnotes(table: pd.DataFrame, published: PublishedMixing | None, notes: Sequence[str] = ()) -> list[str]:
    """How the numbers were made, and what to be careful about."""
    lines = [
        "The best ratio is the one with the highest performance on the validation images. The performances "
        "given for it are those on the test images, where another ratio may happen to be ahead.",
        intervals_note(table),
        seeds_note(table, "ratio"),
    ]
    if published:
        lines.append(published_note(published))
    return [*lines, *notes]


def _comparison_section(
    table: pd.DataFrame,
    table_without_leaks: pd.DataFrame | None,
    published: PublishedMixing | None,
    best: int,
    figures: Sequence[go.Figure],
) -> Section:
    comparison = comparison_table(table, table_without_leaks)
    highlighted = int(comparison.index[comparison["% real"] == best][0])
    tied = [int(row) for row in comparison.index[comparison["% real"].isin(inseparable(table))]]
    text = [marks_text("ratio", best, inseparable(table))]
    if published:
        text.append(f"Published: {published.source}; see the notes at the end.")
    performances = Table(
        "Performance (top-1) on the test images", comparison, highlighted_row=highlighted, tied_rows=tied
    )
    return Section("Accuracy by share of real training images", text, [performances], figures)


def _categories_section(table: pd.DataFrame, table_without_leaks: pd.DataFrame | None) -> Section:
    tables = chosen_category_tables(table, "ratio", SETTINGS["ratio"])
    if table_without_leaks is not None:
        tables += chosen_category_tables(table_without_leaks, "ratio", SETTINGS["ratio"], WITHOUT_LEAKS)
    return Section("Accuracy by category", [EXPLANATION], tables)


def _metrics_section(table: pd.DataFrame, table_without_leaks: pd.DataFrame | None) -> Section:
    tables = [
        Table(f"All test images, {plain_name(snapshot)}", snapshot_table(table, snapshot)) for snapshot in SNAPSHOTS
    ]
    if set(BEST_IN.values()) <= set(table["snapshot"]):  # earlier versions did not keep them
        tables.insert(1, Table("All test images, each at the snapshot chosen for it", own_snapshots_table(table)))
    if table_without_leaks is not None:
        heading = "Test images that do not leak"
        tables += [
            Table(f"{heading}, {plain_name(snapshot)}", snapshot_table(table_without_leaks, snapshot))
            for snapshot in SNAPSHOTS
        ]
    text = [
        "Where each measure has a snapshot chosen for it, nice and real accuracy come from the one with the highest "
        "validation accuracy in that domain, performance from the one with the highest validation performance."
    ]
    if "highest_nice_top1" in table:
        text.append(
            f"Under {plain_name(BEST_TEST)}, its highest is the highest test accuracy in that domain at any "
            "evaluation: what a table says that gives the best iteration of each column separately."
        )
    return Section("All metrics at the snapshots", text, tables)


def _images_section(manifest: pd.DataFrame, sample_sheet: Image.Image) -> Section:
    description = "Random images of every category in both domains."
    return Section(
        "The images",
        tables=[Table("Images by domain", image_counts(manifest))],
        pictures=[Picture("Sample of both domains", sample_sheet, description)],
    )


def _ranges(ratios: Sequence[int], trained: Sequence[int]) -> str:
    """Ratios of those that were trained, neighbours together: "0%, 20 to 40%"."""
    places = [trained.index(ratio) for ratio in ratios]
    starts = [number for number, place in enumerate(places) if not number or place - places[number - 1] > 1]
    runs = [ratios[start:end] for start, end in zip(starts, [*starts[1:], len(ratios)], strict=True)]
    return ", ".join(f"{run[0]}%" if len(run) == 1 else f"{run[0]} to {run[-1]}%" for run in runs)


def _key_numbers(table: pd.DataFrame, manifest: pd.DataFrame) -> list[tuple[str, str]]:
    best = best_ratio(table)
    honest = table[table["snapshot"] == "best_validation"].set_index("ratio")["performance_top1"]
    kept = manifest[manifest["status"] == "kept"]
    alike = inseparable(table)
    numbers = [
        (f"{best}%", "real images in the best training set"),
        (number(honest[best]), "its performance (top-1)"),
        *([(_ranges(alike, list(honest.index)), "real: not told apart from the best")] if len(alike) > 1 else []),
    ]
    pure = {0: "performance of training on nice only", 100: "performance of training on real only"}
    numbers += [(number(honest[ratio]), meaning) for ratio, meaning in pure.items() if ratio in honest]
    numbers += [(f"{int(count):,}", f"{domain} images kept") for domain, count in kept.groupby("domain").size().items()]
    numbers += [
        (str(kept["category"].nunique()), "categories"),
        (f"{len(manifest) - len(kept):,}", "files excluded"),
    ]
    return numbers


def _name(ratio: int) -> str:
    pure = {0: "training on nice images only", 100: "training on real images only"}
    return pure.get(ratio, f"a training set with {ratio}% real images")
