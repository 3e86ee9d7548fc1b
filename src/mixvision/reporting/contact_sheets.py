"""Contact sheets: what the images look like, which were left out, which the model gets wrong, and where it looks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont
from plotly.colors import sample_colorscale, unlabel_rgb

from mixvision.evaluation.mistakes import hardest_images
from mixvision.reporting.style import COLOURS
from mixvision.reporting.tiles import Tile, with_tiles
from mixvision.vocabulary import DOMAINS

TILE = 80
GAP = 4
MARGIN = 16
LINE = 18
INK, PAPER = "#222222", "#ffffff"
# Inferno's lightness rises evenly, so brighter means more to colour-blind readers, too.
HEAT = np.rint([unlabel_rgb(colour) for colour in sample_colorscale("Inferno", 256)]).astype("uint8")


def sample_sheet(
    manifest: pd.DataFrame,
    pixels: Mapping[str, np.ndarray],
    generator: np.random.Generator,
    images_per_category: int = 6,
) -> Image.Image:
    """Random kept images of every category: one row per category, nice on the left, real on the right.

    Args:
        manifest: one row per image.
        pixels: per domain, uint8 (N, S, S, 3), indexed by the manifest's ``pixel_row``.
        generator: chooses the images.
        images_per_category: how many at most of each category and domain.

    Returns:
        An RGB picture.
    """
    kept = manifest[manifest["status"] == "kept"]
    categories = sorted(kept["category"].unique())
    font = ImageFont.load_default(14)
    tile = _tile_size(pixels)
    label = math.ceil(max((font.getlength(category) for category in categories), default=0)) + MARGIN
    block = images_per_category * (tile + GAP)
    domains = [domain for domain in DOMAINS if (kept["domain"] == domain).any()]
    lefts = {domain: MARGIN + label + place * (block + MARGIN) for place, domain in enumerate(domains)}
    top = MARGIN + LINE + GAP
    size = (MARGIN + label + len(domains) * (block + MARGIN) - GAP, top + len(categories) * (tile + GAP) - GAP + MARGIN)
    sheet = Image.new("RGB", size, PAPER)
    draw, tiles = ImageDraw.Draw(sheet), []
    for domain, left in lefts.items():
        draw.text((left, MARGIN), domain, COLOURS[domain], font)
    for row, category in enumerate(categories):
        y = top + row * (tile + GAP)
        draw.text((MARGIN, y + tile // 2), category, INK, font, anchor="lm")
        for domain, left in lefts.items():
            rows = kept.loc[(kept["category"] == category) & (kept["domain"] == domain), "pixel_row"].to_numpy()
            chosen = generator.permutation(np.sort(rows))[:images_per_category]
            for column, pixel_row in enumerate(chosen):
                x = left + column * (tile + GAP)
                sheet.paste(_tile(pixels[domain][pixel_row], tile), (x, y))
                tiles.append(Tile((x, y, x + tile, y + tile), domain, group=f"{category}, {domain}"))
    return with_tiles(sheet, tiles)


def mistakes_sheet(mistakes: pd.DataFrame, pixels: Mapping[str, np.ndarray], images_across: int = 6) -> Image.Image:
    """The most confident mistakes, each with its true category, the prediction and its probability.

    Args:
        mistakes: what :func:`mixvision.evaluation.mistakes.confident_mistakes` returns.
        pixels: per domain, uint8 (N, S, S, 3).
        images_across: images per row.

    Returns:
        An RGB picture; the stripe and the last caption line show the domain.
    """
    captions = [
        (f"is {mistake.category}", f"said {mistake.prediction}", f"{mistake.probability:.3f}, {mistake.domain}")
        for mistake in mistakes.itertuples()
    ]
    none = "The model made no mistake on these images."
    return _captioned_sheet(_tiles(mistakes, pixels), mistakes["domain"], captions, images_across, none)


def hardest_sheet(hardest: pd.DataFrame, pixels: Mapping[str, np.ndarray], images_across: int = 6) -> Image.Image:
    """The images that most models get wrong, each with its category and what most of them said instead.

    Args:
        hardest: what :func:`mixvision.evaluation.mistakes.hardest_images` returns.
        pixels, images_across: as for :func:`mistakes_sheet`.
    """
    captions = [
        (f"is {image.category}", f"said {image.prediction}", f"{image.wrong} of {image.models} wrong, {image.domain}")
        for image in hardest.itertuples()
    ]
    none = "No model made a mistake on these images."
    return _captioned_sheet(_tiles(hardest, pixels), hardest["domain"], captions, images_across, none)


def sheets_of_mistakes(
    mistakes: pd.DataFrame, joined: pd.DataFrame, pixels: Mapping[str, np.ndarray], count: int, split: str = "test"
) -> tuple[Image.Image, Image.Image]:
    """The sheet of one model's mistakes, and that of the images that are hardest for all models.

    Args:
        mistakes, pixels: as for :func:`mistakes_sheet`.
        joined: joined predictions of all models.
        count: how many of the hardest images to show.
        split: the images that are looked at.
    """
    hardest = hardest_images(joined, count, split)
    return mistakes_sheet(mistakes, pixels), hardest_sheet(hardest, pixels)


def excluded_sheet(
    manifest: pd.DataFrame, pixels: Mapping[str, np.ndarray], count: int = 24, images_across: int = 6
) -> Image.Image:
    """Images that were excluded although they could be decoded, each with category, dimensions and kind of reason.

    Args:
        manifest: one row per image.
        pixels: per domain, uint8 (N, S, S, 3), indexed by the manifest's ``pixel_row``.
        count: how many are shown at most: outliers first, the categories in turn.
        images_across: images per row.

    Returns:
        An RGB picture; the stripe shows the domain.
    """
    excluded = manifest[(manifest["status"] == "excluded") & (manifest["pixel_row"] >= 0)]
    kind = excluded["reason"].str.split(":").str[0]
    ordered = excluded.assign(kind=kind, other=~kind.str.startswith("outlier")).sort_values(["other", "kind", "id"])
    ordered["turn"] = ordered.groupby(["other", "category"]).cumcount()
    shown = ordered.sort_values(["other", "turn", "category"]).head(count)
    captions = [(image.category, f"{image.width}x{image.height}", image.kind) for image in shown.itertuples()]
    none = "No image that could be decoded was excluded."
    return _captioned_sheet(_tiles(shown, pixels), shown["domain"], captions, images_across, none)


def cluster_sheet(
    manifest: pd.DataFrame, pixels: Mapping[str, np.ndarray], count: int = 24, images_across: int = 8
) -> Image.Image:
    """Near-duplicates side by side: one row per cluster, those across categories first, then the largest.

    Args:
        manifest: one row per image, with ``cluster``.
        pixels: per domain, uint8 (N, S, S, 3), indexed by the manifest's ``pixel_row``.
        count: how many clusters are shown at most.
        images_across: how many images of each.

    Returns:
        An RGB picture; the stripe shows the domain, the caption category, split and file.
    """
    kept = manifest[manifest["status"] == "kept"].sort_values("id")
    clusters = kept.groupby("cluster").agg(images=("id", "size"), categories=("category", "nunique"))
    clusters = clusters[clusters["images"] > 1].sort_values(["categories", "images"], ascending=False, kind="stable")
    rows = [kept[kept["cluster"] == cluster].head(images_across) for cluster in clusters.index[:count]]
    blanks = [kept.head(0).reindex(range(images_across - len(row))) for row in rows]
    shown = pd.concat([part for pair in zip(rows, blanks, strict=True) for part in pair]) if rows else kept.head(0)
    return _captioned_sheet(
        _tiles(shown, pixels),
        shown["domain"],
        [
            ("", "", "") if pd.isna(row.id) else (row.category, row.split, row.path.split("/")[-1])
            for row in shown.itertuples()
        ],
        images_across,
        "No two images are near-duplicates.",
        [f"Cluster {number}" for number in range(1, len(rows) + 1) for _ in range(images_across)],
    )


def activation_sheet(
    rows: pd.DataFrame, pixels: Mapping[str, np.ndarray], heatmaps: np.ndarray, images_across: int = 4
) -> Image.Image:
    """Class activation maps: each image next to a grey copy under its heatmap, correct predictions first.

    Args:
        rows: ``id``, ``domain``, ``category`` (the truth), ``prediction``, ``probability`` and ``pixel_row``.
        pixels: per domain, uint8 (N, S, S, 3), indexed by ``pixel_row``.
        heatmaps: float (rows, H, H) in [0, 1], in the order of the rows; the brighter, the higher.
        images_across: images per row.

    Returns:
        An RGB picture; the stripe and the last caption line show the domain.

    Raises:
        ValueError: the numbers of heatmaps and rows differ.
    """
    if len(heatmaps) != len(rows):
        raise ValueError(f"There are {len(heatmaps)} heatmaps for {len(rows)} images; each image needs its own.")
    hits = (rows["category"].astype("str") == rows["prediction"].astype("str")).to_numpy()
    order = np.argsort(~hits, kind="stable")
    shown = rows.iloc[order]
    pictures = [
        _beside(tile, _under_heatmap(tile, heatmaps[place]))
        for tile, place in zip(_tiles(shown, pixels), order, strict=True)
    ]
    captions = [
        (
            f"is {image.category}",
            f"said {image.prediction}, {'right' if hits[place] else 'wrong'}",
            f"{image.probability:.3f}, {image.domain}",
        )
        for image, place in zip(shown.itertuples(), order, strict=True)
    ]
    return _captioned_sheet(pictures, shown["domain"], captions, images_across, none="No images to show.")


def _captioned_sheet(
    pictures: Sequence[Image.Image],
    domains: Sequence[str],
    captions: Sequence[tuple[str, str, str]],
    images_across: int,
    none: str,
    groups: Sequence[str] = (),
) -> Image.Image:
    """Pictures of one size, each with a stripe in its domain's colour over three lines of caption.

    Without pictures it holds the sentence ``none``. The groups are for pages, where the tiles of each stay together.
    """
    font = ImageFont.load_default(13)
    wide, high = pictures[0].size if pictures else (TILE, TILE)
    width, height = wide + 56, high + 3 * LINE + 14
    down = max(1, math.ceil(len(pictures) / images_across))
    sheet = Image.new("RGB", (2 * MARGIN + images_across * width, 2 * MARGIN + down * height), PAPER)
    draw, tiles = ImageDraw.Draw(sheet), []
    if not pictures:
        draw.text((MARGIN, MARGIN), none, INK, font)
    for place, (picture, domain, lines) in enumerate(zip(pictures, domains, captions, strict=True)):
        x, y = MARGIN + place % images_across * width, MARGIN + place // images_across * height
        sheet.paste(picture, (x, y))
        if any(lines):
            tiles.append(Tile((x, y, x + wide, y + high), domain, lines, groups[place] if groups else ""))
        draw.rectangle((x, y + high + 1, x + wide - 1, y + high + 4), COLOURS.get(domain, PAPER))
        for line, caption in enumerate(lines):
            draw.text((x, y + high + 8 + line * LINE), _shortened(caption, font, width - 6), INK, font)
    return with_tiles(sheet, tiles)


def _tiles(images: pd.DataFrame, pixels: Mapping[str, np.ndarray]) -> list[Image.Image]:
    """The images (columns domain, pixel_row) at the tile's size."""
    size = _tile_size(pixels)
    blank = Image.new("RGB", (size, size), PAPER)
    return [
        blank if pd.isna(image.pixel_row) else _tile(pixels[image.domain][int(image.pixel_row)], size)
        for image in images.itertuples()
    ]


def _under_heatmap(tile: Image.Image, heatmap: np.ndarray) -> Image.Image:
    """The tile in grey, half of it replaced by the colours of a heatmap (H, H) in [0, 1]."""
    heat = Image.fromarray(np.asarray(heatmap, "float32")).resize(tile.size, Image.Resampling.BILINEAR)
    colours = HEAT[np.rint(np.clip(np.asarray(heat), 0, 1) * (len(HEAT) - 1)).astype("int64")]
    return Image.blend(tile.convert("L").convert("RGB"), Image.fromarray(colours), 0.5)


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    pair = Image.new("RGB", (left.width + GAP + right.width, left.height), PAPER)
    pair.paste(left, (0, 0))
    pair.paste(right, (left.width + GAP, 0))
    return pair


def _tile_size(pixels: Mapping[str, np.ndarray]) -> int:
    """Side of a tile: small images grow by a whole factor to at least TILE pixels, large ones shrink."""
    side = max(array.shape[1] for array in pixels.values())
    return side * math.ceil(TILE / side) if side < TILE else TILE


def _tile(image: np.ndarray, size: int) -> Image.Image:
    """One (S, S, 3) image at the tile's size; enlarged without interpolation."""
    picture = Image.fromarray(np.asarray(image))
    enlarge = size >= picture.width
    return picture.resize((size, size), Image.Resampling.NEAREST if enlarge else Image.Resampling.LANCZOS)


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
