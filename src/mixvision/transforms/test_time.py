"""Test-time views: an image whole, mirrored and in crops, so that a network can classify it several times."""

from __future__ import annotations

from torch import Tensor

from mixvision.vocabulary import CENTRE, WHOLE

CROP = 7 / 8  # of the side: the crop on which networks are usually tested on ImageNet
_CORNERS = {CENTRE: (0.5, 0.5), "top left": (0, 0), "top right": (0, 1), "bottom left": (1, 0), "bottom right": (1, 1)}
_MIRRORED = "mirrored"

# The views in addition to the whole image, by the value of the study's setting.
TEST_VIEWS: dict[str, tuple[str, ...]] = {
    "none": (),
    "flip": (_MIRRORED,),
    "crops": (_MIRRORED, *_CORNERS, *(f"{_MIRRORED} {corner}" for corner in _CORNERS)),
}


def view_of(images: Tensor, view: str) -> Tensor:
    """Apply a view to images ``(B, 3, S, S)``; a crop has the shape ``(B, 3, C, C)``, with C seven eighths of S."""
    if view.startswith(_MIRRORED):
        images, view = images.flip(-1), view.removeprefix(_MIRRORED).strip()
    if view in ("", WHOLE):
        return images
    side = images.shape[-1]
    crop = round(CROP * side)
    top, left = (round(share * (side - crop)) for share in _CORNERS[view])
    return images[..., top : top + crop, left : left + crop]
