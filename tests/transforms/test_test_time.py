"""Test-time views: crops compared with pixels counted by hand, mirrored ones with crops of the mirrored image."""

from __future__ import annotations

import pytest
import torch

from mixvision.transforms.test_time import TEST_VIEWS, view_of
from mixvision.vocabulary import WHOLE

CORNERS = ("centre", "top left", "top right", "bottom left", "bottom right")


@pytest.fixture
def images() -> torch.Tensor:
    """Two images of 16x16 pixels in which no two values are equal."""
    return torch.arange(2 * 3 * 16 * 16, dtype=torch.float32).view(2, 3, 16, 16)


@pytest.mark.parametrize(
    ("view", "rows", "columns"),
    [
        (WHOLE, slice(0, 16), slice(0, 16)),
        ("centre", slice(1, 15), slice(1, 15)),
        ("top left", slice(0, 14), slice(0, 14)),
        ("top right", slice(0, 14), slice(2, 16)),
        ("bottom left", slice(2, 16), slice(0, 14)),
        ("bottom right", slice(2, 16), slice(2, 16)),
    ],
)
def test_a_crop_is_seven_eighths_of_the_side(images, view, rows, columns):
    assert torch.equal(view_of(images, view), images[:, :, rows, columns])


@pytest.mark.parametrize(("side", "crop"), [(224, 196), (100, 88), (9, 8), (8, 7)])
def test_crops_of_other_sides_are_rounded(side, crop):
    image = torch.rand(1, 3, side, side)
    centre = (side - crop) // 2
    assert torch.equal(view_of(image, "bottom right"), image[..., -crop:, -crop:])
    if (side - crop) % 2 == 0:
        assert torch.equal(view_of(image, "centre"), image[..., centre:-centre, centre:-centre])
    assert view_of(image, "centre").shape == (1, 3, crop, crop)


def test_mirrored_views_are_views_of_the_mirrored_image(images):
    mirrored = images[..., range(15, -1, -1)]
    assert torch.equal(view_of(images, "mirrored"), mirrored)
    opposite = {"top left": "top right", "top right": "top left", "centre": "centre"}
    opposite |= {"bottom left": "bottom right", "bottom right": "bottom left"}
    for corner in CORNERS:
        view = view_of(images, f"mirrored {corner}")
        assert torch.equal(view, view_of(mirrored, corner))
        assert torch.equal(view.flip(-1), view_of(images, opposite[corner]))


def test_all_views_differ(images):
    assert {name: len(views) for name, views in TEST_VIEWS.items()} == {"none": 0, "flip": 1, "crops": 11}
    for views in TEST_VIEWS.values():
        shown = {view: view_of(images, view).numpy().tobytes() for view in (WHOLE, *views)}
        assert len(shown) == len(views) + 1 == len(set(shown.values()))


def test_views_do_not_change_the_images_and_unknown_views_are_errors(images):
    before = images.clone()
    view_of(images, "mirrored top left").zero_()
    assert torch.equal(images, before)
    with pytest.raises(KeyError, match="left"):
        view_of(images, "left")
