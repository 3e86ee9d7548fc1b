"""TIFF files: which page is the picture, and samples that are not whole numbers of 8 bits, read by tifffile."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mixvision.images.formats.depth import on_white, to_8_bits
from mixvision.images.formats.recognise import Undecodable

MAX_THUMBNAILS = 20
REDUCED, MASK = 1, 4  # bits of NewSubfileType
WHITE_IS_LOWEST, BLACK_IS_LOWEST, RGB = 0, 1, 2  # PhotometricInterpretation
CAMERA_RAW = (32803, 34892)  # colour filter array, linear raw
NEW_SUBFILE_TYPE, BITS, PHOTOMETRIC, SAMPLES, PLANES, EXTRA, FORMAT = 254, 258, 262, 277, 284, 338, 339
LOWEST, HIGHEST = 340, 341  # SMinSampleValue, SMaxSampleValue
NOTHING = 42113  # GDAL's value for pixels without a measurement
ASSOCIATED, UNASSOCIATED = 1, 2  # ExtraSamples: opacity by which the colours were multiplied, or not
MAX_SAMPLE_BYTES = 8  # of a pixel in memory, for as many pixels as a study allows


@dataclass(frozen=True)
class Page:
    """The picture of a TIFF file: its number among the pages, width and height in pixels, and its own tags."""

    number: int
    width: int
    height: int
    tags: dict[int, tuple]

    def first(self, tag: int, default: int) -> int:
        """The tag's first value."""
        return self.tags.get(tag, (default,))[0]

    @property
    def needs_scaling(self) -> bool:
        """Whether samples have other depths or formats than Pillow's 8 bits."""
        deep = self.first(BITS, 1) > 8 or self.first(FORMAT, 1) != 1
        return self.can_be_scaled and (deep or self.first(EXTRA, 0) == ASSOCIATED)

    @property
    def can_be_scaled(self) -> bool:
        """Whether samples are grey or RGB."""
        return self.first(PHOTOMETRIC, BLACK_IS_LOWEST) in (WHITE_IS_LOWEST, BLACK_IS_LOWEST, RGB)

    @property
    def colours(self) -> int:
        """Samples of a pixel without opacity: 3 or 1."""
        return 3 if self.first(PHOTOMETRIC, BLACK_IS_LOWEST) == RGB else 1

    @property
    def mode(self) -> str:
        """Samples of a pixel, and their type and bits, as in "3 x float32"."""
        kind = {1: "uint", 2: "int", 3: "float"}.get(self.first(FORMAT, 1), "other")
        return f"{self.first(SAMPLES, 1)} x {kind}{self.first(BITS, 1)}"


def find_page(content: bytes) -> Page:
    """The page with the picture. Thumbnails, smaller copies and masks after or before it do not count.

    Raises:
        Undecodable: there are several pictures.
        Exception: the file is damaged (tifffile raises many kinds).
    """
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # the reason is recorded with the file
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        best: Page | None = None
        for number in range(MAX_THUMBNAILS):
            try:
                page: Any = file.pages[number]
            except IndexError:
                break
            found = Page(number, page.imagewidth, page.imagelength, {tag.code: _values(tag) for tag in page.tags})
            kind = found.first(NEW_SUBFILE_TYPE, 0)
            if kind & REDUCED and page.subifds and _holds_raw(page):
                raise Undecodable("not an image: camera raw file, export it")
            if kind & MASK or (kind & REDUCED and best is not None):
                continue
            if best is None or _is_smaller_copy(best, found):
                best = found
            elif not _is_smaller_copy(found, best):
                raise Undecodable("animated or several pages: 2 or more")
    if best is None:
        raise Undecodable("damaged image: no pages")
    return best


def read_samples(content: bytes, page: Page, max_pixels: int) -> tuple[Image.Image, str]:
    """The picture as 8-bit grey or RGB, blended onto white, and what had to be assumed about its depth.

    Args:
        content: the file.
        page: from :func:`find_page`.
        max_pixels: most pixels that the study allows, which bounds the memory.

    Raises:
        Undecodable: it has other samples than colours and opacity, or they take too much memory.
        Exception: the file is damaged (tifffile raises many kinds).
    """
    import tifffile

    samples, bits = page.first(SAMPLES, 1), page.first(BITS, 1)
    if not page.can_be_scaled or samples not in (page.colours, page.colours + 1):
        raise Undecodable(f"unusual samples: {page.mode}, but only colours and opacity can be used")
    needed = page.width * page.height * samples * max(bits, 8) // 8
    if needed > MAX_SAMPLE_BYTES * max_pixels:
        raise Undecodable(f"too many bytes: samples {page.mode} of {page.width}x{page.height} pixels take {needed}")
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        values = file.pages[page.number].asarray()
    if page.first(PLANES, 1) == 2 and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    values = values.reshape(page.height, page.width, samples)
    if values.dtype.kind not in "buif":
        raise Undecodable(f"unusual samples: {page.mode}")
    inverted = page.first(PHOTOMETRIC, BLACK_IS_LOWEST) == WHITE_IS_LOWEST
    scaled, assumed = to_8_bits(values[..., : page.colours], bits, _stated(page), inverted, _nothing(page))
    if samples > page.colours and page.first(EXTRA, 0) in (ASSOCIATED, UNASSOCIATED):
        alpha, _ = to_8_bits(values[..., -1:], bits)  # by its own depth, which need not be that of the colours
        del values
        scaled = on_white(scaled, alpha, page.first(EXTRA, 0) == ASSOCIATED)
    return Image.fromarray(scaled[..., 0] if page.colours == 1 else scaled), assumed


def _holds_raw(page: Any) -> bool:
    """Whether a page's own pages are a camera's raw picture."""
    return any(getattr(inner, "photometric", None) in CAMERA_RAW for inner in page.pages)


def _nothing(page: Page) -> float | None:
    try:
        return float(str(page.tags[NOTHING][0]).strip("\0 "))
    except (KeyError, ValueError):
        return None


def _values(tag: object) -> tuple:
    value = getattr(tag, "value", ())
    return tuple(
        int(part) if isinstance(part, int) else part for part in (value if isinstance(value, tuple) else (value,))
    )


def _is_smaller_copy(small: Page, large: Page) -> bool:
    """Whether a page has the other one's shape, with half its sides or less, or says that it is reduced."""
    if small.first(NEW_SUBFILE_TYPE, 0) & (REDUCED | MASK):
        return True
    ratio = small.width * large.height / max(small.height * large.width, 1)
    return 2 * small.width <= large.width and 0.97 < ratio < 1.03


def _stated(page: Page) -> tuple[float, float] | None:
    if HIGHEST not in page.tags:
        return None
    return float(page.tags.get(LOWEST, (0,))[0]), float(page.tags[HIGHEST][0])
