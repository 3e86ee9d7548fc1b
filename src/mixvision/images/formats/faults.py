"""Why a decoder failed, in words that say what can be done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import UnidentifiedImageError

from mixvision.images.formats import jpeg
from mixvision.images.formats.recognise import Undecodable

WHOLE_ONLY = ("WEBP", "AVIF", "HEIF")  # formats of which Pillow reads all or nothing
KEEPS = "ingestion.decoding.accept_truncated: true would keep what is there"
KEEPS_NOTHING = "accept_truncated keeps no parts of"


def reason_of(error: Exception, kind: str, content: bytes) -> str:
    """The reason to record for an error of Pillow.

    Args:
        error: what was raised.
        kind: the file's format.
        content: the file.
    """
    if isinstance(error.__cause__, Undecodable):  # raised while a decoder read the content
        return str(error.__cause__)
    if not str(error):  # a failed assertion
        return f"damaged image: its parts do not fit together ({type(error).__name__})"
    words = str(error).lower()
    if isinstance(error, UnidentifiedImageError):
        if kind == "JPEG" and (unsupported := jpeg.unsupported_kind(content)):
            return f"unsupported image: {unsupported}, convert it to PNG or TIFF"
        error = ValueError(f"begins like {kind}, but cannot be read")
    if kind in WHOLE_ONLY:
        return f"damaged image: {error} ({KEEPS_NOTHING} {kind})"
    if isinstance(error, EOFError) or "truncated" in words or "end of file" in words:
        return f"truncated image: {error} ({KEEPS})"
    if "broken data stream" in words:
        return f"damaged image: {error} (if it was cut off, {KEEPS})"
    if "decoder error" in words:
        return f"damaged image: {error} ({KEEPS_NOTHING} a compressed TIFF)"
    return f"damaged image: {error}"


@contextmanager
def all_or_nothing(earlier: Exception | None = None) -> Iterator[None]:
    """Name faults of decoders of deep pictures, which keep no part of a file that was cut off.

    Args:
        earlier: of another decoder that tried before; it is raised instead.
    """
    try:
        yield
    except (Undecodable, MemoryError):
        raise
    except Exception as error:  # tifffile and imagecodecs raise many kinds
        if earlier is not None:
            raise earlier from None
        raise Undecodable(f"damaged image: {error} ({KEEPS_NOTHING} pictures of more than 8 bits)") from error
