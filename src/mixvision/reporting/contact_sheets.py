"""Contact sheets: what the images look like, and which ones the model gets wrong with most confidence."""

from __future__ import annotations

import math
from collections.abc import Mapping

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
    """Random kept images of every category: one row a category, nice on the left, real on the right.

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
    lefts = {"nice": MARGIN + label, "real": MARGIN + label + block + MARGIN}
    top = MARGIN + LINE + GAP
    size = (lefts["real"] + block - GAP + MARGIN, top + len(categories) * (tile + GAP) - GAP + MARGIN)
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
    font = ImageFont.load_default(13)
    tile = _tile_size(pixels)
    width, height = tile + 56, tile + 3 * LINE + 14
    down = max(1, math.ceil(len(mistakes) / images_across))
    sheet = Image.new("RGB", (2 * MARGIN + images_across * width, 2 * MARGIN + down * height), PAPER)
    draw = ImageDraw.Draw(sheet)
    if mistakes.empty:
        draw.text((MARGIN, MARGIN), "The model made no mistake on these images.", INK, font)
    for place, mistake in enumerate(mistakes.itertuples()):
        x, y = MARGIN + place % images_across * width, MARGIN + place // images_across * height
        sheet.paste(_tile(pixels[mistake.domain][mistake.pixel_row], tile), (x, y))
        draw.rectangle((x, y + tile + 1, x + tile - 1, y + tile + 4), COLOURS[mistake.domain])
        captions = [
            f"is {mistake.category}",
            f"said {mistake.prediction}",
            f"{mistake.probability:.3f}, {mistake.domain}",
        ]
        for line, caption in enumerate(captions):
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
