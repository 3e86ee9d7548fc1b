"""TIFF files: which page is the picture, and samples that are not whole numbers of 8 bits, read by tifffile."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mixvision.images.formats.depth import to_8_bits
from mixvision.images.formats.recognise import Undecodable

MAX_THUMBNAILS = 20
REDUCED, MASK = 1, 4  # bits of NewSubfileType
WHITE_IS_LOWEST, BLACK_IS_LOWEST, RGB = 0, 1, 2  # PhotometricInterpretation
RAW_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")  # of Pillow: the samples as they are
NEW_SUBFILE_TYPE, BITS, PHOTOMETRIC, SAMPLES, PLANES, EXTRA, FORMAT = 254, 258, 262, 277, 284, 338, 339
LOWEST, HIGHEST = 340, 341  # SMinSampleValue, SMaxSampleValue


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
        if self.first(PHOTOMETRIC, BLACK_IS_LOWEST) not in (WHITE_IS_LOWEST, BLACK_IS_LOWEST, RGB):
            return False
        return self.first(BITS, 1) > 8 or self.first(FORMAT, 1) != 1

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
            if found.first(NEW_SUBFILE_TYPE, 0) & (REDUCED | MASK) and best is not None:
                continue
            if best is None or _is_smaller_copy(best, found):
                best = found
            elif not _is_smaller_copy(found, best):
                raise Undecodable("animated or several pages: 2 or more")
    if best is None:
        raise Undecodable("damaged image: no pages")
    return best


def read_samples(content: bytes, page: Page, image: Image.Image | None) -> tuple[Image.Image, str]:
    """The picture as 8-bit grey or RGB, with alpha where it has some, and what had to be assumed about its depth.

    Args:
        content: the file.
        page: from :func:`find_page`.
        image: as Pillow opens it, or None if it does not; used where a compression is unknown to tifffile.
    """
    samples = _raw_samples(content, page, image)
    if samples is None:
        assert image is not None
        return image, ""
    if page.first(PLANES, 1) == 2 and samples.ndim == 3:
        samples = np.moveaxis(samples, 0, -1)
    colours = 3 if page.first(PHOTOMETRIC, BLACK_IS_LOWEST) == RGB else 1
    if samples.ndim == 2:
        samples = samples[..., None]
    extra = samples.shape[-1] - colours if samples.ndim == 3 else -1
    if extra < 0 or samples.dtype.kind not in "buif":
        raise Undecodable(f"unusual samples: {page.mode}")
    if extra > 1:
        raise Undecodable(f"unusual samples: {page.mode}, but only colours and opacity can be used")
    scaled, assumed = to_8_bits(samples[..., :colours], page.first(BITS, 1), _stated(page), _is_inverted(page))
    scaled = scaled[..., 0] if colours == 1 else scaled
    if not extra or page.first(EXTRA, 0) not in (1, 2):
        return Image.fromarray(scaled), assumed
    alpha, _ = to_8_bits(samples[..., -1], page.first(BITS, 1), None)
    picture = Image.fromarray(scaled).convert("LA" if colours == 1 else "RGBA")
    picture.putalpha(Image.fromarray(alpha))
    return picture, assumed


def _raw_samples(content: bytes, page: Page, image: Image.Image | None) -> np.ndarray | None:
    """The samples as the file holds them; None if only Pillow's 8 bits can be had."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            return file.pages[page.number].asarray()
    except Exception as error:  # of several kinds
        if "imagecodecs" not in str(error):
            raise
        if image is None:
            raise Undecodable(f"needs a package: pip install imagecodecs, as {error}") from None
    if image.mode not in RAW_MODES:
        return None
    samples = np.asarray(image)
    return samples.view(np.uint32) if image.mode == "I" and page.first(FORMAT, 1) == 1 else samples


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


def _is_inverted(page: Page) -> bool:
    return page.first(PHOTOMETRIC, BLACK_IS_LOWEST) == WHITE_IS_LOWEST
