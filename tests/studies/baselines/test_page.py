"""The baselines' page parses, says what the trials say, and warns where it should and only there."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from page_reader import Reader
from PIL import Image

from mixvision.evaluation.mistakes import select_predictions
from mixvision.studies.baselines.page import BaselinesResults, answer, baselines_page, best_trial
from mixvision.studies.baselines.tables import leak_sentence

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
        "split_audit": pd.DataFrame(),
        "table": study.table,
        "leak": study.leak,
        "joined": study.joined,
        "layers": LAYERS,
        "learning_rate": go.Figure(),  # not varied in this study
        **{name: go.Figure(layout_title={"text": f"figure of {name}"}) for name in names},
        **dict.fromkeys(("samples", "mistakes", "excluded"), Image.new("RGB", (40, 30), "red")),
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
        "What splitting after augmentation would have gained",
        "Learning curves",
        "What the models confuse",
        "The best model looked at closely",
        "The networks",
        "The images",
        "Dimensions and outliers",
        "Split audit",
        "Excluded files",
        "Trial settings",
        "Notes",
    ]


def test_the_page_needs_nothing_from_outside_and_is_the_same_each_time(baselines, page):
    assert page.addresses and all(address.startswith(("#", "data:")) for address in page.addresses)
    assert make_page(baselines) == make_page(baselines)


def test_every_figure_stands_in_its_section(baselines):
    html = make_page(baselines)
    places = [html.index(f'aria-label="figure of {name}.') for name in ("models", *ABLATIONS, "learning_curves")]
    starts = [html.index(f"<h2>{name}</h2>") for name in ("Models compared", *ABLATIONS.values(), "Learning curves")]
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
    assert answer(table) == (
        f"Best on the validation images: {best_trial(table)}, with a test accuracy of 0.812 (95% interval 0.700 to "
        "0.900); for comparison: linear layer 0.432, random guessing 0.333."
    )
    assert answer(baselines.table) in page.text


def test_a_floor_that_is_best_or_failed_or_absent_is_not_compared_with(baselines):
    table = baselines.table.set_index("trial", drop=False)
    table.loc["linear", "validation_top1"] = 1.0
    assert "linear layer" not in answer(table) and "random guessing" in answer(table)
    table.loc["random", "test_top1"] = np.nan
    assert "comparison" not in answer(table)
    assert "comparison" not in answer(table[table["model"] == "cnn"])


def test_the_green_row_is_the_best_on_validation(baselines):
    green = re.findall(r'(?s)<tr class="best"><td[^>]*>(.*?)</td>', make_page(baselines))
    rows = baselines.table.set_index("trial")["validation_top1"]
    batch_sizes = {"cnn": "8", "cnn-batch-size-64": "64"}
    assert green[0] == rows[["random", "linear", "cnn"]].idxmax()
    assert green[1] == batch_sizes[rows[list(batch_sizes)].idxmax()]


def test_the_mistake_is_named_as_one_and_left_out_where_it_was_not_made(baselines, page):
    assert "made here on purpose" in page.text
    assert leak_sentence(baselines.leak) in page.text
    assert "views of the validation images' originals, too" in page.text
    honest = Reader(make_page(baselines, leak=baselines.leak.head(0)))
    assert not [heading for heading in honest.headings if "splitting" in heading]
    assert "on purpose" not in honest.text


def test_a_setting_that_was_not_varied_has_no_section(baselines):
    table = baselines.table[baselines.table["batch_size"] == 8]
    assert "Batch size" not in Reader(make_page(baselines, table=table)).headings


def test_networks_are_listed_with_their_totals(page):
    # 1,000,456 weights of 4 bytes in two of three layers; maps of 2,102,784, 2,102,784 and 12 bytes.
    assert "layers with weights parameters weights (MB) feature maps (MB) cnn 2 1,000,456 4.002 4.206" in page.text
    assert "first Conv2d 6 x 296 x 296 456 2,102.784" in page.text
    assert "last Linear 3 1,000,000 0.012" in page.text  # kB, so that three numbers are not 0.000


def test_figures_of_several_models_do_not_stand_under_one_models_name(baselines):
    html = make_page(baselines)
    sections = ["<h2>What the models confuse</h2>", 'aria-label="figure of confusion.', "<h2>The best model looked at"]
    places = [html.index(section) for section in sections]
    assert places == sorted(places)


def test_settings_are_called_the_base_settings_and_learning_rates_spelled_alike(baselines):
    trials = baselines.trials.assign(learning_rate=[1e-5, *[1e-4] * (len(baselines.trials) - 1)])
    text = Reader(make_page(baselines, trials=trials)).text
    assert "with the base settings" in text and "as in the base settings (learning rate: 0.0001;" in text
    assert "own settings" not in text and "1e-04" not in text
    assert "random 1e-05 " in text and "cnn 0.0001 " in text


def test_columns_say_what_they_hold(page):
    for heading in ("best epoch", "steps", "true category", "share of its images", "F1"):
        assert f" {heading} " in page.text
    for sentence in ("3 of 5: the 3rd of 5 trained", "Precision is the share of right answers", "eight times the exam"):
        assert sentence in page.text


def test_excluded_images_are_shown_where_there_are_any(baselines):
    def titles(manifest):
        return "Excluded images" in make_page(baselines, manifest=manifest)

    decoded = baselines.manifest["id"] == "real/Apple/torn.jpg"
    assert not titles(baselines.manifest)  # its one excluded file could not be decoded
    assert titles(baselines.manifest.assign(pixel_row=baselines.manifest["pixel_row"].mask(decoded, 7)))


def test_the_best_model_is_scored_on_its_own_predictions(baselines, page):
    best = select_predictions(baselines.joined, [best_trial(baselines.table)])
    apples = best[best["category"] == "Apple"]
    recall = (apples["prediction_1"] == "Apple").mean()
    precision = (best.loc[best["prediction_1"] == "Apple", "category"] == "Apple").mean()
    assert f"Apple {len(apples)} {precision:.3f} {recall:.3f}" in page.text


def test_notes_say_in_what_the_published_study_differs(baselines, page):
    assert "Published numbers: Table 1 of a thesis. Accuracies on validation images." in page.text
    assert "Images are 100 pixels a side here, 300 in the study." in page.text
    assert "There are 40 training images here, 4,800 in the study." in page.text
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
    assert "basic_cnn failed: its loss was not a number." in page.text
    assert "real/Apple/torn.jpg truncated" in page.text
    finished = baselines.outcomes.assign(status="finished")
    assert "basic_cnn failed:" not in Reader(make_page(baselines, outcomes=finished)).text


def test_what_the_numbers_mean_is_explained(page):
    for phrase in ("best_validation: the epoch", "last: weights", "running mean", "near-duplicates drawn together"):
        assert phrase in page.text


def test_images_of_two_domains_are_counted_and_measured_apart(baselines, baselines_of_two_domains, page):
    text = Reader(make_page(baselines_of_two_domains)).text
    row = baselines_of_two_domains.table.set_index("trial").loc["cnn"]
    assert "nice images kept 100" in text and "real images kept 100" in text
    assert f"{row['nice_test_top1']:.3f} {row['real_test_top1']:.3f}" in text
    assert "nice images kept" not in page.text
