"""Augmentation: random views of training images, drawn from a generator and made in batches on the images' device."""

from __future__ import annotations

import io
import itertools
import math
from dataclasses import dataclass, fields

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

MODES = ("none", "on the fly", "expand")
LUMINANCE = (0.2989, 0.587, 0.114)


@dataclass(frozen=True)
class Augmentation:
    """How the views of an image may differ.

    Args:
        scale: [smallest, largest] factor by which the picture is scaled about its centre, above 0 (the berries study:
            0.8 to 1). The area around it is filled by reflection.
        rotation: largest angle in degrees, in either direction, 0 to 180 (the berries study: 15).
        horizontal_flip, vertical_flip: whether half of the views are mirrored left to right, top to bottom.
        colour: largest relative change of brightness, contrast and saturation, 0 (none) to 1.
        jpeg_quality: lowest quality, 1 to 100, at which a view is compressed as JPEG; None: no compression. Views are
            compressed in memory on the CPU, one by one.
        shift: largest shift of the picture, horizontally and vertically, as a share of its side, 0 to 0.5.
        shear: largest angle in degrees, in either direction, by which upright lines may lean, 0 to 45.
    """

    scale: tuple[float, float] = (0.8, 1.0)
    rotation: float = 15.0
    horizontal_flip: bool = True
    vertical_flip: bool = True
    colour: float = 0.0
    jpeg_quality: int | None = None
    shift: float = 0.0
    shear: float = 0.0

    def __post_init__(self) -> None:
        scale, quality = self.scale, self.jpeg_quality
        pair = isinstance(scale, list | tuple) and len(scale) == 2 and all(map(_is_number, scale))
        if not pair or not 0 < scale[0] <= scale[1]:
            raise ValueError(f"scale is {scale!r}; give [smallest, largest] factors above 0, such as [0.8, 1.0].")
        object.__setattr__(self, "scale", tuple(scale))
        if not _is_number(self.rotation) or not 0 <= self.rotation <= 180:
            raise ValueError(f"rotation is {self.rotation!r}; give degrees from 0 to 180.")
        if not _is_number(self.colour) or not 0 <= self.colour <= 1:
            raise ValueError(f"colour is {self.colour!r}; give a relative change from 0 to 1.")
        if not _is_number(self.shift) or not 0 <= self.shift <= 0.5:
            raise ValueError(f"shift is {self.shift!r}; give a share of the picture's side from 0 to 0.5.")
        if not _is_number(self.shear) or not 0 <= self.shear <= 45:
            raise ValueError(f"shear is {self.shear!r}; give degrees from 0 to 45.")
        if quality is not None and (type(quality) is not int or not 1 <= quality <= 100):
            raise ValueError(f"jpeg_quality is {quality!r}; give a whole number from 1 to 100, or null.")
        for name in ("horizontal_flip", "vertical_flip"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} is {getattr(self, name)!r}; give true or false.")


@dataclass(frozen=True)
class Views:
    """The parameters of a view of each of N images; tensors on the CPU, wherever the images are.

    Attributes:
        flips: bool ``(N, 2)``: mirrored left to right, top to bottom; applied first.
        scale: ``(N,)``, factor about the centre.
        angle: ``(N,)``, degrees, counterclockwise.
        colour: ``(N, 3)``, factors of brightness, contrast and saturation.
        quality: int ``(N,)`` of JPEG, 0 for no compression.
        shift: ``(N, 2)``, to the right and downwards, as a share of the side.
        shear: ``(N,)``, degrees by which upright lines lean to the right.
    """

    flips: Tensor
    scale: Tensor
    angle: Tensor
    colour: Tensor
    quality: Tensor
    shift: Tensor
    shear: Tensor

    def __getitem__(self, rows: Tensor) -> Views:
        return Views(*(getattr(self, field.name)[rows] for field in fields(self)))

    def __add__(self, other: Views) -> Views:
        names = [field.name for field in fields(self)]
        return Views(*(torch.cat([getattr(self, name), getattr(other, name)]) for name in names))


def draw_views(augmentation: Augmentation, count: int, generator: np.random.Generator) -> Views:
    """Draw random views of ``count`` images; equal generators give equal views on every device."""
    flips = generator.random((count, 2)) < (0.5 * augmentation.horizontal_flip, 0.5 * augmentation.vertical_flip)
    colour = generator.uniform(1 - augmentation.colour, 1 + augmentation.colour, (count, 3))
    quality = np.zeros(count, np.int64)
    if augmentation.jpeg_quality is not None:
        quality = generator.integers(augmentation.jpeg_quality, 101, count)
    scale = generator.uniform(*augmentation.scale, count)
    angle = generator.uniform(-augmentation.rotation, augmentation.rotation, count)
    # Drawn last, and only if used, so that without them views and results are the same as before they existed.
    shift, shear = np.zeros((count, 2)), np.zeros(count)
    if augmentation.shift:
        shift = generator.uniform(-augmentation.shift, augmentation.shift, (count, 2))
    if augmentation.shear:
        shear = generator.uniform(-augmentation.shear, augmentation.shear, count)
    return Views(
        flips=torch.from_numpy(flips),
        scale=torch.from_numpy(scale).float(),
        angle=torch.from_numpy(angle).float(),
        colour=torch.from_numpy(colour).float(),
        quality=torch.from_numpy(quality),
        shift=torch.from_numpy(shift).float(),
        shear=torch.from_numpy(shear).float(),
    )


def expand(augmentation: Augmentation, count: int, generator: np.random.Generator) -> tuple[np.ndarray, Views]:
    """Expand images up front as in the berries study: each as it is and in each of its flips, and each of these again
    randomly scaled and rotated (and with the other variations, if used).

    Only the parameters of the views are stored; pictures are made when needed. With both flips there are eight views
    per image, with one four, with none two.

    Returns:
        the row of each view's image, int64 ``(count * views,)``, sorted; and the views.
    """
    choices = [
        (False, True) if flip else (False,) for flip in (augmentation.horizontal_flip, augmentation.vertical_flip)
    ]
    flips = torch.tensor(list(itertools.product(*choices)))
    views = 2 * len(flips)
    drawn = draw_views(augmentation, count * views, generator)
    varied = torch.arange(views).repeat(count) >= len(flips)
    return np.repeat(np.arange(count), views), Views(
        flips=flips.repeat(2 * count, 1),
        scale=torch.where(varied, drawn.scale, 1.0),
        angle=torch.where(varied, drawn.angle, 0.0),
        colour=torch.where(varied[:, None], drawn.colour, 1.0),
        quality=torch.where(varied, drawn.quality, 0),
        shift=torch.where(varied[:, None], drawn.shift, 0.0),
        shear=torch.where(varied, drawn.shear, 0.0),
    )


def look(images: Tensor, views: Views) -> Tensor:
    """Apply B views to images ``(B, 3, S, S)``, floats in [0, 1]; shape, range, precision and device stay the same."""
    with torch.autocast(images.device.type, enabled=False):  # in bfloat16 pixels would be displaced
        images = _moved(images, views)
        if bool((views.colour != 1).any()):
            images = _recoloured(images, views.colour.to(images, non_blocking=True))
        return _stored_as_jpeg(images, views.quality)


def _moved(images: Tensor, views: Views) -> Tensor:
    """Mirror, shear, rotate and scale about the centre, then shift; the area outside is filled by reflection."""
    radians = torch.deg2rad(views.angle)
    cosine, sine = radians.cos() / views.scale, radians.sin() / views.scale
    lean = torch.deg2rad(views.shear).tan()
    mirror = 1 - 2 * views.flips.float()
    # Where each pixel comes from: undo the shift, rotation, scaling and shear, then mirror (the y axis points down).
    x = torch.stack([cosine + lean * sine, lean * cosine - sine], 1) * mirror[:, :1]
    y = torch.stack([sine, cosine], 1) * mirror[:, 1:]
    turn = torch.stack([x, y], 1)
    origin = -2 * turn @ views.shift[:, :, None]  # the grid's sides are 2 long
    matrix = torch.cat([turn, origin], 2).to(images, non_blocking=True)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _recoloured(images: Tensor, factors: Tensor) -> Tensor:
    """Brightness, contrast and saturation as torchvision defines them: blends with black, mean grey, and grey."""
    brightness, contrast, saturation = factors.view(-1, 3, 1, 1, 1).unbind(1)
    weights = images.new_tensor(LUMINANCE).view(1, 3, 1, 1)
    images = (images * brightness).clamp(0, 1)
    grey = (images * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    images = torch.lerp(grey.expand_as(images), images, contrast).clamp(0, 1)
    return torch.lerp((images * weights).sum(1, keepdim=True).expand_as(images), images, saturation).clamp(0, 1)


def _stored_as_jpeg(images: Tensor, qualities: Tensor) -> Tensor:
    chosen = torch.nonzero(qualities).flatten().tolist()
    if not chosen:
        return images
    images = images.clone()
    for row in chosen:
        pixels = images[row].mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(qualities[row]))
        stored = np.array(Image.open(file))
        images[row] = torch.from_numpy(stored).to(images).permute(2, 0, 1).div(255)
    return images


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
