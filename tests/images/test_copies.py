from __future__ import annotations

import io
import tarfile
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from mixvision.images.alignment import confirm
from mixvision.images.copies import altered_copies, grey_pictures
from mixvision.images.decoding import centred_square
from mixvision.images.duplicates import clusters_of

SIDE = 100


def jpeg(picture: Image.Image, quality: int = 85, kind: str = "JPEG") -> Image.Image:
    file = io.BytesIO()
    picture.save(file, kind, quality=quality)
    return Image.open(file).convert("RGB")


def cut(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = picture.size
    return picture.crop((round(left * width), round(top * height), round(right * width), round(bottom * height)))


def captioned(picture: Image.Image) -> Image.Image:
    picture, strip = picture.copy(), picture.height // 9
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, picture.height - strip, picture.width, picture.height), fill="black")
    draw.text((4, picture.height - strip), "Photograph, 2019", fill="white")
    return picture


def smaller(picture: Image.Image, side: int) -> Image.Image:
    return picture.resize([round(length * side / max(picture.size)) for length in picture.size])


ALTERATIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "quality 40": lambda picture: jpeg(picture, 40),
    "WebP": lambda picture: jpeg(picture, 60, "WEBP"),
    "half size": lambda picture: jpeg(smaller(picture, max(picture.size) // 2), 75),
    "110 pixels": lambda picture: smaller(picture, 110),
    "more contrast": lambda picture: jpeg(ImageEnhance.Contrast(picture).enhance(1.1)),
    "brighter": lambda picture: jpeg(ImageEnhance.Brightness(picture).enhance(1.06)),
    "much brighter": lambda picture: jpeg(ImageEnhance.Brightness(picture).enhance(1.25)),
    "grey": lambda picture: jpeg(ImageOps.grayscale(picture).convert("RGB")),
    "border": lambda picture: ImageOps.expand(picture, 10, "white"),
    "cut off on all sides": lambda picture: cut(picture, 0.03, 0.03, 0.97, 0.97),
    "cut off on one side": lambda picture: cut(picture, 0.06, 0, 1, 1),
    "caption": lambda picture: jpeg(captioned(picture)),
    "mirrored": ImageOps.mirror,
    "turned": lambda picture: cut(picture.rotate(3, Image.Resampling.BICUBIC), 0.06, 0.06, 0.94, 0.94),
    "stretched": lambda picture: picture.resize((round(1.1 * picture.width), picture.height)),
}


def grey(pictures: list[Image.Image], side: int = SIDE) -> np.ndarray:
    pixels = np.stack([np.asarray(centred_square(picture, side)) for picture in pictures])
    return grey_pictures(pixels, np.arange(len(pixels)))


@pytest.fixture(scope="session")
def flowers(shared_data) -> list[Image.Image]:
    """Thirty real photos, six of each kind of flower."""
    with tarfile.open(shared_data("flowers.tar")) as archive:
        names = sorted(name for name in archive.getnames() if name.endswith(".jpg"))[::80][:30]
        return [Image.open(archive.extractfile(name)).convert("RGB") for name in names]


@pytest.fixture(scope="session")
def berries(shared_data) -> list[Image.Image]:
    """Twelve real photos."""
    with tarfile.open(shared_data("berries.tar")) as archive:
        names = sorted(name for name in archive.getnames() if name.endswith(".jpg"))[::225][:12]
        return [Image.open(archive.extractfile(name)).convert("RGB") for name in names]


@pytest.mark.parametrize("share", [0.05, 0.07, 0.08, 0.1])
def test_a_white_border_of_any_width_is_found(berries, share):
    copies = [jpeg(ImageOps.expand(picture, round(min(picture.size) * share), "white")) for picture in berries]
    pairs = altered_copies(grey([*berries, *copies], 64))
    assert (pairs[:, 1] - pairs[:, 0] == len(berries)).all() and len(pairs) >= len(berries) - 1


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_altered_copies_of_photos_are_found_and_nothing_else(flowers, alteration):
    copies = [ALTERATIONS[alteration](picture) for picture in flowers]
    pairs = {tuple(pair) for pair in altered_copies(grey([*flowers, *copies])).tolist()}
    expected = {(row, row + len(flowers)) for row in range(len(flowers))}
    assert pairs <= expected and len(pairs) >= len(flowers) - 1


@pytest.mark.parametrize("side", [64, 192])
def test_the_size_of_the_stored_pictures_makes_no_difference(flowers, side):
    copies = [cut(picture, 0.05, 0.05, 0.95, 0.95) for picture in flowers]
    assert len(altered_copies(grey([*flowers, *copies], side))) >= len(flowers) - 1


def test_the_order_of_the_pictures_makes_no_difference(flowers):
    pictures = grey([*flowers, *(captioned(picture) for picture in flowers)])
    order = np.random.default_rng(0).permutation(len(pictures))
    shuffled = np.sort(order[altered_copies(pictures[order])], axis=1)
    assert {tuple(pair) for pair in shuffled.tolist()} == {tuple(pair) for pair in altered_copies(pictures).tolist()}


def test_frames_of_a_turntable_do_not_chain_across_categories(shared_data):
    """Round fruits on white are the hardest: their hashes chain across the whole set."""
    with tarfile.open(shared_data("fruits.tar")) as archive:
        names = sorted(name for name in archive.getnames() if "nice/" in name and name.endswith(".jpg"))[::47]
        pictures = [Image.open(archive.extractfile(name)).convert("RGB") for name in names]
    categories = np.array([name.split("/")[-2] for name in names])
    pairs = altered_copies(grey(pictures))
    assert (categories[pairs[:, 0]] == categories[pairs[:, 1]]).all()
    assert np.bincount(clusters_of(len(names), pairs)).max() <= 3


def test_flat_and_few_pictures_have_no_copies():
    assert len(altered_copies(np.empty((0, 64, 64), np.uint8))) == 0
    assert len(altered_copies(np.full((5, 64, 64), 255, np.uint8))) == 0


def test_a_pair_is_confirmed_from_a_start_nearby_but_not_if_half_of_it_differs(flowers):
    one, other = grey(flowers[:1]), grey([cut(flowers[0], 0.05, 0.05, 0.95, 0.95)])
    start = np.eye(2, 3, dtype=np.float32)[None]
    assert confirm(one, other, start).tolist() == [True]
    half = np.concatenate([other[:, :32], grey(flowers[1:2])[:, 32:]], axis=1)
    assert confirm(one, half, start).tolist() == [False]


def test_a_picture_turned_too_far_is_not_a_copy(flowers):
    turned = cut(flowers[0].rotate(15, Image.Resampling.BICUBIC), 0.15, 0.15, 0.85, 0.85)
    angle = np.radians(15)
    start = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]], np.float32)[None]
    for direction in (start, start * np.array([[[1, -1, 1], [-1, 1, 1]]])):
        assert confirm(grey(flowers[:1]), grey([turned]), direction.astype(np.float32)).tolist() == [False]
