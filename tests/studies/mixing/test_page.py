"""The page of mixed training parses, needs nothing from outside, and says what the data says."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from page_reader import Reader
from PIL import Image

from mixvision.evaluation.intervals import performance_intervals
from mixvision.evaluation.metrics import join_predictions, summarise, trial_metrics
from mixvision.reporting.tables import best_ratio, metric_table
from mixvision.studies.mixing.figures import accuracy_against_ratio, learning_curves
from mixvision.studies.mixing.page import MixingResults, answer, mixing_page
from mixvision.vocabulary import SNAPSHOTS


def make_page(study, published=None, notes=(), **changes) -> tuple[str, pd.DataFrame]:
    joined = join_predictions(study.predictions, study.manifest)
    summary = summarise(trial_metrics(joined), study.trials)
    intervals = performance_intervals(joined, study.trials, np.random.default_rng(0), draws=200)
    table = metric_table(summary, intervals, published)
    sheet = Image.new("RGB", (40, 30), "red")
    audit = {"split_summary": pd.DataFrame({"split": ["train"], "images": [80]}), "split_audit": pd.DataFrame()}
    figures = dict.fromkeys(("accuracy", "performance"), accuracy_against_ratio(summary, published))
    curves = learning_curves(study.history, study.trials)
    figures |= dict.fromkeys(("learning_curves", "category_accuracies", "confusion"), curves)
    results = {"manifest": study.manifest, "trials": study.trials, "outcomes": pd.DataFrame(), "table": table}
    results |= {"table_without_leaks": None, "samples": sheet, "mistakes": sheet}
    return mixing_page("Five fruits", MixingResults(**results | audit | figures | changes), published, notes), table


def test_the_page_parses_and_needs_nothing_from_outside(study, published):
    html, _ = make_page(study, published)
    page = Reader(html)
    assert page.addresses
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not re.search(r"url\(|@import", re.search(r"(?s)<style>.*?</style>", html).group())
    assert html.count("plotly.js v") == 1
    assert page.tags.count("h1") == 1


def test_images_have_alternative_text_and_their_size(study):
    images = Reader(make_page(study)[0]).images
    assert len(images) == 2
    assert all(image["alt"] and (image["width"], image["height"]) == ("40", "30") for image in images)


def test_the_answer_is_computed_from_the_data(study):
    html, table = make_page(study)
    best = best_ratio(table)
    honest = table[table["snapshot"] == "best_validation"].set_index("ratio")["performance_top1"]
    assert f"{best}% real images" in answer(table)
    assert all(f"{honest[ratio]:.3f}" in answer(table) for ratio in (0, best, 100))
    assert answer(table) in Reader(html).text


def test_a_pure_ratio_that_is_best_is_not_repeated(study):
    _, table = make_page(study)
    table.loc[table["ratio"] == 100, "validation_performance_top1"] = 1.0
    assert answer(table).count("real images only") == 1


def test_the_page_explains_the_figures_and_shows_notes_audit_and_excluded_files(study):
    text = Reader(make_page(study, notes=["Thinned to the smaller."])[0]).text
    for phrase in [
        *SNAPSHOTS,
        "optimistic",
        "Thinned to the smaller.",
        "What was found",
        "real/Apple/torn.jpg",
    ]:
        assert phrase in text
    assert "Published" not in text


def test_published_source_is_named(study, published):
    assert "Table 2 of a paper" in Reader(make_page(study, published)[0]).text


def test_a_table_without_leaks_is_shown_beside(study):
    _, table = make_page(study)
    assert "without a near-duplicate" not in Reader(make_page(study)[0]).text
    assert "without a near-duplicate" in Reader(make_page(study, table_without_leaks=table)[0]).text


def test_equal_input_gives_an_equal_page(study):
    assert make_page(study)[0] == make_page(study)[0]
