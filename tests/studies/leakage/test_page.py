"""The page of the leakage study parses, needs nothing from outside, and says what the comparison holds."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from page_reader import Reader, read_markdown
from page_terms import require_explained_terms
from PIL import Image

from mixvision.pipelines.leakage.nodes import draw_mistakes
from mixvision.reporting.settings import ReportParameters
from mixvision.reporting.style import COLOURS
from mixvision.reporting.tiles import tiles_by_group
from mixvision.studies.leakage.comparison import compare_accuracies
from mixvision.studies.leakage.figures import accuracy_under_both_splits
from mixvision.studies.leakage.page import LeakageResults, answer, best_ratio_sentence, leakage_page, leakage_summary
from mixvision.vocabulary import CATEGORY_MEASURES


@pytest.fixture(scope="module")
def comparison(used, plain) -> pd.DataFrame:
    return compare_accuracies(used, plain)


@pytest.fixture(scope="module")
def results(used, plain, comparison) -> LeakageResults:
    return LeakageResults(
        manifest=used.manifest,
        plain_manifest=plain.manifest,
        trials=plain.trials,
        outcomes=pd.DataFrame(),
        split_audit=pd.DataFrame(columns=["domain", "category", "train", "test"]),
        split_summary=pd.DataFrame({"finding": ["images"], "count": [94]}),
        method="grouped",
        comparison=comparison,
        accuracy=accuracy_under_both_splits(comparison, "grouped"),
        **dict.fromkeys(("mistakes", "hardest"), Image.new("RGB", (40, 30), "red")),
    )


def row_of(comparison: pd.DataFrame, domain: str) -> pd.Series:
    """The row of a domain at the ratio that the plain split's validation images prefer."""
    return comparison[comparison["plain_best"] & (comparison["domain"] == domain)].iloc[0]


def with_difference(comparison: pd.DataFrame, difference: float, low: float, high: float) -> pd.DataFrame:
    return comparison.assign(difference=difference, difference_low=low, difference_high=high)


def test_the_page_parses_and_needs_nothing_from_outside(results):
    html = leakage_page("Two fruits", results, ["plain-0-0 failed: it diverged"])
    page = Reader(html)
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert page.title == "Two fruits: leakage"
    assert page.figures == ["Test accuracy (top-1) under both splits, by share of real training images"]
    assert {"Split audit", "Trial settings"} <= set(page.headings)
    assert page.section("How to read this").endswith("plain-0-0 failed: it diverged")
    require_explained_terms(html)


def test_the_answer_gives_each_domain_both_ways_at_the_plain_splits_best_ratio(results, comparison):
    text = answer(comparison, "grouped")
    nice, real = (row_of(comparison, domain) for domain in ("nice", "real"))
    assert nice["ratio"] == 100
    assert text.startswith("At 100% real, its best ratio, a plain random split reports an accuracy of")
    names = ("plain_top1", "used_top1", "difference")
    expected = [f"{nice[name]:.3f}" for name in names] + [f"{nice[f'difference_{end}']:.3f}" for end in ("low", "high")]
    assert re.findall(r"\d\.\d{3}", text)[:5] == expected
    assert f"the plain split flatters by {nice['difference']:.3f}" in text
    reported = f"{real['plain_top1']:.3f} on real test images, where the grouped split reports {real['used_top1']:.3f}"
    assert reported in text
    above = [int((rows["difference_low"] > 0).sum()) for _, rows in comparison.groupby("domain")]
    assert above[0] >= 2
    assert f"Of its test images, 100% of the nice ones leak (the difference is above 0 at {above[0]} of 3" in text
    assert text.endswith(f"and 0% of the real ones leak (the difference is above 0 at {above[1]} of 3 ratios).")
    assert text in Reader(leakage_page("Two fruits", results)).section("")
    assert f"{nice['plain_top1']:.3f}" in Reader(leakage_page("Two fruits", results)).key_numbers


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ((0.1, 0.01, 0.2), "the plain split flatters by 0.100"),
        ((0.1, -0.01, 0.2), "the test images cannot tell them apart"),
        ((0.0, 0.0, 0.0), "the test images cannot tell them apart"),
        ((-0.1, -0.2, -0.01), "the plain split does not flatter, but is 0.100 lower"),
    ],
)
def test_the_answer_depends_on_whether_the_interval_includes_0(comparison, bounds, verdict):
    changed = with_difference(comparison, *bounds)
    text = answer(changed, "published")
    assert text.count(verdict) == 2
    assert f"; 95% interval of the difference {bounds[1]:+.3f} to {bounds[2]:+.3f})" in text


def test_the_page_says_whether_the_best_ratio_changes(comparison):
    changed = best_ratio_sentence(comparison, "grouped")
    assert changed.endswith("is 50% real under the grouped split, and 100% real under the plain one.")
    same = best_ratio_sentence(comparison.assign(plain_best=comparison["used_best"]), "grouped")
    assert same.endswith("is 50% real under both splits.")


def test_the_tables_show_the_comparison(results, comparison):
    page = Reader(leakage_page("Two fruits", results))
    shown = page.table("% real", "domain", "difference")
    text = leakage_summary("Two fruits", results)
    assert shown.to_numpy().tolist() == read_markdown(text).to_numpy().tolist()
    assert answer(comparison, "grouped") in text
    for cells, row in zip(shown.itertuples(index=False), comparison.itertuples(), strict=True):
        assert list(cells) == [
            str(row.ratio),
            row.domain,
            f"{row.used_top1:.3f}",
            f"{row.used_low:.3f} to {row.used_high:.3f}",
            f"{row.plain_top1:.3f}",
            f"{row.plain_low:.3f} to {row.plain_high:.3f}",
            f"{row.difference:+z.3f}",
            f"{row.difference_low:+z.3f} to {row.difference_high:+z.3f}",
        ]
    images = page.table("domain", "split", "leak").to_numpy().tolist()
    assert images[:2] == [["nice", "grouped", "2", "60", "10", "0.0%"], ["nice", "plain", "2", "38", "16", "100.0%"]]


def test_each_split_has_its_measures_by_category(results, comparison):
    shown = Reader(leakage_page("Two fruits", results)).table("% real", "split", "worst category")
    expected = [
        [str(row["ratio"]), row["domain"], name, *(f"{row[f'{side}_{measure}']:.3f}" for measure in CATEGORY_MEASURES)]
        for row in comparison.to_dict("records")
        for side, name in (("used", "grouped"), ("plain", "plain"))
    ]
    assert shown.to_numpy().tolist() == expected


def test_the_mistakes_on_the_plain_split_are_pictures(results, comparison, plain):
    section = Reader(leakage_page("Two fruits", results)).section("What goes wrong on the plain split, 100% real")
    assert section.index("Most confident mistakes") < section.index("Hardest images over all models")
    stores = [SimpleNamespace(pixels=np.zeros((len(plain.manifest), 16, 16, 3), np.uint8))] * 2
    joined = plain.joined.assign(probability_1=0.75)
    mistakes, *sheets = draw_mistakes(comparison, joined, plain.trials, *stores, ReportParameters(mistakes_shown=5))
    best = joined[joined["trial"].isin(["plain-100-0", "plain-100-1"]) & (joined["snapshot"] == "best_validation")]
    wrong = set(best.loc[(best["split"] == "test") & ~best["top1"], "id"])
    assert len(mistakes) == 5 and set(mistakes["id"]) <= wrong
    assert [len(tiles_by_group(sheet)[""]) for sheet in sheets] == [5, 5]


def test_categories_that_are_left_out_are_named(results, comparison):
    page = Reader(leakage_page("Two fruits", results))
    assert "no test images of them: Kiwi (nice); Plum (real)." in page.text
    whole = LeakageResults(**{**vars(results), "comparison": comparison.assign(left_out="")})
    assert "Not compared" not in Reader(leakage_page("Two fruits", whole)).text


def test_the_figure_draws_both_splits_of_each_domain_with_their_intervals(comparison):
    traces = {trace.name: trace for trace in accuracy_under_both_splits(comparison, "published").data}
    assert set(traces) == {f"{domain}, {name} split" for domain in ("nice", "real") for name in ("published", "plain")}
    rows = comparison[comparison["domain"] == "real"]
    for name, side, dash in (("published", "used", "solid"), ("plain", "plain", "dash")):
        trace = traces[f"real, {name} split"]
        assert list(trace.x) == [0, 50, 100] and np.allclose(trace.y, rows[f"{side}_top1"])
        assert np.allclose(trace.y + trace.error_y.array, rows[f"{side}_high"])
        assert trace.line.dash == dash and trace.line.color == COLOURS["real"]


def test_equal_input_gives_an_equal_page(results):
    assert leakage_page("Two fruits", results) == leakage_page("Two fruits", results)
