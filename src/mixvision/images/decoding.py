"""Decode an image file to a record for the inventory and a square of RGB pixels."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

# Formats whose decoders run in this process and read pixels only (EPS, for one, starts Ghostscript). A
# phone's MPO opens as a JPEG. Without init() Pillow has registered only some of them; AVIF is not in every
# build.
Image.init()
FORMATS: list[str] = [
    name for name in ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "DIB", "GIF", "TIFF", "PPM") if name in Image.OPEN
]
SUFFIXES = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
LARGEST_MAX_PIXELS = 178_956_970  # above this Pillow itself refuses to open a file
ORIENTATION_TAG = 0x0112
HASH_SIDE = 32


@dataclass(frozen=True)
class Decoding:
    """How files become pixels.

    Args:
        size: side length of the stored squares in pixels, 8 to 1024.
        max_pixels: files with more pixels than this, according to their header, are excluded without decoding them.
    """

    size: int = 100
    max_pixels: int = 80_000_000

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 1024:
            raise ValueError(f"size is {self.size} pixels, but must be 8 to 1024.")
        if not 1 <= self.max_pixels <= LARGEST_MAX_PIXELS:
            raise ValueError(f"max_pixels is {self.max_pixels}, but must be 1 to {LARGEST_MAX_PIXELS}.")


@dataclass
class ImageRecord:
    """What is known about one file.

    `sha256` is the hash of the file, `pixels_sha256` and `phash` of the whole picture, upright and RGB. `camera`
    (maker and model) and `taken` (local time, ISO 8601) come from its EXIF, or are empty. `reason` says why it was
    not decoded, or is empty.
    """

    bytes: int = 0
    format: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    sha256: str = ""
    pixels_sha256: str = ""
    phash: int = 0
    camera: str = ""
    taken: str = ""
    reason: str = ""


class Undecodable(Exception):  # noqa: N818 (a finding about the file, not an error of the program)
    """Why a file cannot be decoded, in a few words: "<kind>" or "<kind>: <detail>"."""


def decode_file(path: Path, decoding: Decoding) -> tuple[ImageRecord, np.ndarray | None]:
    """Decode one file. Any fault of the file becomes the record's reason; only MemoryError is raised.

    Returns:
        the record, and uint8 pixels (size, size, 3), or None if the file could not be decoded.
    """
    record = ImageRecord()
    try:
        content = path.read_bytes()
    except OSError as error:
        record.reason = f"unreadable file: {error.strerror or error}"
        return record, None
    record.bytes, record.sha256 = len(content), hashlib.sha256(content).hexdigest()
    try:
        picture = decode_picture(content, decoding, record)
        pixels = np.asarray(centred_square(picture, decoding.size))
        record.phash = perceptual_hash(picture)
        record.pixels_sha256 = pixels_hash(picture)
    except MemoryError:  # says nothing about the file
        raise
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        record.reason = str(error if isinstance(error, Undecodable) else _damage(error))
        return record, None
    return record, pixels


def decode_files(root: Path, decoding: Decoding, array: Path, rows: list[int], paths: list[str]) -> list[ImageRecord]:
    """Decode files into the given rows of a uint8 array file (N, size, size, 3); return their records in order.

    Only one picture is in memory at a time, and workers in other processes send records back, not pixels.
    """
    pixels = np.load(array, mmap_mode="r+")
    records = []
    for row, path in zip(rows, paths, strict=True):
        record, picture = decode_file(root / path, decoding)
        if picture is not None:
            pixels[row] = picture
        records.append(record)
    return records


def decode_picture(content: bytes, decoding: Decoding, record: ImageRecord) -> Image.Image:
    """Return the whole picture, upright and RGB; fill in the record's format, mode, (upright) size, camera and time.

    A JPEG much larger than needed is decoded at 1/2, 1/4 or 1/8 of its size, never below twice the stored
    size.

    Raises:
        Undecodable: the file is empty, not an image, animated or too large. A damaged file raises other exceptions too.
    """
    if not content:
        raise Undecodable("empty file")
    try:
        image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise Undecodable("not an image") from None
    except Image.DecompressionBombError:
        raise Undecodable(f"too many pixels: over {LARGEST_MAX_PIXELS}") from None
    record.format, record.mode = image.format or "", image.mode
    record.width, record.height = image.size
    _refuse_unsuitable(image, decoding.max_pixels)
    image.draft(None, (2 * decoding.size, 2 * decoding.size))
    image.load()
    record.camera, record.taken = camera_and_time(image)
    image, swapped = _upright(image)
    if swapped:
        record.width, record.height = record.height, record.width
    return to_rgb(image)


def camera_and_time(image: Image.Image) -> tuple[str, str]:
    """The camera's maker and model, and when the picture was taken (ISO 8601), as EXIF says; "" for what it lacks."""
    try:
        exif = image.getexif()
        details = exif.get_ifd(ExifTags.IFD.Exif) if exif else {}
    except Exception:  # damaged EXIF does not make the picture unusable
        return "", ""
    maker, model = (_text(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
    camera = model if model.casefold().startswith(maker.casefold()) else f"{maker} {model}".strip()
    try:
        taken = datetime.strptime(_text(details.get(ExifTags.Base.DateTimeOriginal)), "%Y:%m:%d %H:%M:%S").isoformat()
    except ValueError:  # absent, or a camera whose clock was never set
        taken = ""
    return camera, taken


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB: alpha blended onto white, 16-bit grey scaled to 8 bits, the rest by Pillow."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):  # 16 bits per pixel, which Pillow's own conversion would clip at 255
        grey = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))
    elif image.mode == "F":
        grey = np.nan_to_num(np.asarray(image))
        scale = 255 if grey.max() <= 1 else 1
        image = Image.fromarray(np.clip(np.rint(grey * scale), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def centred_square(picture: Image.Image, size: int) -> Image.Image:
    """Crop to the centred square and resize it to size x size, antialiased; smaller pictures are scaled up."""
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)


def pixels_hash(picture: Image.Image) -> str:
    """SHA-256 of the size and all pixels of the picture: equal for equal pictures, not for equal centres."""
    digest = hashlib.sha256(f"{picture.width}x{picture.height}".encode())
    digest.update(picture.tobytes())
    return digest.hexdigest()


def perceptual_hash(picture: Image.Image) -> int:
    """The 64-bit DCT hash of the whole picture: which of its 8x8 lowest frequencies are above their median.

    Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2.1: grey, averaged
    to 32x32; as in the ImageHash package, the constant frequency is among the 64.
    """
    grey = np.asarray(picture.convert("L").resize((HASH_SIDE, HASH_SIDE), Image.Resampling.BOX))
    frequencies = _LOWEST_FREQUENCIES @ grey.astype(np.float64) @ _LOWEST_FREQUENCIES.T
    frequencies = np.round(frequencies, 6)  # a flat picture has zeros here, not rounding noise
    middle = np.sort(frequencies, axis=None)[31:33].mean()  # the median, faster than np.median
    bits = frequencies > middle
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


# The first 8 rows of the DCT-II matrix; computed here because SciPy's would have to be loaded in every worker process.
_LOWEST_FREQUENCIES = 2 * np.cos(np.pi / (2 * HASH_SIDE) * np.outer(np.arange(8), 2 * np.arange(HASH_SIDE) + 1))


def _text(value: object) -> str:
    """A text of EXIF without the filling at its end; "" if it is not a text."""
    return " ".join(value.partition("\0")[0].split()) if isinstance(value, str) else ""


def _refuse_unsuitable(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise Undecodable(f"too many pixels: {width}x{height} is over max_pixels, {max_pixels}")
    # A phone's MPO holds a second view or a gain map after the photo: the first picture is the photo.
    frames = getattr(image, "n_frames", 1)
    if image.format != "MPO" and frames > 1:
        raise Undecodable(f"animated or several pages: {frames} frames")


def _upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """The picture turned by its EXIF orientation, and whether that swapped its sides."""
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF does not make the picture unusable
        return image, False
    if orientation not in range(2, 9):
        return image, False
    return ImageOps.exif_transpose(image), orientation >= 5


def _damage(error: Exception) -> str:
    words = str(error).lower()
    truncated = isinstance(error, EOFError) or "truncated" in words or "end of file" in words
    return f"{'truncated' if truncated else 'damaged'} image: {error}"
