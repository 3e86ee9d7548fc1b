"""The page to look at before training: what it counts, what it warns of, and its pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from page_reader import Reader
from page_terms import require_explained_terms
from PIL import Image

from mixvision.images.audit import audit_splits
from mixvision.studies.ingestion.page import (
    IngestionResults,
    Sheets,
    answer,
    draw_sheets,
    ingestion_page,
    points,
)

LEAKS = pd.DataFrame(columns=["id", "kind"])
PICTURE = Image.new("RGB", (40, 30), "white")


def manifest_of(*rows: dict) -> pd.DataFrame:
    """Twelve test and twelve training images of two categories in either domain, and these rows."""
    usual = [
        {"domain": domain, "category": category, "split": split}
        for domain in ("nice", "real")
        for category in ("apple", "pear")
        for split in ("train", "test")
        for _ in range(12)
    ]
    base = {"domain": "nice", "category": "apple", "split": "", "status": "kept", "reason": "", "assumed": ""}
    table = pd.DataFrame([base | {"width": 30, "height": 20, "bytes": 9} | row for row in (*usual, *rows)])
    numbers = np.arange(len(table))
    paths = [f"{category}/{number:03d}.png" for category, number in zip(table["category"], numbers, strict=True)]
    table = table.assign(path=paths, id=table["domain"] + "/" + paths, pixel_row=numbers, leaks=False)
    for unit in ("cluster", "component"):
        table[unit] = table[unit].fillna(pd.Series(numbers + 1000)).astype(int) if unit in table else numbers
    return table


def results_of(manifest: pd.DataFrame, leaks: pd.DataFrame = LEAKS) -> IngestionResults:
    return IngestionResults(
        manifest=manifest,
        excluded_counts=pd.DataFrame({"domain": ["nice"], "kind": ["not an image"], "files": [2]}),
        split_audit=audit_splits(manifest),
        split_summary=pd.DataFrame({"finding": ["near-duplicate pairs"], "count": [0], "detail": [""]}),
        split_leaks=leaks,
    )


def test_nothing_unusual():
    results = results_of(manifest_of())
    assert points(results) == []
    assert answer(results) == "96 of 96 files can be used, in 2 categories. Nothing unusual was found."


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [{"category": "fig", "split": "test"}] * 9 + [{"category": "fig", "split": "train"}] * 9,
            ["Fewer than 10 test images, so that accuracies are very uncertain: fig (nice)."],
        ),
        ([{"category": "fig", "split": "test"}] * 10 + [{"category": "fig", "split": "train"}], []),
        ([{"status": "excluded", "reason": "not an image"}] * 6, []),
        (
            [{"status": "excluded", "reason": "not an image"}] * 7,
            ["More than 20% of the files were left out: apple (nice)."],
        ),
        (
            [{"assumed": "12 of 16 bits used", "split": "train"}] * 3,
            ["Files that leave the range of their values open: 3. See whether they look right."],
        ),
    ],
)
def test_what_is_unusual_is_said(rows, expected):
    results = results_of(manifest_of(*rows))
    assert points(results) == expected
    assert answer(results).endswith("One point needs a look." if expected else "Nothing unusual was found.")


def test_leaks_single_objects_and_untested_categories():
    turned = [{"category": "fig", "split": "train", "cluster": 7, "component": 7}] * 5
    results = results_of(manifest_of(*turned), pd.DataFrame({"id": ["a", "a", "b"], "kind": ["exact"] * 3}))
    single, untested = points(results)[1], points(results)[0]
    assert untested.startswith("Trained on, but not tested: fig (nice).")
    assert single == (
        "All images are near-duplicates or of one group, as if a single object had been photographed: fig (nice)."
    )
    assert points(results)[2].startswith("2 held-out images leak: ")
    assert answer(results).endswith("3 points need a look.")


def test_the_page_parses_and_has_tables_and_pictures_of_everything():
    rows = [
        {"status": "excluded", "reason": "outlier: 5x5"},
        {"split": "test", "cluster": 3, "component": 3, "assumed": "12 of 16 bits used"},
        {"split": "test", "cluster": 3, "component": 3},
    ]
    manifest = manifest_of(*rows)
    html = ingestion_page("Fruits", results_of(manifest), Sheets(PICTURE, PICTURE, PICTURE))
    page = Reader(html)
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert page.title == "Fruits: ingestion" and len(page.images) == 3
    assert page.key_numbers == ["50", "48", "1", "2", "0"]
    assert ["nice/apple/096.png", "outlier: 5x5", "9"] in [row for table in page.tables for row in table]
    assert ["12 of 16 bits used", "1", "nice/apple/097.png"] in [row for table in page.tables for row in table]
    assert page.section("Near-duplicates").startswith("1 cluster. ")
    require_explained_terms(html)


def test_components_are_counted_only_where_groups_make_them_differ_from_clusters():
    def columns(*rows: dict) -> list[str]:
        html = ingestion_page("Fruits", results_of(manifest_of(*rows)), Sheets(PICTURE, PICTURE, PICTURE))
        return list(Reader(html).table("category", "leaks"))

    few = ["domain", "category", "images", "clusters", "largest cluster", "train", "validation", "test", "leaks"]
    assert columns() == few
    grouped = [{"split": "test", "component": 7}] * 2
    assert columns(*grouped) == [*few[:5], "components", "largest component", *few[5:]]


def test_divided_clusters_are_counted():
    def text(*rows: dict) -> str:
        return Reader(ingestion_page("Fruits", results_of(manifest_of(*rows)), Sheets(*[PICTURE] * 3))).text

    whole, divided = (
        [{"split": split, "cluster": 7} for split in splits] for splits in (["test"] * 2, ["test", "train"])
    )
    assert "1 cluster. Divided between splits: 0." in text(*whole)
    assert "1 cluster. Divided between splits: 1." in text(*divided)


def test_a_study_of_one_domain_does_not_count_the_other():
    manifest = manifest_of()
    html = ingestion_page("Fruits", results_of(manifest[manifest["domain"] == "real"]), Sheets(*[PICTURE] * 3))
    assert Reader(html).key_numbers[0] == "48" and "nice images" not in html.partition("</dl>")[0]


def test_without_copies_and_exclusions_there_are_no_empty_pictures():
    html = ingestion_page("Fruits", results_of(manifest_of()), Sheets(PICTURE, PICTURE, PICTURE))
    assert [image["alt"][:4] for image in Reader(html).images] == ["Rand"]


def test_sheets_show_at_most_sixty_categories():
    rows = [{"category": f"c{number:02d}", "split": "train"} for number in range(70)]
    manifest = manifest_of(*rows)
    pixels = {domain: np.zeros((len(manifest), 16, 16, 3), np.uint8) for domain in ("nice", "real")}
    many = draw_sheets(manifest, pixels, np.random.default_rng(0)).samples
    few = draw_sheets(manifest[manifest["category"] < "c01"], pixels, np.random.default_rng(0)).samples
    assert many.height - few.height == 58 * (80 + 4)
