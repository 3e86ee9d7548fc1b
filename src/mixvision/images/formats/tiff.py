"""TIFF files: which page is the picture, and samples that are not whole numbers of 8 bits, read by tifffile."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from mixvision.images.formats.depth import on_white, to_8_bits
from mixvision.images.formats.recognise import Undecodable

MAX_THUMBNAILS = 20
MAX_PARTS = 350_000  # tiles of 16x16 pixels, the smallest of the standard, in a picture of 80 million pixels are fewer
LONGEST = 3 * 2**16  # values of a palette of 16 bits
STRIPS, TILES = 273, 324  # StripOffsets, TileOffsets
REDUCED, MASK = 1, 4  # bits of NewSubfileType
WHITE_IS_LOWEST, BLACK_IS_LOWEST, RGB = 0, 1, 2  # PhotometricInterpretation
CAMERA_RAW = (32803, 34892)  # colour filter array, linear raw
NEW_SUBFILE_TYPE, BITS, PHOTOMETRIC, SAMPLES, PLANES, EXTRA, FORMAT = 254, 258, 262, 277, 284, 338, 339
LOWEST, HIGHEST = 340, 341  # SMinSampleValue, SMaxSampleValue
COMPRESSION, TILE_WIDTH, TILE_HEIGHT, DEPTH = 259, 322, 323, 32997
PALETTE, SUBSAMPLING = 320, 530
YCBCR = 6
WHOLE_BYTES = (8, 16, 32, 64)
MOST_PACKED = 16  # bits: more that are no whole bytes are read wrongly by tifffile
NOTHING = 42113  # GDAL's value for pixels without a measurement
ASSOCIATED, UNASSOCIATED = 1, 2  # ExtraSamples: opacity by which the colours were multiplied, or not
# What a part of a page unpacks to is bounded by the page's size with these: none, LZW, Deflate, PackBits, LZMA,
# Zstandard. Others hold a picture with a size of its own, which may be a thousand times larger.
BOUNDED = (1, 5, 8, 32946, 32773, 34925, 34926, 50000)
BY_PILLOW = (2, 3, 4, 6, 7)  # fax and JPEG, of which libtiff checks the size
COMPRESSIONS = {2: "fax", 3: "fax", 4: "fax", 6: "JPEG", 7: "JPEG", 33003: "JPEG 2000", 33005: "JPEG 2000"} | {
    34712: "JPEG 2000", 34887: "LERC", 34892: "JPEG", 34927: "WebP", 34933: "PNG", 50001: "WebP", 50002: "JPEG XL"
}  # fmt: skip
PHOTOMETRICS = {3: "palette", 5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "Lab", 10: "Lab"}


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
        # Without the tag Pillow takes the lowest value for white, unlike other readers.
        unsaid = PHOTOMETRIC not in self.tags and self.first(SAMPLES, 1) == 1 and self.first(COMPRESSION, 1) in BOUNDED
        return self.can_be_scaled and (deep or unsaid or self.first(EXTRA, 0) == ASSOCIATED)

    @property
    def can_be_scaled(self) -> bool:
        """Whether samples are grey or RGB."""
        return self.first(PHOTOMETRIC, BLACK_IS_LOWEST) in (WHITE_IS_LOWEST, BLACK_IS_LOWEST, RGB)

    @property
    def is_subsampled(self) -> bool:
        """Whether colours are stored for blocks of pixels without compression, which no decoder here reads."""
        kind = (self.first(PHOTOMETRIC, BLACK_IS_LOWEST), self.first(COMPRESSION, 1), self.first(BITS, 1))
        return kind == (YCBCR, 1, 8) and self.tags.get(SUBSAMPLING, (2, 2)) != (1, 1)

    @property
    def pixels(self) -> int:
        """Pixels of the picture or of one tile, whichever has more: both are held in memory."""
        return max(self.width * self.height, self.first(TILE_WIDTH, 0) * self.first(TILE_HEIGHT, 0))

    @property
    def pixel_bytes(self) -> int:
        """Bytes of a decoded pixel."""
        return self.first(SAMPLES, 1) * max((self.first(BITS, 1) + 7) // 8, 1)

    @property
    def unsupported(self) -> str:
        """What keeps an intact page from being read as samples, or "" if nothing does."""
        colours, packed = self.first(PHOTOMETRIC, BLACK_IS_LOWEST), self.first(COMPRESSION, 1)
        if self.is_subsampled:
            return "unsupported image: TIFF with YCbCr of fewer colours than pixels, convert it to RGB"
        if not self.can_be_scaled:
            name = PHOTOMETRICS.get(colours, f"colours of kind {colours}")
            return f"unsupported image: TIFF with {name} of {self.first(BITS, 1)} bits, convert it to RGB"
        if self.first(SAMPLES, 1) not in (self.colours, self.colours + 1):
            return f"unusual samples: {self.mode}, but only colours and opacity can be used"
        if self.first(BITS, 1) > MOST_PACKED and self.first(BITS, 1) not in WHOLE_BYTES and self.first(FORMAT, 1) != 3:
            return f"unusual samples: {self.mode}, convert it to 16 bits"
        if self.first(DEPTH, 1) > 1:
            return "unusual samples: a volume"
        if packed not in BOUNDED:
            name = COMPRESSIONS.get(packed, f"compression {packed}")
            return f"unsupported image: TIFF with {name} inside, save it with LZW or Deflate"
        return ""

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
            found = Page(number, page.imagewidth, page.imagelength, _tags(page))
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


def refuse_unsupported(page: Page, error: Exception) -> None:
    """Raise an error of Pillow's, or what is unusual about the page, unless tifffile may read it.

    Raises:
        Undecodable: a page of a kind that is not read.
        Exception: the error, if the page seems to be damaged.
    """
    if not page.unsupported:
        return
    if isinstance(error, UnidentifiedImageError) or page.first(COMPRESSION, 1) not in (*BOUNDED, *BY_PILLOW):
        raise Undecodable(page.unsupported) from error
    raise error


def mend_palette(image: Image.Image, page: Page) -> None:
    """Give a picture the colours of a palette with 8 instead of 16 bits, which old programs wrote."""
    if image.mode == "P" and PALETTE in page.tags:
        colours = np.reshape(page.tags[PALETTE], (3, -1))
        if colours.max() < 256:
            image.putpalette(colours.T.astype(np.uint8).tobytes())


def read_samples(content: bytes, page: Page) -> tuple[Image.Image, str]:
    """The picture as 8-bit grey or RGB, blended onto white, and what had to be assumed about its depth.

    Args:
        content: the file.
        page: from :func:`find_page`; it must not be unsupported.

    Raises:
        Undecodable: it has samples of another type.
        Exception: the file is damaged (tifffile raises many kinds).
    """
    import tifffile

    samples, bits = page.first(SAMPLES, 1), page.first(BITS, 1)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        values = file.pages[page.number].asarray(maxworkers=1)
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


def _tags(page: Any) -> dict[int, tuple]:
    """A page's tags, without long ones, such as the places of its strips or tiles.

    Raises:
        Undecodable: it has very many strips or tiles, each of which takes a decoder time and memory.
    """
    counts = {tag.code: tag.count for tag in page.tags}
    parts = max(counts.get(STRIPS, 0), counts.get(TILES, 0))
    if parts > MAX_PARTS:
        raise Undecodable(f"too many parts: {parts} strips or tiles in a TIFF, over {MAX_PARTS}")
    return {tag.code: _values(tag) for tag in page.tags if tag.count <= LONGEST}


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
