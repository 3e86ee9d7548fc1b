"""The page of mixed training parses, needs nothing from outside, and shows the data's numbers."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from page_reader import Reader
from page_terms import require_explained_terms
from PIL import Image

from mixvision.evaluation.intervals import performance_intervals
from mixvision.evaluation.metrics import join_predictions, summarise, trial_metrics
from mixvision.reporting.formatting import DASH
from mixvision.reporting.scripts import SCRIPT_NAME
from mixvision.reporting.tables import metric_table, own_snapshots_table
from mixvision.studies.mixing.figures import accuracy_against_ratio, learning_curves
from mixvision.studies.mixing.page import MixingResults, _ranges, answer, mixing_page
from mixvision.vocabulary import CATEGORY_MEASURES, METRICS, SNAPSHOTS


def make_page(study, published=None, notes=(), **changes) -> tuple[str, pd.DataFrame]:
    joined = join_predictions(study.predictions, study.manifest)
    summary = summarise(trial_metrics(joined), study.trials)
    intervals = performance_intervals(joined, study.trials)
    table = metric_table(summary, intervals, published)
    sheet = Image.new("RGB", (40, 30), "red")
    audit = {
        "split_summary": pd.DataFrame({"split": ["train"], "images": [80]}),
        "split_audit": pd.DataFrame(columns=["domain", "category", "train", "test"]),
    }
    figures = dict.fromkeys(("accuracy", "performance"), accuracy_against_ratio(summary, published))
    curves = learning_curves(study.history, study.trials)
    figures |= dict.fromkeys(("learning_curves", "category_accuracies", "confusion"), curves)
    results = {"manifest": study.manifest, "trials": study.trials, "outcomes": pd.DataFrame(), "table": table}
    results |= {"table_without_leaks": None, "samples": sheet, "mistakes": sheet, "hardest": sheet}
    return mixing_page("Five fruits", MixingResults(**results | audit | figures | changes), published, notes), table


@pytest.fixture(scope="module")
def made(study) -> tuple[str, pd.DataFrame]:
    """The page and its table, with nothing published."""
    return make_page(study)


@pytest.fixture(scope="module")
def with_published(study, published) -> str:
    return make_page(study, published)[0]


def test_the_page_parses_and_needs_nothing_from_outside(with_published):
    html = with_published
    page = Reader(html)
    assert page.addresses
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not re.search(r"url\(|@import", re.search(r"(?s)<style>.*?</style>", html).group())
    assert page.scripts == [f"../{SCRIPT_NAME}"]
    assert page.tags.count("h1") == 1


def test_images_have_alternative_text_and_their_size(made):
    images = Reader(made[0]).images
    assert len(images) == 3
    assert all(image["alt"] and (image["width"], image["height"]) == ("40", "30") for image in images)


def test_terms_are_explained(study, made, with_published):
    require_explained_terms(with_published)
    require_explained_terms(make_page(study, table_without_leaks=made[1])[0])


def at_best_validation(table: pd.DataFrame, *ratios: int) -> list[str]:
    """Test performance, nice and real accuracy of these ratios, as text."""
    rows = table[table["snapshot"] == "best_validation"].set_index("ratio")
    return [f"{rows.loc[ratio, f'{name}_top1']:.3f}" for ratio in ratios for name in ("performance", "nice", "real")]


def picked(table: pd.DataFrame) -> int:
    """The ratio with the highest validation performance."""
    rows = table[table["snapshot"] == "best_validation"].set_index("ratio")
    return rows["validation_performance_top1"].idxmax()


def test_the_answer_gives_the_best_ratio_with_its_interval_and_both_pure_ones(made):
    html, table = made
    best = picked(table)
    assert best not in (0, 100)
    bounds = table.dropna(subset="performance_top1_low").set_index("ratio").loc[best]
    performance, *accuracies = at_best_validation(table, best)
    interval = [f"{bounds[f'performance_top1_{end}']:.3f}" for end in ("low", "high")]
    expected = [performance, *interval, *accuracies, *at_best_validation(table, 0, 100)]
    assert re.findall(r"\d\.\d{3}", answer(table)) == expected
    assert re.findall(r"(\d+)% real images", answer(table)) == [str(best)]
    assert answer(table) in Reader(html).section("")


def test_a_pure_ratio_that_is_best_is_not_repeated(made):
    table = made[1].copy()
    table.loc[table["ratio"] == 100, "validation_performance_top1"] = 1.0
    performance, *accuracies = at_best_validation(table, 100)
    numbers = re.findall(r"\d\.\d{3}", answer(table))
    assert numbers[:1] + numbers[3:5] == [performance, *accuracies]
    assert numbers[5:] == at_best_validation(table, 0)


def test_the_key_numbers_are_those_of_the_data(made):
    html, table = made
    performances = at_best_validation(table, picked(table), 0, 100)[::3]
    assert Reader(html).key_numbers == [f"{picked(table)}%", *performances, "100", "100", "5", "1"]


def test_ratios_with_a_gap_between_them_are_no_range():
    trained = [0, 10, 20, 30, 40, 100]
    for ratios, text in (([0, 10, 20], "0 to 20%"), ([0, 20, 30, 100], "0%, 20 to 30%, 100%"), ([40], "40%")):
        assert _ranges(ratios, trained) == text


def test_the_green_row_is_the_best_ratio(made):
    html, table = made
    (green,) = re.findall(r'<tr class="best">(.*)</tr>', html)
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", green)
    assert cells[:2] == [str(picked(table)), at_best_validation(table, picked(table))[0]]


def test_every_metric_is_shown_at_every_snapshot(made):
    html, table = made
    first, own, *others = [rows for rows in Reader(html).tables if rows[0][:2] == ["% real", "nice top-1"]]
    assert own == [list(own_snapshots_table(table)), *own_snapshots_table(table).astype("str").to_numpy().tolist()]
    shown = [first, *others]
    assert len(shown) == len(SNAPSHOTS)
    for snapshot, (_, *rows) in zip(SNAPSHOTS, shown, strict=True):
        expected = table[table["snapshot"] == snapshot].set_index("ratio")[list(METRICS)]
        assert [int(row[0]) for row in rows] == list(expected.index)
        assert [row[1:] for row in rows] == [[f"{value:.3f}" for value in row] for row in expected.to_numpy()]


def test_every_ratio_has_its_measures_by_category_in_each_domain(made):
    html, table = made
    shown = Reader(html).table("% real", "domain", "worst category").to_numpy().tolist()
    honest = table[table["snapshot"] == "best_validation"].sort_values("ratio")
    expected = [
        [str(row["ratio"]), domain, *(f"{row[f'{domain}_{measure}']:.3f}" for measure in CATEGORY_MEASURES)]
        for row in honest.to_dict("records")
        for domain in ("nice", "real")
    ]
    assert shown == expected


def test_notes_audit_and_excluded_files_are_on_the_page(study):
    page = Reader(make_page(study, notes=["Thinned to the smaller."])[0])
    assert page.section("How to read this").endswith("Thinned to the smaller.")
    assert page.table("split", "images").to_dict("list") == {"split": ["train"], "images": ["80"]}
    excluded = page.table("id", "reason", "bytes")
    assert excluded.to_numpy().tolist() == [["real/Apple/torn.jpg", "truncated", "12"]]
    assert page.table("reason", "files").to_numpy().tolist() == [["truncated", "1"]]
    assert "Published" not in page.text


def test_the_published_numbers_stand_in_our_table_with_their_source(published, with_published):
    page = Reader(with_published)
    shown = page.table("% real", "published").set_index("% real")["published"]
    paper = {row["ratio"]: f"{row['performance_top1']:.3f}" for row in published.rows if "performance_top1" in row}
    assert shown.to_dict() == {ratio: paper.get(int(ratio), DASH) for ratio in shown.index} and paper
    assert published.source in page.section("Accuracy by share of real training images")
    assert published.origin in page.section("How to read this")


def test_where_images_leak_the_results_without_them_are_shown_as_well(study, made):
    html, table = made
    assert "without leaks" not in Reader(html).text
    clean = table.assign(performance_top1=table["performance_top1"] / 2, nice_top1=table["nice_top1"] / 2)
    page = Reader(make_page(study, table_without_leaks=clean)[0])
    rows = clean[clean["snapshot"] == "best_validation"].set_index("ratio")
    shown = page.table("% real", "chosen on validation, without leaks").set_index("% real")
    expected = {str(ratio): f"{value:.3f}" for ratio, value in rows["performance_top1"].items()}
    assert shown["chosen on validation, without leaks"].to_dict() == expected
    snapshots = [found for found in page.tables if found[0][:2] == ["% real", "nice top-1"]]
    assert [row[1] for row in snapshots[len(SNAPSHOTS) + 1][1:]] == [f"{value:.3f}" for value in rows["nice_top1"]]
    assert page.section("").count(f"that performance is {expected[str(picked(table))]}.") == 1


def test_equal_input_gives_an_equal_page(study, made):
    assert make_page(study)[0] == made[0]


def test_the_page_can_be_read_in_a_browser(look_at, with_published):
    look_at(with_published)
