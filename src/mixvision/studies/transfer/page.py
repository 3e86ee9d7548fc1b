"""The page of transfer learning: results of pretrained networks as they are, with new heads, and fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.evaluation.selection import best_model, not_behind
from mixvision.reporting.category_tables import EXPLANATION, tested_category_tables
from mixvision.reporting.formatting import number
from mixvision.reporting.image_tables import image_counts
from mixvision.reporting.page import Page, Picture, Section, Table, render_page
from mixvision.reporting.published import Published, PublishedTransfer
from mixvision.reporting.results import StudyResults
from mixvision.reporting.sections import (
    audit_section,
    excluded_section,
    missing_notes,
    mistake_pictures,
    published_note,
    settings_section,
)
from mixvision.reporting.ties import tied_rows, tied_text
from mixvision.studies.transfer.evidence import (
    activation_sections,
    as_is_section,
    best_section,
    calibration_section,
    ensembles_section,
    ratios_section,
)
from mixvision.studies.transfer.notes import (
    NOTES,
    QUESTION,
    extent_sentence,
    independent_test_sentence,
    sources_sentence,
)
from mixvision.studies.transfer.tables import (
    PRETRAINED_ON,
    answer,
    best_of_methods,
    comparison_table,
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
        samples, mistakes, hardest, activations: contact sheets; the mistakes are the best model's.
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
    hardest: Image.Image
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
        as_is_section(table),
        *_optional_figure("Input size", results.input_sizes),
        ratios_section(results.ratios, manifest, published.mixing, results.ratios_drawn),
        Section("Learning curves", figures=curves),
        best_section(table, best, results.confusion, mistake_pictures(results.mistakes, results.hardest)),
        *activation_sections(results.activations),
        *_optional_figure("Map of the features", results.embedding),
        calibration_section(table, results.reliability),
        ensembles_section(table),
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
    best = best_model(table)
    text = [
        f"The bold green row is the best model on the validation images. The columns {measured} are accuracies with "
        "the weights of the best epoch, train is the running mean over that epoch's batches.",
        *tied_text(table, best),
    ]
    notes = [independent_test_sentence(manifest), PRETRAINED_ON if (table["method"] == AS_IS).any() else None]
    text += [note for note in notes if note]
    names = list(table["trial"])
    tied = tied_rows(names, not_behind(table, best, "trial"))
    shown = comparison_table(table)
    tables = [Table("Accuracy of every model", shown, highlighted_row=names.index(best), tied_rows=tied)]
    text.append(EXPLANATION)
    tables += tested_category_tables(table, TEST_SPLITS)
    if published:
        text += [published_note(published), *filter(None, [extent_sentence(manifest, published)])]
        rows = pd.DataFrame(list(published.rows)).rename(columns=lambda name: name.replace("_", " "))
        tables.append(Table("Published", rows))
    return Section("Models compared", text, tables, [figure])


def _optional_figure(title: str, figure: go.Figure | None) -> list[Section]:
    return [] if figure is None else [Section(title, figures=[figure])]


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
