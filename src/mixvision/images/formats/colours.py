"""Pictures of any mode as RGB."""

from __future__ import annotations

import numpy as np
from PIL import Image

from mixvision.images.formats.depth import on_white, to_8_bits

DEEP_MODES = ("I", "F")  # and I;16: samples of more than 8 bits
ROWS = 1024  # blended together


def to_rgb(image: Image.Image, opaque: np.ndarray | None = None) -> Image.Image:
    """Convert any mode to RGB: deep grey scaled to 8 bits, transparency blended onto white, the rest by Pillow.

    Args:
        image: the picture.
        opaque: bool ``(H, W)``, where it is not transparent, if its mode does not say so.
    """
    if image.mode.startswith(DEEP_MODES):
        image, _ = grey_of_deep(image)
    if opaque is not None:
        image = image.convert("RGB")
        image.paste("white", mask=Image.fromarray(~opaque))
        return image
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if not image.has_transparency_data:
        return image.convert("RGB")
    picture = Image.new("RGB", image.size)
    for top in range(0, image.height, ROWS):  # a picture of 80 million pixels would take a gigabyte at once
        part = image.crop((0, top, image.width, min(top + ROWS, image.height))).convert("RGBA")
        blended = Image.alpha_composite(Image.new("RGBA", part.size, "white"), part)
        picture.paste(blended.convert("RGB"), (0, top))
    return picture


def grey_of_deep(image: Image.Image, all_bits: bool = False) -> tuple[Image.Image, str]:
    """8-bit grey of Pillow's modes I, I;16 and F, and what was assumed about the depth.

    Args:
        image: in one of these modes.
        all_bits: whether the file says that its samples use all 16 bits.
    """
    samples = np.asarray(image)
    all_bits = all_bits and samples.dtype.kind != "f"
    if samples.dtype.kind == "i" and samples.min() >= 0:  # Pillow holds unsigned 16 bits in signed 32 for PPM
        samples = samples.astype(np.uint32 if samples.max() > 65535 else np.uint16)
    bits = 8 * samples.dtype.itemsize
    grey, assumed = to_8_bits(samples, bits, (0, 2**bits - 1) if all_bits else None)
    return Image.fromarray(grey), assumed


def rgb_of_deep(samples: np.ndarray, bits: int, all_bits: bool) -> tuple[Image.Image, str]:
    """8-bit RGB, blended onto white, and what was assumed about the depth.

    Args:
        samples: whole numbers ``(H, W)`` or ``(H, W, C)`` with C 1 to 4: grey or RGB, and opacity.
        bits: of each sample.
        all_bits: whether the file says that all of them are used.
    """
    samples = samples if samples.ndim == 3 else samples[..., None]
    colours, channels, stated = 3 if samples.shape[2] >= 3 else 1, samples.shape[2], (0, 2**bits - 1)
    scaled, assumed = to_8_bits(samples[..., :colours], bits, stated if all_bits else None)
    if channels > colours:  # by its own depth: some write colours of 12 bits with opacity of 16, others both of 12
        alpha, _ = to_8_bits(samples[..., colours:], bits, stated if all_bits else None)
        del samples  # hundreds of megabytes of a large picture
        scaled = on_white(scaled, alpha, multiplied=False)
    return Image.fromarray(scaled if colours == 3 else scaled[..., 0]).convert("RGB"), assumed
