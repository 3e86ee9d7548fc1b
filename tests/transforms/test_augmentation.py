"""Views of images compared with PyTorch's and torchvision's transforms, and the expansion of the berries study."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as torchvision_transforms

from mixvision.transforms.augmentation import Augmentation, Views, draw_views, expand, look


@pytest.fixture
def images(small_pixels) -> torch.Tensor:
    pixels = torch.from_numpy(small_pixels["nice"][:4]).permute(0, 3, 1, 2).float() / 255
    tint = torch.tensor([1.0, 0.7, 0.4]).view(3, 1, 1)  # grey digits would not show changes of colour
    return pixels.repeat_interleave(2, -1).repeat_interleave(2, -2) * tint


def views_of(count: int = 4, **changes: torch.Tensor) -> Views:
    plain = {
        "flips": torch.zeros(count, 2, dtype=torch.bool),
        "scale": torch.ones(count),
        "angle": torch.zeros(count),
        "colour": torch.ones(count, 3),
        "quality": torch.zeros(count, dtype=torch.int64),
        "shift": torch.zeros(count, 2),
        "shear": torch.zeros(count),
    }
    return Views(**{**plain, **changes})


def test_flips_are_those_of_pytorch(images):
    flips = torch.tensor([[False, False], [True, False], [False, True], [True, True]])
    seen = look(images, views_of(flips=flips))
    expected = [images[0], images[1].flip(2), images[2].flip(1), images[3].flip(1, 2)]
    torch.testing.assert_close(seen, torch.stack(expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("scale", "angle"), [(0.8, 15.0), (0.9, -10.0), (1.0, 15.0)])
def test_scaling_and_rotation_are_those_of_torchvision(images, scale, angle):
    seen = look(images, views_of(scale=torch.full((4,), scale), angle=torch.full((4,), angle)))
    expected = torchvision_transforms.affine(
        images, angle=-angle, translate=[0, 0], scale=scale, shear=[0, 0], interpolation=InterpolationMode.BILINEAR
    )
    inside = slice(8, 24)  # outside, torchvision fills with black, we by reflection
    torch.testing.assert_close(seen[..., inside, inside], expected[..., inside, inside], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("shift", "shear", "scale", "angle"),
    [
        ((0.1, 0), 0.0, 1.0, 0.0),
        ((0, -0.05), 0.0, 1.0, 0.0),
        ((0.0, 0.0), 12.0, 1.0, 0.0),
        ((0.1, -0.06), -8.0, 0.9, 10.0),
    ],
)
def test_shifting_and_shearing_are_those_of_torchvision(images, shift, shear, scale, angle):
    """Alone, and after scaling and turning."""
    every = {"scale": scale, "angle": angle, "shear": shear}
    views = views_of(
        shift=torch.tensor([shift] * 4), **{name: torch.full((4,), value) for name, value in every.items()}
    )
    expected = torchvision_transforms.affine(
        images,
        angle=-angle,
        translate=[32 * share for share in shift],
        scale=scale,
        shear=[shear, 0],
        interpolation=InterpolationMode.BILINEAR,
    )
    inside = slice(9, 23)
    seen = look(images, views)[..., inside, inside]
    torch.testing.assert_close(seen, expected[..., inside, inside], atol=1e-4, rtol=0)
    assert (seen - images[..., inside, inside]).abs().mean() > 0.01


def test_an_image_is_flipped_before_it_is_shifted_and_sheared(images):
    flips = torch.tensor([[True, True]] * 4)
    moved = {"shift": torch.full((4, 2), 0.125), "shear": torch.full((4,), 10.0)}
    in_turn = look(look(images, views_of(flips=flips)), views_of(**moved))
    torch.testing.assert_close(look(images, views_of(flips=flips, **moved)), in_turn, atol=1e-4, rtol=0)


def test_the_area_that_a_shift_uncovers_is_filled_by_reflection(images):
    seen = look(images, views_of(shift=torch.tensor([[0.25, 0.0]] * 4)))
    torch.testing.assert_close(seen[..., 8:], images[..., :-8], atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[..., :8], images[..., :8].flip(-1), atol=1e-4, rtol=0)


def test_shift_and_shear_do_not_change_what_else_is_drawn():
    asked, generator, by_hand = Augmentation(rotation=10, colour=0.2), *(np.random.default_rng(3) for _ in range(2))
    for _ in range(2):  # the second time shows that nothing else was taken from the generator
        views = draw_views(asked, 5, generator)
        np.testing.assert_array_equal(views.flips, by_hand.random((5, 2)) < 0.5)
        np.testing.assert_allclose(views.colour, by_hand.uniform(0.8, 1.2, (5, 3)), rtol=1e-6)
        np.testing.assert_allclose(views.scale, by_hand.uniform(0.8, 1, 5), rtol=1e-6)
        np.testing.assert_allclose(views.angle, by_hand.uniform(-10, 10, 5), rtol=1e-5)
        assert not views.shift.any() and not views.shear.any()
    further = Augmentation(rotation=10, colour=0.2, shift=0.1, shear=5)
    plain, moved = (draw_views(setting, 5, np.random.default_rng(3)) for setting in (asked, further))
    for name in ("flips", "scale", "angle", "colour", "quality"):
        assert torch.equal(getattr(plain, name), getattr(moved, name)), name
    assert (moved.shift != 0).all() and (moved.shear != 0).all()


def test_the_borders_do_not_turn_black():
    white = torch.ones(3, 3, 20, 20)
    views = views_of(3, scale=torch.tensor([0.5, 0.8, 1.0]), angle=torch.tensor([45.0, 15.0, 90.0]))
    seen = look(white, replace(views, shift=torch.full((3, 2), 0.4), shear=torch.full((3,), 20.0)))
    torch.testing.assert_close(seen, white)


def test_an_image_is_flipped_before_it_is_rotated(images):
    both = look(images, views_of(flips=torch.tensor([[True, False]] * 4), angle=torch.full((4,), 15.0)))
    in_turn = look(
        look(images, views_of(flips=torch.tensor([[True, False]] * 4))), views_of(angle=torch.full((4,), 15.0))
    )
    torch.testing.assert_close(both, in_turn, atol=1e-4, rtol=0)


def test_colours_change_as_in_torchvision(images):
    factors = torch.tensor([[1.3, 1, 1], [1, 0.6, 1], [1, 1, 0.5], [0.8, 1.2, 1.4]])
    seen = look(images, views_of(colour=factors))
    expected = []
    for image, (brightness, contrast, saturation) in zip(images, factors.tolist(), strict=True):
        image = torchvision_transforms.adjust_brightness(image, brightness)
        image = torchvision_transforms.adjust_contrast(image, contrast)
        expected.append(torchvision_transforms.adjust_saturation(image, saturation))
    torch.testing.assert_close(seen, torch.stack(expected), atol=1e-4, rtol=0)


def test_jpeg_compression_equals_that_of_a_stored_file(images):
    seen = look(images, views_of(quality=torch.tensor([0, 10, 50, 95])))
    torch.testing.assert_close(seen[0], images[0], atol=1e-5, rtol=0)
    for row, quality in ((1, 10), (2, 50), (3, 95)):
        file = io.BytesIO()
        pixels = (images[row] * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality)
        stored = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
        torch.testing.assert_close(seen[row], stored, atol=0.02, rtol=0)
    assert (seen[1] - images[1]).abs().mean() > (seen[3] - images[3]).abs().mean()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), rotation=st.floats(0, 180), low=st.floats(0.1, 1), horizontal=st.booleans())
def test_drawn_views_stay_within_the_settings(seed, rotation, low, horizontal):
    further = {"colour": 0.2, "jpeg_quality": 40, "shift": 0.1, "shear": 5}
    asked = Augmentation((low, 1.0), rotation, horizontal, vertical_flip=False, **further)
    views = draw_views(asked, 64, np.random.default_rng(seed))
    assert views.angle.abs().max() <= rotation + 1e-4
    assert low - 1e-6 <= views.scale.min() and views.scale.max() <= 1 + 1e-6
    assert not views.flips[:, 1].any() and (horizontal or not views.flips[:, 0].any())
    assert views.colour.min() >= 0.8 - 1e-6 and views.colour.max() <= 1.2 + 1e-6
    assert views.quality.min() >= 40 and views.quality.max() <= 100
    assert 0.08 < views.shift.abs().max() <= 0.1 + 1e-6 and 4 < views.shear.abs().max() <= 5 + 1e-5
    assert (views.shift.amin(0) < 0).all() and views.shear.min() < 0, "to either side"
    again = draw_views(asked, 64, np.random.default_rng(seed))
    assert all(torch.equal(getattr(views, name), getattr(again, name)) for name in vars(views))


def test_reduced_precision_displaces_no_pixels():
    noise = torch.rand(2, 3, 300, 300, generator=torch.Generator().manual_seed(0))
    views = draw_views(Augmentation(colour=0.2), 2, np.random.default_rng(0))
    with torch.autocast("cpu", torch.bfloat16):
        seen = look(noise, views)
    torch.testing.assert_close(seen, look(noise, views))


def test_half_of_the_views_are_flipped_in_each_direction():
    flips = draw_views(Augmentation(), 4000, np.random.default_rng(0)).flips.float()
    assert ((flips.mean(0) - 0.5).abs() < 0.04).all()


def test_the_expansion_of_the_study_is_eightfold():
    rows, views = expand(Augmentation(shift=0.1, shear=5), 3312, np.random.default_rng(0))
    assert len(rows) == len(views.flips) == 26_496  # the study's own numbers
    assert np.array_equal(rows, np.repeat(np.arange(3312), 8))
    of_one = views[torch.arange(8, 16)]
    every_flip = {(False, False), (False, True), (True, False), (True, True)}
    for half in (slice(0, 4), slice(4, 8)):
        assert {tuple(flips) for flips in of_one.flips[half].tolist()} == every_flip
    assert (of_one.angle[:4] == 0).all() and (of_one.scale[:4] == 1).all()
    assert (of_one.angle[4:] != 0).all() and (of_one.scale[4:] < 1).all()
    for moved in (of_one.shift, of_one.shear):
        assert not moved[:4].any() and (moved[4:] != 0).all()
    assert len(views.angle[views.angle != 0].unique()) > 13_000  # each drawn separately


def test_without_flips_the_expansion_is_twofold():
    rows, views = expand(Augmentation(horizontal_flip=False, vertical_flip=False), 5, np.random.default_rng(0))
    assert np.array_equal(rows, np.repeat(np.arange(5), 2)) and not views.flips.any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": [0, 1]},
        {"scale": [1.0, 0.8]},
        {"scale": 0.8},
        {"rotation": 200},
        {"colour": 2},
        {"jpeg_quality": 0},
        {"jpeg_quality": 55.5},
        {"rotation": None},
        {"rotation": True},
        {"colour": "1e-1"},  # as YAML reads 1e-1
        {"scale": ["a", 1]},
        {"scale": [0.8, float("inf")]},
        {"horizontal_flip": 1},
        {"shift": 0.6},
        {"shift": [0.1, 0.1]},
        {"shear": -1},
        {"shear": 46},
    ],
)
def test_bad_augmentations_are_refused_with_their_values(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=re.escape(f"{name} is {value!r}; give ")):
        Augmentation(**wrong)
