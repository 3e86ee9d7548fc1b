"""The page of the baselines: networks trained one by one, their settings varied, and one deliberate mistake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from PIL import Image

from mixvision.evaluation.classification import category_scores, confused_pairs
from mixvision.evaluation.mistakes import select_predictions
from mixvision.reporting.category_tables import EXPLANATION, tested_category_tables
from mixvision.reporting.formatting import interval, number
from mixvision.reporting.image_tables import image_counts, image_dimensions
from mixvision.reporting.page import Page, Picture, Section, Table, render_page
from mixvision.reporting.published import PublishedBaselines
from mixvision.reporting.results import StudyResults
from mixvision.reporting.sections import (
    audit_section,
    excluded_section,
    missing_notes,
    mistake_pictures,
    settings_section,
)
from mixvision.reporting.ties import tied_rows, tied_sentence, tied_text
from mixvision.studies.baselines.leak import leak_comparisons, leak_sentence, leak_table
from mixvision.studies.baselines.notes import NOTES, QUESTION, published_notes
from mixvision.studies.baselines.settings import SETTINGS, setting_text
from mixvision.studies.baselines.tables import (
    FLOORS,
    ablated_settings,
    ablation_rows,
    ablation_table,
    best_trial,
    compared_rows,
    comparison_table,
    floor_rows,
    honest_trials,
    tied_trials,
)


@dataclass(frozen=True, kw_only=True)
class BaselinesResults(StudyResults):
    """What the page of the baselines shows.

    Attributes:
        table: what :func:`mixvision.studies.baselines.tables.trial_table` returns.
        leak: what :func:`mixvision.studies.baselines.leak.leak_numbers` returns.
        joined: joined predictions of all trials.
        layers: what :func:`mixvision.models.summary.layer_table` returns, of all models.
        models, learning_curves, confusion: figures of all models.
        batch_size, learning_rate, dropout, augmentation: a figure for each ablated setting.
        samples, mistakes, hardest, excluded: contact sheets; the mistakes are those of the best trial.
    """

    table: pd.DataFrame
    leak: pd.DataFrame
    joined: pd.DataFrame
    layers: pd.DataFrame
    models: go.Figure
    learning_curves: go.Figure
    confusion: go.Figure
    batch_size: go.Figure
    learning_rate: go.Figure
    dropout: go.Figure
    augmentation: go.Figure
    samples: Image.Image
    mistakes: Image.Image
    hardest: Image.Image
    excluded: Image.Image


def baselines_page(
    title: str,
    results: BaselinesResults,
    base: Mapping[str, Any],
    ablated: str,
    published: PublishedBaselines | None,
    image_size: int,
) -> str:
    """The whole report as one HTML page.

    Args:
        title: heading.
        results: all that it shows.
        base: the base settings by name.
        ablated: the model whose settings are varied.
        published: the published numbers, or None.
        image_size: side of the images in pixels.
    """
    table, manifest, outcomes = results.table, results.manifest, results.outcomes
    ablations = [
        _ablation_section(table, base, ablated, setting, getattr(results, setting))
        for setting in ablated_settings(table, base, ablated)
    ]
    best_predictions = select_predictions(results.joined, [best_trial(table)])
    evidence = [
        _models_section(table, published, results.models),
        *ablations,
        *_leak_sections(results.leak),
        Section("Learning curves", figures=[results.learning_curves]),
        _confusion_section(results.confusion),
        _best_section(table, best_predictions, mistake_pictures(results.mistakes, results.hardest)),
    ]
    data = [
        _networks_section(results.layers),
        _images_section(manifest, results.samples),
        _dimensions_section(manifest, results.excluded),
        audit_section(results),
        excluded_section(manifest),
        settings_section(results.trials),
    ]
    notes = [*NOTES, *published_notes(manifest, published, image_size), *missing_notes(outcomes)]
    numbers = _key_numbers(table, manifest)
    return render_page(Page(f"{title}: baselines", QUESTION, answer(table), numbers, evidence, data, notes))


def answer(table: pd.DataFrame) -> str:
    """The outcome: the test accuracy of the best model, compared with the simplest ones, and which others are tied."""
    best = best_trial(table)
    row = table.set_index("trial").loc[best]
    sentence = (
        f"Best on the validation images: {best}, with a test accuracy of {number(row['test_top1'])} "
        f"(95% interval {interval(row['test_low'], row['test_high'])})"
    )
    floors = ", ".join(f"{name} {number(accuracy)}" for name, accuracy in _floors(table).items())
    outcome = f"{sentence}; for comparison: {floors}." if floors else f"{sentence}."
    return " ".join(filter(None, [outcome, tied_sentence(honest_trials(table), best)]))


def _models_section(table: pd.DataFrame, published: PublishedBaselines | None, figure: go.Figure) -> Section:
    text = [
        "Every model with the base settings, and the best of all models with other settings if it is ahead of them. In "
        "all tables the bold green row is the model that is best of all on the validation images. The columns train, "
        "validation and test are accuracies with the weights of the best epoch (3 of 5 is the third of five trained); "
        "steps counts the batches of all epochs.",
        *tied_text(honest_trials(table), best_trial(table)),
    ]
    if published:
        text.append(f"Published: {published.source}; see the notes at the end.")
    shown = _marked("Accuracy of every model", comparison_table(table), compared_rows(table)["trial"], table)
    by_category = tested_category_tables(table)
    return Section("Models compared", [*text, EXPLANATION], [shown, *by_category], [figure])


def _ablation_section(
    table: pd.DataFrame, base: Mapping[str, Any], ablated: str, setting: str, figure: go.Figure
) -> Section:
    name = setting.replace("_", " ")
    others = [
        f"{other.replace('_', ' ')}: {setting_text(other, base[other])}" for other in SETTINGS if other != setting
    ]
    text = f"The model {ablated}, with the base settings otherwise ({'; '.join(others)})."
    trials = [*ablation_rows(table, base, ablated, setting)["trial"], *floor_rows(table, ablated)["trial"]]
    shown = _marked(f"Accuracy by {name}", ablation_table(table, base, ablated, setting), trials, table)
    return Section(name.capitalize(), [text], [shown], [figure])


def _leak_sections(leak: pd.DataFrame) -> list[Section]:
    """The section on the deliberate mistake, or none if it was not made."""
    sentence = leak_sentence(leak)
    if sentence is None:
        return []
    text = [
        "This mistake is deliberate, to measure its effect. The images are augmented before they are split, so copies "
        "of one image are in training and in validation, and the validation accuracy does not measure how the model "
        "does on new images. The test images were set aside first, for all three models. The overestimate is the "
        "validation accuracy on views minus the test accuracy.",
        "Made as usual, on all training and validation photos, the mistake also adds photos to the training set. So "
        "one more model makes it with as many photos as the honest one: it trains on views of the same photos, and its "
        "validation images are other views of some of these. This model minus the honest one isolates the leak; the "
        "leaky one on all photos minus this one isolates the additional photos, with fewer views of each.",
        sentence,
    ]
    tables = [
        Table("Effect of the mistake", leak_table(leak)),
        Table("What each comparison isolates", leak_comparisons(leak)),
    ]
    return [Section("The mistake of augmenting before splitting", text, tables)]


def _confusion_section(figure: go.Figure) -> Section:
    text = "Each row is a true category and shows what share of its test images was assigned to which category."
    return Section("What the models confuse", [text], figures=[figure])


def _best_section(table: pd.DataFrame, predictions: pd.DataFrame, pictures: list[Picture]) -> Section:
    text = [f"{best_trial(table)}, test images, snapshot chosen on validation."]
    headings = {"category": "true category", "share": "share of its images"}
    return Section(
        "A closer look at the best model",
        text,
        [
            Table("Precision, recall and F1", category_scores(predictions).rename(columns={"f1": "F1"})),
            Table("Most confused pairs", confused_pairs(predictions).rename(columns=headings)),
        ],
        pictures=pictures,
    )


def _networks_section(layers: pd.DataFrame) -> Section:
    by_model = dict(iter(layers.drop(columns="model").groupby(layers["model"], sort=False)))
    totals = pd.DataFrame(
        [
            {
                "model": model,
                "layers with weights": (rows["parameters"] > 0).sum(),
                "parameters": f"{rows['parameters'].sum():,}",
                "weights (MB)": rows["parameters"].sum() * 4 / 1e6,
                "feature maps (MB)": rows["megabytes"].sum(),
            }
            for model, rows in by_model.items()
        ]
    )
    text = (
        "Weights and feature maps in float32; MB and kB are millions and thousands of bytes. Feature maps are the "
        "outputs of all layers for one image."
    )
    tables = [Table("Totals", totals), *(Table(model, _layers(rows)) for model, rows in by_model.items())]
    return Section("The networks", [text], tables)


def _layers(rows: pd.DataFrame) -> pd.DataFrame:
    """The layers as text; in kB, so that even a single number, 0.004 kB, does not read as 0."""
    numbers = {
        "parameters": rows["parameters"].map("{:,}".format),
        "output (kB)": rows["megabytes"].mul(1000).map("{:,.3f}".format),
    }
    return rows.drop(columns="megabytes").assign(**numbers)


def _images_section(manifest: pd.DataFrame, samples: Image.Image) -> Section:
    return Section(
        "The images",
        tables=[Table("Images by domain", image_counts(manifest))],
        pictures=[Picture("Sample", samples, "Random images of every category, one row each.")],
    )


def _dimensions_section(manifest: pd.DataFrame, excluded: Image.Image) -> Section:
    description = (
        "Images that were excluded although they could be decoded, each with its category, size and the reason."
    )
    shown = ((manifest["status"] == "excluded") & (manifest["pixel_row"] >= 0)).any()
    return Section(
        "Dimensions and outliers",
        tables=[Table("Images by dimensions (pixels)", image_dimensions(manifest))],
        pictures=[Picture("Excluded images", excluded, description)] if shown else [],
    )


def _key_numbers(table: pd.DataFrame, manifest: pd.DataFrame) -> list[tuple[str, str]]:
    best = best_trial(table)
    row = table.set_index("trial").loc[best]
    numbers = [
        (number(row["test_top1"]), f"test accuracy of {best}"),
        (number(row["validation_top1"]), "its validation accuracy"),
        (f"{row['parameters']:,.0f}", "its parameters"),
        *((number(accuracy), f"test accuracy, {name}") for name, accuracy in _floors(table).items()),
    ]
    kept = manifest[manifest["status"] == "kept"]
    numbers += [(f"{int(count):,}", f"{domain} images kept") for domain, count in kept.groupby("domain").size().items()]
    return [
        *numbers,
        (str(kept["category"].nunique()), "categories"),
        (f"{len(manifest) - len(kept):,}", "files excluded"),
    ]


def _floors(table: pd.DataFrame) -> dict[str, float]:
    """The test accuracies, by name, of the simplest models, without the best model."""
    accuracies = table.set_index("trial")["test_top1"].drop(best_trial(table)).dropna()
    return {name: accuracies[model] for model, name in FLOORS.items() if model in accuracies}


def _marked(title: str, frame: pd.DataFrame, trials: Iterable[str], table: pd.DataFrame) -> Table:
    """A table with one row per trial, in which the best model of all and those tied with it are marked."""
    names, best = list(trials), best_trial(table)
    place = names.index(best) if best in names else None
    return Table(title, frame, highlighted_row=place, tied_rows=tied_rows(names, tied_trials(table)))
