"""Decode an image file to a record for the inventory and a square of RGB pixels."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageMode

from mixvision.images.content import READ_AT_ONCE, SMALL_READ, Clock, TimedContent, read_content, size_of
from mixvision.images.exif import ORIENTATION, SIDES_SWAPPED, exif_of, upright
from mixvision.images.formats import jpeg, jpeg2000, png, tiff
from mixvision.images.formats.colours import DEEP_MODES, grey_of_deep, rgb_of_deep, to_rgb
from mixvision.images.formats.faults import all_or_nothing, reason_of
from mixvision.images.formats.recognise import HEAD, Undecodable, recognise
from mixvision.images.hashing import perceptual_hash, pixels_hash, thumbnail_of
from mixvision.parameter_types import require_types

LARGEST_MAX_PIXELS = 178_956_970  # above this Pillow itself refuses to open a file
STATES_DEPTH = ("PPM",)  # formats whose deep samples Pillow scales to 16 bits
FIRST_IS_PHOTO = ("MPO", "HEIF")  # phones write a second view or a gain map after the photo
BITMAPS = ("BMP", "DIB")
HELD_WHOLE = ("WEBP", "AVIF", "HEIF", "JPEG2000")  # formats whose decoders hold several copies of the picture
QUICK_PIXELS = 2_000_000  # more are timed
SMALLEST_SIZE, LARGEST_SIZE = 8, 1024  # pixels of a stored square's side
LOOKS, LARGEST_BLOCK = 64, 65_536  # at the clock while a large picture is read, and bytes between two looks at most


@dataclass(frozen=True)
class Decoding:
    """How files become pixels, and the limits above which a file is excluded instead of decoded.

    Args:
        size: side length of the stored squares in pixels, 8 to 1024.
        max_pixels: most pixels, according to the file's header.
        max_side: most pixels of the longer side.
        max_bytes: largest file.
        max_decoded_bytes: most bytes of the decoded picture: pixels x channels x bytes of a sample, which are two at
            least in WebP, AVIF, HEIC and JPEG 2000. Decoding takes up to three times as much memory.
        max_seconds: longest time of decoding one file, in seconds of one processor core. Some decoders cannot be
            stopped; what they took too long for is not used.
        accept_truncated: whether a file that was cut off is used all the same; its missing part is grey or black.
    """

    size: int = 100
    max_pixels: int = 80_000_000
    max_side: int = 65_535
    max_bytes: int = 500_000_000
    max_decoded_bytes: int = 320_000_000
    max_seconds: float = 30.0
    accept_truncated: bool = False

    def __post_init__(self) -> None:
        if type(self.size) is not int:
            raise ValueError(f"size is {self.size!r}: set image_size in globals.yml to a whole number of pixels.")
        require_types(self)
        if not SMALLEST_SIZE <= self.size <= LARGEST_SIZE:
            raise ValueError(
                f"size is {self.size} pixels, but must be {SMALLEST_SIZE} to {LARGEST_SIZE}: set image_size in "
                "globals.yml. Most networks that are trained from scratch need 16 or more."
            )
        if not 1 <= self.max_pixels <= LARGEST_MAX_PIXELS:
            raise ValueError(f"max_pixels is {self.max_pixels}, but must be 1 to {LARGEST_MAX_PIXELS}.")
        for name in ("max_side", "max_bytes", "max_decoded_bytes", "max_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be above 0.")


@dataclass
class ImageRecord:
    """What is known about one file.

    `sha256` is the hash of the file, `pixels_sha256` and `phash` of the whole picture, upright and RGB (of a large JPEG
    as it is decoded for its size), and `square_sha256` of the stored square. `camera`
    (maker and model) and `taken` (local time, ISO 8601) come from its EXIF, or are empty. `assumed` is what its tags
    leave open, such as the depth of its samples, and how it was read. `reason` says why it was not decoded, or is
    empty. `thumbnail` is the whole picture, uint8 (16, 16, 3), until it is stored.
    """

    bytes: int = 0
    format: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    sha256: str = ""
    pixels_sha256: str = ""
    square_sha256: str = ""
    phash: int = 0
    camera: str = ""
    taken: str = ""
    assumed: str = ""
    reason: str = ""
    thumbnail: np.ndarray | None = None


def decode_file(path: Path, decoding: Decoding) -> tuple[ImageRecord, np.ndarray | None]:
    """Decode one file. Any fault of the file becomes the record's reason; only MemoryError is raised.

    Returns:
        the record, and uint8 pixels (size, size, 3), or None if the file could not be decoded.
    """
    record, clock = ImageRecord(), Clock(decoding.max_seconds)
    try:
        record.bytes = size_of(path)
        content = read_content(path, record.bytes, decoding.max_bytes)
        record.sha256 = hashlib.sha256(content).hexdigest()
        picture = decode_picture(content, decoding, record, clock)
        pixels = np.asarray(centred_square(picture, decoding.size))
        record.square_sha256 = hashlib.sha256(pixels.data).hexdigest()
        record.phash = perceptual_hash(picture)
        record.thumbnail = thumbnail_of(picture)
        record.pixels_sha256 = pixels_hash(picture, pixels if picture.size == pixels.shape[:2] else None)
    except MemoryError:  # says nothing about the file
        raise
    except Exception as error:  # of what follows decoding
        record.reason = str(error) if isinstance(error, Undecodable) else f"damaged image: {error}"
        return record, None
    return record, pixels


def decode_files(
    root: Path, decoding: Decoding, arrays: tuple[Path, Path], rows: list[int], paths: list[str]
) -> list[ImageRecord]:
    """Decode files into the given rows of two uint8 array files; return their records in order.

    The files are of the squares (N, size, size, 3), and of thumbnails of the whole pictures (N, 16, 16, 3). Only one
    picture is in memory at a time, and workers in other processes send records back, not pixels.
    """
    pixels, thumbnails = (np.load(array, mmap_mode="r+") for array in arrays)
    records = []
    for row, path in zip(rows, paths, strict=True):
        record, picture = decode_file(root / path, decoding)
        if picture is not None:
            pixels[row], thumbnails[row] = picture, record.thumbnail
            record.thumbnail = None
        records.append(record)
    return records


def decode_picture(content: bytes, decoding: Decoding, record: ImageRecord, clock: Clock) -> Image.Image:
    """Return the whole picture, upright and RGB; fill in what the record says about it.

    A JPEG much larger than needed is decoded at 1/2, 1/4 or 1/8 of its size, never below twice the stored
    size.

    Raises:
        Undecodable: the file is empty, not an image, damaged, animated, too large or too slow.
    """
    kind = recognise(content[:HEAD])
    ImageFile.LOAD_TRUNCATED_IMAGES = decoding.accept_truncated  # the same in all threads of a run
    decode = _decode_tiff if kind == "TIFF" else _decode_or_mend
    try:
        picture = decode(content, kind, decoding, record, clock)
    except (Undecodable, MemoryError):
        raise
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        raise Undecodable(reason_of(error, kind, content)) from error
    clock.check()
    return picture


def centred_square(picture: Image.Image, size: int) -> Image.Image:
    """Crop to the centred square and resize it to size x size, antialiased; smaller pictures are scaled up."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)


def _decode_or_mend(content: bytes, kind: str, decoding: Decoding, record: ImageRecord, clock: Clock) -> Image.Image:
    """The picture as Pillow reads it, if need be without what is damaged beside the pixels."""
    if kind == "JPEG":
        jpeg.refuse_many_scans(content)
    if kind == "PNG":
        png.refuse_many_chunks(content)
    try:
        return _decode(content, kind, decoding, record, clock)
    except Undecodable:
        raise
    except Exception:
        if kind == "PNG":  # a damaged or huge text or profile says nothing about the pixels
            return _decode(png.without_texts(content), kind, decoding, record, clock)
        if kind == "JPEG" and jpeg.is_complete(content):
            return _decode(jpeg.with_end(content), kind, decoding, record, clock)
        raise


def _decode(content: bytes, kind: str, decoding: Decoding, record: ImageRecord, clock: Clock) -> Image.Image:
    """The picture as Pillow reads it, but deep colours as imagecodecs does."""
    image = _open(content, kind, clock)
    record.format, record.mode = image.format or "", image.mode
    record.width, record.height = image.size
    channels, bits = jpeg2000.components_and_bits(content) if kind == "JPEG2000" else (0, 8)
    deep = bits > 8 or (kind == "PNG" and png.is_deep_and_coloured(content))
    sample = np.dtype(ImageMode.getmode(image.mode).typestr).itemsize
    sample = max(sample, (bits + 7) // 8, 2 if deep or kind in HELD_WHOLE else 1)
    _refuse_large(*image.size, image.width * image.height * (channels or len(image.getbands())) * sample, decoding)
    if image.format not in FIRST_IS_PHOTO and _has_more_frames(image):
        raise Undecodable("animated or several pages: 2 or more")
    if deep:
        with all_or_nothing():
            picture, record.assumed = _deep_colours(content, kind, bits)
        return _upright(picture, *exif_of(image), record)
    image.draft(None, (2 * decoding.size, 2 * decoding.size))
    image.load()
    if kind in BITMAPS and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        image = image.convert("RGB")  # Windows often leaves the opacity empty, and viewers ignore it then
    opaque, grey = None, image
    if kind == "PNG":
        if not decoding.accept_truncated and png.lacks_rows(image, content):
            raise EOFError("its last rows are missing")
        opaque = png.opacity(image, content)
    if image.mode.startswith(DEEP_MODES):
        all_bits = kind in STATES_DEPTH or (kind == "PNG" and png.states_significant_bits(content))
        grey, record.assumed = grey_of_deep(image, all_bits)
    return _upright(to_rgb(grey, opaque), *exif_of(image), record)


def _deep_colours(content: bytes, kind: str, bits: int) -> tuple[Image.Image, str]:
    if kind == "PNG":
        return rgb_of_deep(png.read_samples(content), 16, png.states_significant_bits(content))
    return rgb_of_deep(jpeg2000.read_samples(content), bits, bits < 16)


def _decode_tiff(content: bytes, kind: str, decoding: Decoding, record: ImageRecord, clock: Clock) -> Image.Image:
    """The picture of a TIFF file: its samples by tifffile if they are not of 8 bits, and the rest by Pillow."""
    record.format = kind
    try:
        page = tiff.find_page(content)
    except Undecodable:
        raise
    except Exception:  # Pillow reads some files that tifffile does not, and says what is wrong with others
        return _decode(content, kind, decoding, record, clock)
    record.width, record.height, record.mode = page.width, page.height, page.mode
    if page.unsupported and (page.needs_scaling or page.is_subsampled):
        raise Undecodable(page.unsupported)
    _refuse_large(page.width, page.height, page.pixels * page.pixel_bytes, decoding)
    orientation: object = page.first(ORIENTATION, 1)
    taken_by, failure = ("", ""), None
    try:
        image = _open(content, kind, clock)
        image.seek(page.number)
        if sorted(image.size) != sorted((page.width, page.height)):
            raise Undecodable("damaged image: its tags contradict each other")
        orientation, taken_by = exif_of(image)
        if not page.needs_scaling:
            image.load()  # which turns it, too
            tiff.mend_palette(image, page)
            record.mode, (record.width, record.height) = image.mode, image.size
            return _upright(to_rgb(image), 1, taken_by, record)
    except Undecodable:
        raise
    except Exception as error:
        tiff.refuse_unsupported(page, error)
        failure = error
    with all_or_nothing(failure):
        picture, record.assumed = tiff.read_samples(content, page)
    return _upright(picture.convert("RGB"), orientation, taken_by, record)


def _open(content: bytes, kind: str, clock: Clock) -> Image.Image:
    """The opened picture. While a large one is decoded, the clock is looked at, if its decoder reads part by part."""
    if kind in HELD_WHOLE:
        return _opened(io.BytesIO(content), kind)
    is_long = len(content) > READ_AT_ONCE  # others are quick to open
    image = _opened(TimedContent(content, clock) if is_long else io.BytesIO(content), kind)
    if not is_long and image.width * image.height > QUICK_PIXELS:
        is_long = True
        image = _opened(TimedContent(content, clock), kind)  # opened again, as readers keep the stream in other places
    if is_long:
        image.decodermaxblock = min(LARGEST_BLOCK, max(SMALL_READ, len(content) // LOOKS))
    return image


def _opened(stream: io.BytesIO, kind: str) -> ImageFile.ImageFile:
    try:
        return Image.open(stream, formats=[kind])
    except Image.DecompressionBombError:
        raise Undecodable(f"too many pixels: over {LARGEST_MAX_PIXELS}") from None


def _has_more_frames(image: Image.Image) -> bool:
    if image.format != "TIFF":
        return getattr(image, "is_animated", False)
    try:  # without counting, as a file may have 200,000 pages
        image.seek(1)
    except EOFError:
        image.seek(0)
        return False
    return True


def _refuse_large(width: int, height: int, decoded_bytes: int, decoding: Decoding) -> None:
    """Refuse a picture above the limits.

    Raises:
        Undecodable: it is.
    """
    if max(width, height) > decoding.max_side:
        raise Undecodable(f"too many pixels: {width}x{height} has a side over max_side, {decoding.max_side}")
    if width * height > decoding.max_pixels:
        raise Undecodable(f"too many pixels: {width}x{height} is over max_pixels, {decoding.max_pixels}")
    if decoded_bytes > decoding.max_decoded_bytes:
        limit = decoding.max_decoded_bytes
        raise Undecodable(f"too many bytes: {decoded_bytes} when decoded, over max_decoded_bytes, {limit}")


def _upright(picture: Image.Image, orientation: object, taken_by: tuple[str, str], record: ImageRecord) -> Image.Image:
    """The picture turned by its EXIF orientation, with the record's sides in this order."""
    record.camera, record.taken = taken_by
    turned = upright(picture, orientation)
    if orientation in SIDES_SWAPPED:
        record.width, record.height = record.height, record.width
    return turned
