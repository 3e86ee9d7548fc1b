"""Sections of the transfer page after the models compared: as is, by ratio, the best, calibration, ensembles."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.evaluation.classification import category_scores, confused_pairs
from mixvision.evaluation.selection import best_model
from mixvision.reporting.category_tables import category_tables
from mixvision.reporting.formatting import number
from mixvision.reporting.page import Picture, Section, Table
from mixvision.reporting.published import PublishedMixing
from mixvision.reporting.sections import published_note
from mixvision.reporting.ties import marks_text, tied_rows
from mixvision.studies.transfer.ratios import best_frozen_ratio, ratio_sentence, tied_ratios
from mixvision.studies.transfer.tables import as_is_table, calibration_table, ensemble_table, per_cent
from mixvision.vocabulary import AS_IS, CATEGORY_METRICS, TEST_SPLITS


def as_is_section(table: pd.DataFrame) -> Section:
    """The networks with ImageNet's own 1,000 categories, or why they cannot be used."""
    title, rows = "Networks as they are", table[table["method"] == AS_IS]
    if rows.empty:
        return Section(
            title,
            [
                "A pretrained network can classify these images as it is only if the categories are ImageNet's. These "
                "are not, or this part was not asked for."
            ],
        )
    text = [
        f"Without any training {row.backbone}, with images of {row.input_size:.0f} pixels, has a test accuracy of "
        f"{number(row.test_top1)} among all of ImageNet's 1,000 categories, and assigns {per_cent(row.outside)} of the "
        f"test images to none of the study's categories{_independently(row)}."
        for row in rows.itertuples()
    ]
    text.append("Restricted to the study's categories, its probabilities for these are divided by their sum.")
    return Section(title, text, [Table("Without any training", as_is_table(table))])


def ratios_section(
    ratios: pd.DataFrame, manifest: pd.DataFrame, published: PublishedMixing | None, figure: go.Figure | None
) -> Section:
    """Whether the best mixing ratio moves, or why there is nothing to mix."""
    title = "Does the best mixing ratio move?"
    if ratios.empty or figure is None:
        return Section(title, [_no_ratios(manifest)])
    headings = {"nice_top1": "nice", "real_top1": "real", "performance_top1": "performance"}
    headings |= {"behind_low": "below the best, low", "behind_high": "below the best, high"}
    headings |= {"ratio": "% real", "trials": "seeds", "validation_performance_top1": "performance, validation"}
    tried, best, tied = list(ratios["ratio"]), best_frozen_ratio(ratios), tied_ratios(ratios)
    shown = Table(
        "Heads on frozen features, test images",
        ratios.drop(columns=[*CATEGORY_METRICS, "is_beaten"]).rename(columns=headings),
        highlighted_row=tried.index(best),
        tied_rows=tied_rows(tried, tied),
    )
    text = [
        "Training sets of equal size with a growing share of real images, as in the study of mixing, but only heads "
        f"are trained, on features of a frozen backbone. {marks_text('ratio', best, tied)}",
        ratio_sentence(ratios, published),
    ]
    tables = [shown, *category_tables(ratios, "ratio", "% real")]
    return Section(title, [*text, *([published_note(published)] if published else [])], tables, [figure])


def best_section(
    table: pd.DataFrame, predictions: pd.DataFrame, confusion: go.Figure, pictures: list[Picture]
) -> Section:
    text = [f"{best_model(table)}, test images, snapshot chosen on validation."]
    tables = []
    for split in (split for split in TEST_SPLITS if (predictions["split"] == split).any()):
        rows, of = predictions[predictions["split"] == split], "" if split == "test" else f", {split} test images"
        scores = category_scores(rows)
        scores = scores[scores["images"] > 0].sort_values(["recall", "category"], ignore_index=True)
        headings = {"category": "true category", "share": "share of its images"}
        tables.append(Table(f"Categories, lowest recall first{of}", scores.rename(columns={"f1": "F1"})))
        tables.append(Table(f"Most confused pairs{of}", confused_pairs(rows, 20).rename(columns=headings)))
    return Section("A closer look at the best model", text, tables, [confusion], pictures)


def activation_sections(activations: Image.Image | None) -> list[Section]:
    if activations is None:
        return []
    text = [
        "Class activation maps: the brighter a region, the more it supports the prediction. Images with a right "
        "prediction come first."
    ]
    description = "Test images, each next to a grey copy under a heatmap of the regions that support the prediction."
    return [Section("Where the network looks", text, pictures=[Picture("Hits and misses", activations, description)])]


def calibration_section(table: pd.DataFrame, figure: go.Figure) -> Section:
    text = [
        "A model is calibrated if it is right as often as its probabilities say: its points are on the dotted line. "
        "Below the line it is overconfident, above it underconfident."
    ]
    return Section("Calibration", text, [Table("The best of each method", calibration_table(table))], [figure])


def ensembles_section(table: pd.DataFrame) -> Section:
    title, rows = "Ensembles and views", ensemble_table(table)
    if rows.empty:
        return Section(title, ["There are none: they need two trained models, or several views of each test image."])
    text = [
        "All are computed from saved probabilities. Views: the mean over several crops or the mirror image. Mean: the "
        "mean of the best models' probabilities. Stacked: a logistic regression gives each of them a weight. It is "
        "fitted on validation images alone, and its validation accuracy is cross-validated. The members were chosen by "
        "their validation accuracy, which makes that of an ensemble slightly too high, but not its test accuracy. The "
        "best member is the one with the highest validation accuracy."
    ]
    return Section(title, text, [Table("Derived models and the best of their members", rows)])


def _independently(row: Any) -> str:
    """The numbers of an "as is" row on independent test images, to end a sentence; empty if there are none."""
    if not hasattr(row, "independent_top1"):
        return ""
    return f"; of the independent images {number(row.independent_top1)} and {per_cent(row.outside_independent)}"


def _no_ratios(manifest: pd.DataFrame) -> str:
    trained = sorted(manifest.loc[manifest["split"] == "train", "domain"].unique())
    if len(trained) > 1:
        return "Mixing ratios were not tried in this run."
    return f"There is nothing to mix: all training images are {' and '.join(trained)} ones."
