"""The baselines' page parses, shows the trials' numbers, and has its optional parts where they belong."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from page_reader import Reader
from page_terms import require_explained_terms
from PIL import Image

from mixvision.evaluation.mistakes import select_predictions
from mixvision.reporting.formatting import DASH
from mixvision.studies.baselines.leak import leak_comparisons, leak_sentence
from mixvision.studies.baselines.page import BaselinesResults, answer, baselines_page
from mixvision.studies.baselines.tables import best_trial

ABLATIONS = {"batch_size": "Batch size", "dropout": "Dropout", "augmentation": "Augmentation"}
LAYERS = pd.DataFrame(
    {
        "model": "cnn",
        "layer": ["first", "second", "last"],
        "type": ["Conv2d", "ReLU", "Linear"],
        "output": ["6 x 296 x 296", "6 x 296 x 296", "3"],
        "parameters": [456, 0, 1_000_000],
        "megabytes": [2.102784, 2.102784, 0.000012],
    }
)


def make_page(study, **changes) -> str:
    names = ("models", *ABLATIONS, "learning_curves", "confusion")
    results = {
        "manifest": study.manifest,
        "trials": study.trials,
        "outcomes": study.outcomes,
        "split_summary": pd.DataFrame({"split": ["train"], "images": [80]}),
        "split_audit": pd.DataFrame(columns=["domain", "category", "train", "test"]),
        "table": study.table,
        "leak": study.leak,
        "joined": study.joined,
        "layers": LAYERS,
        "learning_rate": go.Figure(),  # not varied in this study
        **{name: go.Figure(layout_title={"text": f"figure of {name}"}) for name in names},
        **dict.fromkeys(("samples", "mistakes", "hardest", "excluded"), Image.new("RGB", (40, 30), "red")),
    }
    published = changes.pop("published", study.published)
    return baselines_page("Three berries", BaselinesResults(**results | changes), study.base, "cnn", published, 100)


@pytest.fixture
def page(baselines) -> Reader:
    return Reader(make_page(baselines))


def test_sections_stand_in_their_order(page):
    assert page.headings == [
        "Models compared",
        *ABLATIONS.values(),
        "The mistake of augmenting before splitting",
        "Learning curves",
        "What the models confuse",
        "A closer look at the best model",
        "The networks",
        "The images",
        "Dimensions and outliers",
        "Split audit",
        "Excluded files",
        "Trial settings",
        "How to read this",
    ]


def test_terms_are_explained(baselines, baselines_of_two_domains):
    require_explained_terms(make_page(baselines))
    require_explained_terms(make_page(baselines_of_two_domains, leak=baselines_of_two_domains.leak.head(0)))


def test_the_page_needs_nothing_from_outside_and_is_the_same_each_time(baselines, page):
    assert page.addresses and all(address.startswith(("#", "data:")) for address in page.addresses)
    assert make_page(baselines) == make_page(baselines)


def test_every_figure_stands_in_its_section(baselines):
    html = make_page(baselines)
    places = [html.index(f'aria-label="figure of {name}.') for name in ("models", *ABLATIONS, "learning_curves")]
    starts = [html.index(f">{name}</h3>") for name in ("Models compared", *ABLATIONS.values(), "Learning curves")]
    assert sorted(starts + places) == [place for pair in zip(starts, places, strict=True) for place in pair]


def test_the_best_trial_is_picked_on_validation_images_and_never_leaky(baselines):
    table = baselines.table.copy()
    table.loc[table["trial"] == "linear", ["validation_top1", "test_top1"]] = [0.95, 0.0]
    table.loc[~table["split_first"], "validation_top1"] = 1.0
    assert best_trial(table) == "linear"


def test_no_validation_accuracy_is_refused_with_its_possible_reasons(baselines):
    with pytest.raises(ValueError, match="all trainings failed, or no image is kept"):
        best_trial(baselines.table.assign(validation_top1=np.nan))


def test_the_answer_is_computed_from_the_table(baselines, page):
    table = baselines.table.copy()
    numbers = ["test_top1", "test_low", "test_high"]
    table.loc[table["trial"] == best_trial(table), numbers] = [0.8124, 0.7, 0.9]
    table.loc[table["trial"] == "linear", "test_top1"] = 0.4321
    table.loc[table["trial"] == "random", "test_top1"] = 0.3333
    alone = table.assign(is_beaten=table["trial"] != best_trial(table))
    assert answer(alone) == (
        f"Best on the validation images: {best_trial(table)}, with a test accuracy of 0.812 (95% interval 0.700 to "
        "0.900); for comparison: linear layer 0.432, random guessing 0.333. These test images tell it from every other "
        "model: with 95% probability it is the best."
    )
    assert answer(baselines.table) in page.text


def test_models_that_cannot_be_told_from_the_best_are_named_and_marked(baselines):
    """By the rule, not by the interval of a pair; the leaky model and those without a result do not take part."""
    table = baselines.table.assign(behind_low=0.01, behind_high=0.2)
    table["is_beaten"] = table["is_beaten"].astype("object").mask(table["trial"] != "", True)
    best = best_trial(table)
    table.loc[
        table["trial"].isin([best, "linear", "cnn-leaky-split", "cnn-leaky-split-as-many-photos"]), "is_beaten"
    ] = False
    table.loc[table["trial"] == "basic_cnn", ["behind_low", "behind_high", "is_beaten"]] = np.nan
    assert answer(table).endswith(" These test images cannot tell it from linear.")
    html = make_page(baselines, table=table)
    marked = re.findall(r'<tr class="tied">\s*<th[^>]*>([^<]*)</th>', html)
    assert marked == ["linear", *["linear layer"] * len(ABLATIONS)]
    assert f"cannot tell the faintly green models from {best}" in Reader(html).section("Models compared")
    assert Reader(html).table("model", "behind the best").set_index("model")["behind the best"]["random"] == (
        "0.010 to 0.200"
    )


def test_only_floors_with_a_result_that_are_not_the_best_are_compared(baselines):
    table = baselines.table.set_index("trial", drop=False)
    accuracies = table["test_top1"].map("{:.3f}".format)

    def compared(rows: pd.DataFrame) -> list[str]:
        """The accuracies after the best model's and its interval."""
        return re.findall(r"\d\.\d{3}", answer(rows))[3:]

    assert compared(table) == accuracies[["linear", "random"]].tolist()
    table.loc["linear", "validation_top1"] = 1.0
    assert compared(table) == [accuracies["random"]]
    table.loc["random", "test_top1"] = np.nan
    assert compared(table) == [] == compared(table[table["model"] == "cnn"])


def marked(html: str) -> list[str]:
    return re.findall(r'<tr class="best"><th[^>]*>(.*?)</th>', html)


def test_the_green_row_is_the_best_on_validation(baselines):
    """In every table that has it: in that of the models, where its settings are none of the base settings, too."""
    table = baselines.table
    assert marked(make_page(baselines)) == [best_trial(table), "expand"]
    best = table["trial"] == "cnn-batch-size-64"
    other = table.assign(validation_top1=table["validation_top1"].mask(best, 0.99))
    assert marked(make_page(baselines, table=other)) == ["cnn-batch-size-64", "64"]


def test_the_mistake_has_a_section_where_it_was_made(baselines, page):
    heading = "The mistake of augmenting before splitting"
    assert leak_sentence(baselines.leak) in page.section(heading)
    shown = page.table("model", "overestimate")
    order = ["cnn-augmentation-expand", "cnn-leaky-split-as-many-photos", "cnn-leaky-split"]
    rows = baselines.table.set_index("trial").loc[order]
    isolated = page.table("comparison", "isolates")
    assert isolated.to_numpy().tolist() == leak_comparisons(baselines.leak).to_numpy().tolist()
    assert shown["validation, views"].tolist() == rows["views_top1"].map("{:.3f}".format).tolist()
    assert shown["test"].tolist() == rows["test_top1"].map("{:.3f}".format).tolist()
    excess = (rows["views_top1"] - rows["test_top1"]).map("{:.3f}".format)
    assert shown["overestimate"].tolist() == excess.tolist()
    assert heading not in Reader(make_page(baselines, leak=baselines.leak.head(0))).headings


def test_a_setting_that_was_not_varied_has_no_section(baselines):
    table = baselines.table[baselines.table["batch_size"] == 8]
    assert "Batch size" not in Reader(make_page(baselines, table=table)).headings


def test_networks_are_listed_with_their_totals(page):
    """1,000,456 weights of 4 bytes in two of three layers; maps of 2,102,784, 2,102,784 and 12 bytes."""
    totals = page.table("model", "layers with weights")
    assert totals.to_numpy().tolist() == [["cnn", "2", "1,000,456", "4.002", "4.206"]]
    layers = page.table("layer", "output (kB)").set_index("layer")
    assert layers.loc["first"].tolist() == ["Conv2d", "6 x 296 x 296", "456", "2,102.784"]
    assert layers.loc["last"].tolist() == ["Linear", "3", "1,000,000", "0.012"]  # kB, so that it does not read 0.000


def test_figures_of_several_models_do_not_stand_under_one_models_name(baselines):
    html = make_page(baselines)
    sections = [
        ">What the models confuse</h3>",
        'aria-label="figure of confusion.',
        ">A closer look at the best model</h3>",
    ]
    places = [html.index(section) for section in sections]
    assert places == sorted(places)


def test_settings_are_listed_where_they_are_shared_and_learning_rates_spelled_alike(baselines, page):
    assert page.table("setting", "value").to_numpy().tolist() == [["seed", "0"], ["learning rate", "0.0001"]]
    others = "batch size: 8; learning rate: 0.0001; dropout: with"
    assert others in page.section("Augmentation") and "augmentation: on the fly" in page.section("Dropout")
    trials = baselines.trials.assign(learning_rate=[1e-5, *[1e-4] * (len(baselines.trials) - 1)])
    shown = Reader(make_page(baselines, trials=trials)).table("trial", "learning rate").set_index("trial")
    assert shown["learning rate"].to_dict() == {name: "0.0001" for name in trials["trial"]} | {"random": "1e-05"}


def test_the_models_are_compared_by_accuracy_and_training(baselines, page):
    shown = page.table("model", "train", "best epoch").set_index("model")
    table = baselines.table.set_index("trial")
    for split in ("train", "validation", "test"):
        assert shown.loc["cnn", split] == f"{table.loc['cnn', f'{split}_top1']:.3f}"
    assert shown.loc["cnn", ["best epoch", "steps", "parameters"]].tolist() == ["4 of 7", "700", "9,966,691"]
    assert shown.loc["basic_cnn", ["test", "best epoch"]].tolist() == [DASH, "failed"]


def test_excluded_images_are_shown_where_there_are_any(baselines):
    def titles(manifest):
        return "Excluded images" in make_page(baselines, manifest=manifest)

    decoded = baselines.manifest["id"] == "real/Apple/torn.jpg"
    assert not titles(baselines.manifest)  # its one excluded file could not be decoded
    assert titles(baselines.manifest.assign(pixel_row=baselines.manifest["pixel_row"].mask(decoded, 7)))


def test_the_best_model_is_scored_on_its_own_predictions(baselines, page):
    best = select_predictions(baselines.joined, [best_trial(baselines.table)])
    scores = page.table("category", "recall", "F1").set_index("category")
    for category, images in best.groupby(best["category"].astype("str")):
        recall = (images["prediction_1"] == category).mean()
        precision = (best.loc[best["prediction_1"] == category, "category"] == category).mean()
        harmonic = 2 * precision * recall / (precision + recall)
        expected = [str(len(images)), *(f"{value:.3f}" for value in (precision, recall, harmonic))]
        assert scores.loc[category, ["images", "precision", "recall", "F1"]].tolist() == expected
    wrong = best[best["prediction_1"] != best["category"]]
    pairs = wrong.groupby([wrong["category"].astype("str"), "prediction_1"]).size()
    confused = page.table("true category", "share of its images")
    most_often = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:10]
    shown = confused[["true category", "prediction", "images"]].to_numpy().tolist()
    assert shown == [[*names, str(count)] for names, count in most_often]


def test_notes_say_in_what_the_published_study_differs(baselines, page):
    assert "Published numbers: Table 1 of a thesis. Accuracies on validation images." in page.text
    assert "The sides of the images have 100 pixels here, 300 in the study." in page.text
    trained = (baselines.manifest["split"] == "train").sum()
    assert f"There are {trained} training images here, 4,800 in the study." in page.text
    alike = replace(baselines.published, image_size=100, training_images=40)
    assert "in the study." not in Reader(make_page(baselines, published=alike)).text
    bare = replace(baselines.published, note="", image_size=None, training_images=None)
    assert "in the study." not in Reader(make_page(baselines, published=bare)).text


def test_nothing_published_leaves_no_trace(baselines):
    columns = [f"published_{split}" for split in ("train", "validation", "test")]
    table = baselines.table.assign(**dict.fromkeys(columns, np.nan))
    text = Reader(make_page(baselines, table=table, published=None)).text.lower()
    assert "published" not in text and "in the study." not in text


def test_failed_trials_and_excluded_files_are_named(baselines, page):
    assert "Missing: basic_cnn (failed). its loss was not a number." in page.text
    assert "real/Apple/torn.jpg truncated" in page.text
    finished = baselines.outcomes.assign(status="finished")
    assert "Missing:" not in Reader(make_page(baselines, outcomes=finished)).text


def test_every_model_has_its_measures_by_category(baselines, page):
    shown = page.table("model", "worst category").set_index("model")
    assert list(shown) == ["worst category", "balanced accuracy", "macro-F1"]  # one domain
    assert list(shown.index) == list(baselines.table["trial"])
    tested = select_predictions(baselines.joined, ["cnn"])
    recalls = (tested["prediction_1"] == tested["category"]).groupby(tested["category"].astype("str")).mean()
    assert shown.loc["cnn"].tolist()[:2] == [f"{recalls.min():.3f}", f"{recalls.mean():.3f}"]
    assert shown.loc["basic_cnn"].tolist() == [DASH] * 3  # failed


def test_images_of_two_domains_are_counted_and_measured_apart(baselines_of_two_domains, page):
    study = baselines_of_two_domains
    both = Reader(make_page(study))
    counts = both.table("domain", "kept", "excluded").set_index("domain")
    kept = study.manifest[study.manifest["status"] == "kept"]
    assert counts["kept"].to_dict() == kept.groupby("domain").size().map(str).to_dict()
    shown = both.table("model", "nice, test", "real, test").set_index("model")
    row = study.table.set_index("trial").loc["cnn"]
    expected = [f"{row[f'{domain}_test_top1']:.3f}" for domain in ("nice", "real")]
    assert shown.loc["cnn", ["nice, test", "real, test"]].tolist() == expected
    assert page.table("domain", "kept", "excluded")["domain"].tolist() == ["real"]
