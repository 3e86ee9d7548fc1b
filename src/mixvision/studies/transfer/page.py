"""The page of transfer learning: results of pretrained networks as they are, with new heads, and fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.evaluation.classification import category_scores, confused_pairs
from mixvision.evaluation.selection import best_model
from mixvision.reporting.formatting import number
from mixvision.reporting.image_tables import image_counts
from mixvision.reporting.page import Page, Picture, Section, Table, render_page
from mixvision.reporting.published import Published, PublishedMixing, PublishedTransfer
from mixvision.reporting.results import StudyResults
from mixvision.reporting.sections import (
    audit_section,
    excluded_section,
    missing_notes,
    published_note,
    settings_section,
)
from mixvision.studies.transfer.notes import (
    NOTES,
    QUESTION,
    extent_sentence,
    independent_test_sentence,
    sources_sentence,
)
from mixvision.studies.transfer.ratios import best_frozen_ratio, ratio_sentence
from mixvision.studies.transfer.tables import (
    PRETRAINED_ON,
    answer,
    as_is_table,
    best_of_methods,
    calibration_table,
    comparison_table,
    ensemble_table,
    per_cent,
    splits_tested,
    top_columns,
)
from mixvision.vocabulary import AS_IS, BEST_VALIDATION, TEST_SPLITS


@dataclass(frozen=True, kw_only=True)
class TransferResults(StudyResults):
    """What the page of transfer learning shows. Parts that are None are left out, or the page says why.

    Attributes:
        table: what :func:`mixvision.studies.transfer.tables.transfer_table` returns.
        ratios: what :func:`mixvision.studies.transfer.ratios.ratio_table` returns, without rows if none was trained.
        ratio_outcomes: how the training of each of these heads ended.
        backbones: one row per backbone and input size.
        joined: joined predictions of all models.
        models, learning_curves, loss, input_sizes, ratios_drawn: figures of all models.
        confusion, reliability: figures of the best models.
        embedding: the features on a map.
        samples, mistakes, activations: contact sheets; the mistakes are the best model's.
    """

    table: pd.DataFrame
    ratios: pd.DataFrame
    ratio_outcomes: pd.DataFrame
    backbones: pd.DataFrame
    joined: pd.DataFrame
    models: go.Figure
    learning_curves: go.Figure | None
    loss: go.Figure | None
    input_sizes: go.Figure | None
    ratios_drawn: go.Figure | None
    confusion: go.Figure
    reliability: go.Figure
    embedding: go.Figure | None
    samples: Image.Image
    mistakes: Image.Image
    activations: Image.Image | None


def transfer_page(title: str, results: TransferResults, published: Published, sources: Mapping[str, str | None]) -> str:
    """The whole report as one HTML page.

    Args:
        title: heading.
        results: all that it shows.
        published: the published numbers; those of transfer learning and of mixing are used.
        sources: by domain where its images come from.
    """
    table, manifest = results.table, results.manifest
    curves = [figure for figure in (results.learning_curves, results.loss) if figure is not None]
    chosen = (results.joined["trial"] == best_model(table)) & (results.joined["snapshot"] == BEST_VALIDATION)
    best = results.joined[chosen]
    evidence = [
        _models_section(table, manifest, published.transfer, results.models),
        _as_is_section(table),
        *_optional_figure("Input size", results.input_sizes),
        _ratios_section(results.ratios, manifest, published.mixing, results.ratios_drawn),
        Section("Learning curves", figures=curves),
        _best_section(table, best, results.confusion, results.mistakes),
        *_activation_sections(results.activations),
        *_optional_figure("Map of the features", results.embedding),
        _calibration_section(table, results.reliability),
        _ensembles_section(table),
    ]
    data = [
        _images_section(manifest, results.samples, sources),
        audit_section(results),
        excluded_section(manifest),
        _weights_section(results.backbones),
        settings_section(results.trials),
    ]
    notes = [*NOTES, *missing_notes(results.outcomes), *missing_notes(results.ratio_outcomes)]
    numbers = _key_numbers(table, manifest)
    return render_page(Page(f"{title}: transfer", QUESTION, answer(table), numbers, evidence, data, notes))


def _models_section(
    table: pd.DataFrame, manifest: pd.DataFrame, published: PublishedTransfer | None, figure: go.Figure
) -> Section:
    measured = ", ".join(["validation", *splits_tested(table)])
    text = [
        f"The green row is the best model on the validation images. The columns {measured} are accuracies with the "
        "weights of the best epoch, train is the running mean over that epoch's batches."
    ]
    notes = [independent_test_sentence(manifest), PRETRAINED_ON if (table["method"] == AS_IS).any() else None]
    text += [note for note in notes if note]
    best = list(table["trial"]).index(best_model(table))
    tables = [Table("Accuracy of every model", comparison_table(table), highlighted_row=best)]
    if published:
        text += [published_note(published), *filter(None, [extent_sentence(manifest, published)])]
        rows = pd.DataFrame(list(published.rows)).rename(columns=lambda name: name.replace("_", " "))
        tables.append(Table("Published", rows))
    return Section("Models compared", text, tables, [figure])


def _as_is_section(table: pd.DataFrame) -> Section:
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


def _independently(row: Any) -> str:
    """The numbers of an "as is" row on independent test images, to end a sentence; empty if there are none."""
    if not hasattr(row, "independent_top1"):
        return ""
    return f"; of the independent images {number(row.independent_top1)} and {per_cent(row.outside_independent)}"


def _ratios_section(
    ratios: pd.DataFrame, manifest: pd.DataFrame, published: PublishedMixing | None, figure: go.Figure | None
) -> Section:
    """Whether the best mixing ratio moves, or why there is nothing to mix."""
    title = "Does the best mixing ratio move?"
    if ratios.empty or figure is None:
        return Section(title, [_no_ratios(manifest)])
    headings = {"nice_top1": "nice", "real_top1": "real", "performance_top1": "performance"}
    headings |= {"behind_low": "below the best, low", "behind_high": "below the best, high"}
    headings |= {"ratio": "% real", "trials": "seeds", "validation_performance_top1": "performance, validation"}
    best = list(ratios["ratio"]).index(best_frozen_ratio(ratios))
    shown = Table("Heads on frozen features, test images", ratios.rename(columns=headings), highlighted_row=best)
    text = [
        "Training sets of equal size with a growing share of real images, as in the study of mixing, but only heads "
        "are trained, on features of a frozen backbone.",
        ratio_sentence(ratios, published),
    ]
    return Section(title, [*text, *([published_note(published)] if published else [])], [shown], [figure])


def _no_ratios(manifest: pd.DataFrame) -> str:
    trained = sorted(manifest.loc[manifest["split"] == "train", "domain"].unique())
    if len(trained) > 1:
        return "Mixing ratios were not tried in this run."
    return f"There is nothing to mix: all training images are {' and '.join(trained)} ones."


def _best_section(
    table: pd.DataFrame, predictions: pd.DataFrame, confusion: go.Figure, mistakes: Image.Image
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
    description = (
        "Test images with a wrong prediction of high probability, each with its true category, the predicted one, "
        "the probability and the domain."
    )
    return Section(
        "A closer look at the best model",
        text,
        tables,
        [confusion],
        [Picture("Most confident mistakes", mistakes, description)],
    )


def _activation_sections(activations: Image.Image | None) -> list[Section]:
    if activations is None:
        return []
    text = [
        "Class activation maps: the brighter a region, the more it supports the prediction. Images with a right "
        "prediction come first."
    ]
    description = "Test images, each next to a grey copy under a heatmap of the regions that support the prediction."
    return [Section("Where the network looks", text, pictures=[Picture("Hits and misses", activations, description)])]


def _optional_figure(title: str, figure: go.Figure | None) -> list[Section]:
    return [] if figure is None else [Section(title, figures=[figure])]


def _calibration_section(table: pd.DataFrame, figure: go.Figure) -> Section:
    text = [
        "A model is calibrated if it is right as often as its probabilities say: its points are on the dotted line. "
        "Below the line it is overconfident, above it underconfident."
    ]
    return Section("Calibration", text, [Table("The best of each method", calibration_table(table))], [figure])


def _ensembles_section(table: pd.DataFrame) -> Section:
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


def _images_section(manifest: pd.DataFrame, samples: Image.Image, sources: Mapping[str, str | None]) -> Section:
    sentences = (sources_sentence(sources), independent_test_sentence(manifest))
    return Section(
        "The images",
        [sentence for sentence in sentences if sentence],
        [Table("Images by domain", image_counts(manifest))],
        pictures=[Picture("Sample", samples, "Random images of every category, one row each.")],
    )


def _weights_section(backbones: pd.DataFrame) -> Section:
    columns = {"backbone": "backbone", "weights": "weights", "source": "source", "sha256": "SHA-256"}
    files = backbones[list(columns)].drop_duplicates().rename(columns=columns)
    paces = backbones[["backbone", "input_size", "features", "parameters", "images_per_second"]].copy()
    paces["parameters"] = paces["parameters"].map("{:,}".format)
    paces["images_per_second"] = paces["images_per_second"].map("{:,.1f}".format)
    text = "Weights called random are not pretrained."
    tables = [
        Table("Which weights", files),
        Table("Backbones", paces.rename(columns=lambda name: name.replace("_", " "))),
    ]
    return Section("Pretrained weights", [text] if (backbones["weights"] == "random").any() else [], tables)


def _key_numbers(table: pd.DataFrame, manifest: pd.DataFrame) -> list[tuple[str, str]]:
    best, rows = best_model(table), table.set_index("trial")
    row = rows.loc[best]
    numbers = [
        (number(row["test_top1"]), f"test accuracy of {best}"),
        (number(row["validation_top1"]), "its validation accuracy"),
        *((number(row[column]), f"its accuracy ({name})") for column, name in top_columns(table).items()),
    ]
    if "independent" in splits_tested(table):
        numbers.append((number(row["independent_top1"]), "its accuracy on the independent test images"))
    others = [name for name in best_of_methods(table) if rows.loc[name, "method"] != row["method"]]
    methods = ("head", "fine-tuned")
    numbers += [
        (number(rows.loc[name, "test_top1"]), f"test accuracy of {name}, best {rows.loc[name, 'method']}")
        for name in others
        if rows.loc[name, "method"] in methods
    ]
    kept = manifest[manifest["status"] == "kept"]
    numbers += [(f"{int(count):,}", f"{domain} images kept") for domain, count in kept.groupby("domain").size().items()]
    return [*numbers, (str(kept["category"].nunique()), "categories")]
