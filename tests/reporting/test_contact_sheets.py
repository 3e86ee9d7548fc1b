"""Contact sheets show the right pixels in the right places."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mixvision.reporting.contact_sheets import (
    GAP,
    HEAT,
    MARGIN,
    activation_sheet,
    cluster_sheet,
    excluded_sheet,
    mistakes_sheet,
    sample_sheet,
)
from mixvision.reporting.tiles import tiles_by_group


@pytest.mark.parametrize(("side", "tile", "categories"), [(32, 96, 10), (100, 80, 26)])
def test_sample_sheet_has_a_row_per_category_and_a_block_per_domain(side, tile, categories):
    manifest, pixels = plain_images(side, categories)
    sheet = sample_sheet(manifest, pixels, np.random.default_rng(0), images_per_category=3)
    assert sheet.height >= categories * (tile + GAP)
    assert sheet.height < (categories + 1) * (tile + GAP) + 2 * MARGIN
    for row in (0, categories - 1):
        y = sheet.height - MARGIN - (categories - row) * (tile + GAP) + GAP + tile // 2
        real = sheet.getpixel((sheet.width - MARGIN - tile // 2, y))
        nice = sheet.getpixel((sheet.width - 2 * MARGIN - 3 * (tile + GAP) - tile // 2, y))
        assert (nice, real) == ((row, 10, 10), (row, 200, 200))


@pytest.mark.parametrize("domain", ["nice", "real"])
def test_the_block_of_an_absent_domain_is_left_out(domain):
    manifest, pixels = plain_images(32, 3)
    whole = sample_sheet(manifest, pixels, np.random.default_rng(0), images_per_category=2)
    pixels = {name: array if name == domain else array[:0] for name, array in pixels.items()}
    own = manifest[manifest["domain"] == domain]
    sheet = np.asarray(sample_sheet(own, pixels, np.random.default_rng(0), images_per_category=2))
    assert sheet.shape[:2] == (whole.height, whole.width - 2 * (96 + GAP) - MARGIN)
    assert tuple(sheet[-MARGIN - 48, -MARGIN - 48]) == (2, *pixels[domain][0, 0, 0, 1:])
    assert (sheet[:, -MARGIN:] == 255).all() and (sheet[-MARGIN - 48, -MARGIN - 1] != 255).any()


def plain_images(side: int, categories: int) -> tuple[pd.DataFrame, dict]:
    """Four images of each category, red = category, the other channels tell the domain."""
    rows, pixels = [], {}
    for domain, level in (("nice", 10), ("real", 200)):
        array = np.full((4 * categories, side, side, 3), level, np.uint8)
        array[..., 0] = (np.arange(4 * categories) // 4)[:, None, None]
        pixels[domain] = array
        rows += [(f"{domain}/{n}", domain, f"category {n // 4:02d}", "kept", n) for n in range(4 * categories)]
    return pd.DataFrame(rows, columns=["id", "domain", "category", "status", "pixel_row"]), pixels


def test_equal_seeds_choose_equal_images(study):
    sheets = [sample_sheet(study.manifest, study.pixels, np.random.default_rng(seed), 2) for seed in (0, 0, 1)]
    assert sheets[0].tobytes() == sheets[1].tobytes() != sheets[2].tobytes()


def test_excluded_images_are_not_shown(study):
    manifest = study.manifest.assign(status="excluded")
    kept = manifest["id"].eq("nice/Apple/0000.png")
    manifest.loc[kept, "status"] = "kept"
    sheet = sample_sheet(manifest, study.pixels, np.random.default_rng(0), 1)
    assert sheet.height == MARGIN + 18 + GAP + 96 + MARGIN


def test_sheets_read_memory_mapped_pixels(study, tmp_path):
    mapped = {}
    for domain, array in study.pixels.items():
        np.save(tmp_path / f"{domain}.npy", array)
        mapped[domain] = np.load(tmp_path / f"{domain}.npy", mmap_mode="r")
    sheet = sample_sheet(study.manifest, mapped, np.random.default_rng(0), 2)
    assert sheet.tobytes() == sample_sheet(study.manifest, study.pixels, np.random.default_rng(0), 2).tobytes()


def make_mistakes(count: int) -> pd.DataFrame:
    row = {
        "id": "real/1",
        "domain": "real",
        "category": "Apple",
        "prediction": "A very long name of a fruit indeed",
    }
    return pd.DataFrame(
        [row | {"probability": 0.987, "pixel_row": n} for n in range(count)],
        columns=[*row, "probability", "pixel_row"],
    )


def test_mistakes_sheet_shows_the_pixels_of_each_mistake():
    pixels = {"real": np.stack([np.full((32, 32, 3), n, np.uint8) for n in range(7)])}
    sheet = mistakes_sheet(make_mistakes(7), pixels, images_across=3)
    width = (sheet.width - 2 * MARGIN) // 3
    height = (sheet.height - 2 * MARGIN) // 3
    assert sheet.getpixel((MARGIN + 40, MARGIN + 2 * height + 40)) == (6, 6, 6)
    assert sheet.getpixel((MARGIN + 2 * width + 40, MARGIN + height + 40)) == (5, 5, 5)


def test_long_names_stay_in_their_column():
    pixels = {"real": np.zeros((2, 32, 32, 3), np.uint8)}
    sheet = np.asarray(mistakes_sheet(make_mistakes(1), pixels, images_across=2))
    width = (sheet.shape[1] - 2 * MARGIN) // 2
    assert (sheet[:, MARGIN + width :] == 255).all()
    assert (sheet[MARGIN + 100 :, MARGIN : MARGIN + width] < 128).any()


def test_a_sheet_without_mistakes_has_a_sentence():
    sheet = mistakes_sheet(make_mistakes(0), {"real": np.zeros((1, 32, 32, 3), np.uint8)})
    assert (np.asarray(sheet) < 128).any()


def make_excluded(reasons: list[tuple[str, str]]) -> tuple[pd.DataFrame, dict]:
    """Excluded images with (category, reason), grey as their number; image 0 is kept, the last was never decoded."""
    rows = [("kept", "", "a", 0), *(("excluded", reason, name, n) for n, (name, reason) in enumerate(reasons, 1))]
    manifest = pd.DataFrame(
        [*rows, ("excluded", "truncated", "a", -1)], columns=["status", "reason", "category", "pixel_row"]
    )
    ids = "real/" + pd.Series(range(len(manifest))).astype(str)
    pixels = np.stack([np.full((32, 32, 3), n, np.uint8) for n in range(len(rows))])
    return manifest.assign(id=ids, domain="real", width=40, height=30), {"nice": pixels[:0], "real": pixels}


def shown_images(sheet, images_across: int) -> list[int]:
    """The grey level of each tile, row after row, paper left out."""
    width = (sheet.width - 2 * MARGIN) // images_across
    height = 96 + 3 * 18 + 14
    corners = [(x, y) for y in range(MARGIN, sheet.height - MARGIN, height) for x in range(MARGIN, sheet.width, width)]
    levels = [sheet.getpixel((x + 48, y + 48))[0] for x, y in corners if x + 48 < sheet.width]
    return [level for level in levels if level != 255]


def test_excluded_sheet_shows_outliers_first_and_the_categories_in_turn():
    manifest, pixels = make_excluded(
        [("a", "exact duplicate: of real/0"), ("a", "outlier by dimensions: 7x9"), ("a", "outlier by dimensions: 9x9"),
         ("b", "outlier by dimensions: 8x9"), ("b", "category with too few images")]
    )  # fmt: skip
    assert shown_images(excluded_sheet(manifest, pixels, images_across=3), 3) == [2, 4, 3, 1, 5]
    assert shown_images(excluded_sheet(manifest, pixels, count=2, images_across=3), 3) == [2, 4]


def test_excluded_captions_follow_category_dimensions_and_reason():
    sheets = []
    for change in ({}, {"category": "b"}, {"width": 41}, {"reason": "outlier by aspect ratio: 40x30"}):
        manifest, pixels = make_excluded([("a", "outlier by dimensions: 40x30")])
        changed = manifest["pixel_row"] == 1
        for column, value in change.items():
            manifest.loc[changed, column] = value
        sheets.append(np.asarray(excluded_sheet(manifest, pixels)))
    lines = [[sheet[MARGIN + 96 + 8 + 18 * line :][:18].tobytes() for line in range(3)] for sheet in sheets]
    different = [[ours != theirs for ours, theirs in zip(lines[0], other, strict=True)] for other in lines[1:]]
    assert different == [[True, False, False], [False, True, False], [False, False, True]]


def test_a_sheet_without_excluded_images_has_a_sentence():
    manifest, pixels = make_excluded([])
    assert (np.asarray(excluded_sheet(manifest, pixels)) < 128).any()


def make_looks(hits: list[bool]) -> tuple[pd.DataFrame, dict, np.ndarray]:
    """Images of level 10, 20, ..., and heatmaps that are 1 on the left and 0 on the right."""
    count = len(hits)
    rows = pd.DataFrame({"id": [f"real/{n}" for n in range(count)], "domain": "real", "category": "a"})
    rows = rows.assign(prediction=["a" if hit else "b" for hit in hits], probability=0.9, pixel_row=range(count))
    pixels = np.stack([np.full((32, 32, 3), 10 * n + 10, np.uint8) for n in range(count)])
    heatmaps = np.zeros((count, 8, 8), np.float32)
    heatmaps[:, :, :4] = 1
    return rows, {"real": pixels}, heatmaps


def test_activation_sheet_shows_hits_first_each_beside_its_heatmap():
    sheet = activation_sheet(*make_looks([False, True, False, True]), images_across=2)
    width, height = (sheet.width - 2 * MARGIN) // 2, (sheet.height - 2 * MARGIN) // 2
    levels = [
        sheet.getpixel((MARGIN + place % 2 * width + 48, MARGIN + place // 2 * height + 48)) for place in range(4)
    ]
    assert levels == [(20, 20, 20), (40, 40, 40), (10, 10, 10), (30, 30, 30)]
    first = MARGIN + 96 + GAP
    for x, heat in ((10, HEAT[-1]), (86, HEAT[0])):
        expected = (heat.astype(int) + 20) / 2
        assert np.abs(np.array(sheet.getpixel((first + x, MARGIN + 48))) - expected).max() <= 1


def test_each_heatmap_stays_with_its_image():
    rows, pixels, heatmaps = make_looks([False, True])
    heatmaps[0], heatmaps[1] = 0, 1
    sheet = activation_sheet(rows, pixels, heatmaps, images_across=2)
    lightness = [sum(sheet.getpixel((MARGIN + x + 96 + GAP + 48, MARGIN + 48))) for x in (0, sheet.width // 2 - MARGIN)]
    assert lightness[0] > lightness[1] + 200


def test_heat_rises_evenly_from_dark_to_light():
    linear = np.where(HEAT / 255 <= 0.04045, HEAT / 255 / 12.92, ((HEAT / 255 + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
    assert lightness[0] < 2 and lightness[-1] > 95
    assert (np.diff(lightness[::8]) > 0).all()


def test_a_missing_heatmap_is_refused_and_an_empty_sheet_has_a_sentence():
    rows, pixels, heatmaps = make_looks([True, False])
    with pytest.raises(ValueError, match="1 heatmaps for 2 images"):
        activation_sheet(rows, pixels, heatmaps[:1])
    assert (np.asarray(activation_sheet(rows.head(0), pixels, heatmaps[:0])) < 128).any()


def test_clusters_are_shown_in_rows_those_across_categories_first():
    """Each image has its own shade; the second row has two images, so that the third place stays empty."""
    shades = np.arange(0, 240, 20)
    pixels = {"nice": np.broadcast_to(shades[:, None, None, None], (12, 80, 80, 3)).astype(np.uint8)}
    manifest = pd.DataFrame({"domain": "nice", "status": "kept", "split": "train", "pixel_row": range(12)})
    manifest["id"] = manifest["path"] = [f"{row:02d}.png" for row in range(12)]
    manifest["cluster"] = [0, 1, 1, 2, 2, 2, 2, 3, 4, 5, 6, 7]
    manifest["category"] = ["a", "a", "b", *"a" * 9]
    sheet = cluster_sheet(manifest, pixels, images_across=3)
    height = 80 + 3 * 18 + 14
    found = [
        sheet.getpixel((16 + column * 136 + 40, 16 + row * height + 40))[0] for row in (0, 1) for column in (0, 1, 2)
    ]
    assert found == [20, 40, 255, 60, 80, 100]
    assert sheet.height == 2 * 16 + 2 * height
    groups = {group: len(tiles) for group, tiles in tiles_by_group(sheet).items()}
    assert groups == {"Cluster 1": 2, "Cluster 2": 3}, "on a page, the images of a cluster stay together"
    none = np.asarray(cluster_sheet(manifest.assign(cluster=range(12)), pixels))
    assert (none < 128).any(), "a sentence says that there are none"
