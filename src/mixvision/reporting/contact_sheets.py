"""Contact sheets: what the images look like, which were left out, and which the model gets wrong most firmly."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from mixvision.reporting.style import COLOURS

TILE = 80
GAP = 4
MARGIN = 16
LINE = 18
INK, PAPER = "#222222", "#ffffff"


def sample_sheet(
    manifest: pd.DataFrame,
    pixels: Mapping[str, np.ndarray],
    generator: np.random.Generator,
    images_per_category: int = 6,
) -> Image.Image:
    """Random kept images of every category: one row a category, nice on the left, real on the right, if there are both.

    Args:
        manifest: one row per image.
        pixels: per domain, uint8 (N, S, S, 3), indexed by the manifest's ``pixel_row``.
        generator: source of the choice.
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
    domains = [domain for domain in ("nice", "real") if (kept["domain"] == domain).any()]
    lefts = {domain: MARGIN + label + place * (block + MARGIN) for place, domain in enumerate(domains)}
    top = MARGIN + LINE + GAP
    size = (MARGIN + label + len(domains) * (block + MARGIN) - GAP, top + len(categories) * (tile + GAP) - GAP + MARGIN)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    for domain, left in lefts.items():
        draw.text((left, MARGIN), domain, COLOURS[domain], font)
    for row, category in enumerate(categories):
        y = top + row * (tile + GAP)
        draw.text((MARGIN, y + tile // 2), category, INK, font, anchor="lm")
        for domain, left in lefts.items():
            rows = kept.loc[(kept["category"] == category) & (kept["domain"] == domain), "pixel_row"].to_numpy()
            chosen = generator.permutation(np.sort(rows))[:images_per_category]
            for column, pixel_row in enumerate(chosen):
                sheet.paste(_tile(pixels[domain][pixel_row], tile), (left + column * (tile + GAP), y))
    return sheet


def mistakes_sheet(mistakes: pd.DataFrame, pixels: Mapping[str, np.ndarray], images_across: int = 6) -> Image.Image:
    """The most confident mistakes, each with its truth, the prediction and its probability.

    Args:
        mistakes: what :func:`mixvision.evaluation.mistakes.confident_mistakes` returns.
        pixels: per domain, uint8 (N, S, S, 3).
        images_across: images per row.

    Returns:
        An RGB picture; the stripe and the last caption line tell the domain.
    """
    captions = [
        (f"is {mistake.category}", f"said {mistake.prediction}", f"{mistake.probability:.3f}, {mistake.domain}")
        for mistake in mistakes.itertuples()
    ]
    return _captioned_sheet(
        mistakes, captions, pixels, images_across, none="The model made no mistake on these images."
    )


def excluded_sheet(
    manifest: pd.DataFrame, pixels: Mapping[str, np.ndarray], count: int = 24, images_across: int = 6
) -> Image.Image:
    """Images that were excluded although they could be decoded, each with its category, dimensions and kind of reason.

    Args:
        manifest: one row per image.
        pixels: per domain, uint8 (N, S, S, 3), indexed by the manifest's ``pixel_row``.
        count: how many are shown at most: outliers first, the categories in turn.
        images_across: images per row.

    Returns:
        An RGB picture; the stripe tells the domain.
    """
    excluded = manifest[(manifest["status"] == "excluded") & (manifest["pixel_row"] >= 0)]
    kind = excluded["reason"].str.split(":").str[0]
    ordered = excluded.assign(kind=kind, other=~kind.str.startswith("outlier")).sort_values(["other", "kind", "id"])
    ordered["turn"] = ordered.groupby(["other", "category"]).cumcount()
    shown = ordered.sort_values(["other", "turn", "category"]).head(count)
    captions = [(image.category, f"{image.width}x{image.height}", image.kind) for image in shown.itertuples()]
    return _captioned_sheet(shown, captions, pixels, images_across, none="No image that could be decoded was excluded.")


def _captioned_sheet(
    images: pd.DataFrame,
    captions: Sequence[tuple[str, str, str]],
    pixels: Mapping[str, np.ndarray],
    images_across: int,
    none: str,
) -> Image.Image:
    """The images (columns domain, pixel_row), each with a stripe in its domain's colour over three lines of caption.

    Where there is no image, the sentence `none`.
    """
    font = ImageFont.load_default(13)
    tile = _tile_size(pixels)
    width, height = tile + 56, tile + 3 * LINE + 14
    down = max(1, math.ceil(len(images) / images_across))
    sheet = Image.new("RGB", (2 * MARGIN + images_across * width, 2 * MARGIN + down * height), PAPER)
    draw = ImageDraw.Draw(sheet)
    if images.empty:
        draw.text((MARGIN, MARGIN), none, INK, font)
    for place, (image, lines) in enumerate(zip(images.itertuples(), captions, strict=True)):
        x, y = MARGIN + place % images_across * width, MARGIN + place // images_across * height
        sheet.paste(_tile(pixels[image.domain][image.pixel_row], tile), (x, y))
        draw.rectangle((x, y + tile + 1, x + tile - 1, y + tile + 4), COLOURS[image.domain])
        for line, caption in enumerate(lines):
            draw.text((x, y + tile + 8 + line * LINE), _shortened(caption, font, width - 6), INK, font)
    return sheet


def _tile_size(pixels: Mapping[str, np.ndarray]) -> int:
    """Side of a tile: small images grow by a whole factor to at least TILE pixels, large ones shrink."""
    side = max(array.shape[1] for array in pixels.values())
    return side * math.ceil(TILE / side) if side < TILE else TILE


def _tile(image: np.ndarray, size: int) -> Image.Image:
    """One (S, S, 3) image at the tile's size; enlarged by whole pixels so that nothing is invented."""
    picture = Image.fromarray(np.asarray(image))
    enlarge = size >= picture.width
    return picture.resize((size, size), Image.Resampling.NEAREST if enlarge else Image.Resampling.LANCZOS)


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
