"""Views for testing: the same image whole, mirrored and in crops, so that a network can be asked several times."""

from __future__ import annotations

from torch import Tensor

from mixvision.vocabulary import CENTRE, WHOLE

CROP = 7 / 8  # of the side: what networks are shown of ImageNet's images when they are judged
_CORNERS = {CENTRE: (0.5, 0.5), "top left": (0, 0), "top right": (0, 1), "bottom left": (1, 0), "bottom right": (1, 1)}
_MIRRORED = "mirrored"

# By the name of the study's setting the views asked for beside the whole image.
TEST_VIEWS: dict[str, tuple[str, ...]] = {
    "none": (),
    "flip": (_MIRRORED,),
    "crops": (_MIRRORED, *_CORNERS, *(f"{_MIRRORED} {corner}" for corner in _CORNERS)),
}


def view_of(images: Tensor, view: str) -> Tensor:
    """What a view shows of images ``(B, 3, S, S)``: the same, or ``(B, 3, C, C)`` with C seven eighths of S."""
    if view.startswith(_MIRRORED):
        images, view = images.flip(-1), view.removeprefix(_MIRRORED).strip()
    if view in ("", WHOLE):
        return images
    side = images.shape[-1]
    crop = round(CROP * side)
    top, left = (round(share * (side - crop)) for share in _CORNERS[view])
    return images[..., top : top + crop, left : left + crop]
