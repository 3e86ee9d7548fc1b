"""Folders called train and test: the layouts in the message read them rightly, one way or the other."""

from __future__ import annotations

import json
import logging
import re

import pytest

from mixvision.images.sources import RawImages, open_source


@pytest.fixture
def opened(tmp_path):
    """Opens a source with these files (empty, as nothing decodes them): `opened(["train/a/1.png"], layout=None)`."""

    def open_files(paths: list[str], layout: str | list[str] | None = None) -> RawImages:
        for path in paths:
            file = tmp_path / "photos" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return open_source(str(tmp_path / "photos"), "real", tmp_path / "data" / "study" / "real", layout=layout)

    return open_files


def in_folders(*folders: str) -> list[str]:
    return [f"{folder}/{number}.png" for folder in folders for number in range(2)]


def offered(opened, paths: list[str]) -> list[str | list[str]]:
    """The layouts that the message names, as YAML."""
    with pytest.raises(ValueError, match=r"[Ss]et (real\.)?layout to ") as caught:
        opened(paths)
    return [
        json.loads(found)
        for found in re.findall(r"layout to (\[.*?\]|\".*?\")| or to (\[.*?\]|\".*?\")", str(caught.value))
        for found in found
        if found
    ]


SPLITS = ("train", "val", "test")
FOLDERS = {
    "plain": (in_folders(*(f"{split}/{name}" for split in SPLITS for name in "ab")), "{split}/{category}/**"),
    "wrapped": (
        in_folders(*(f"{split}/images/{name}" for split in SPLITS for name in "ab")), "{split}/*/{category}/**",
    ),
    "wrapped by name": (
        in_folders(*(f"{split}/{split}_set/{name}" for split in SPLITS for name in "ab")), "{split}/*/{category}/**",
    ),
    "one category in a split": (in_folders("train/a", "train/b", "val/a", "val/b", "test/a"), "{split}/{category}/**"),
    "unlabelled, too": (
        in_folders(*(f"{split}/{name}" for split in SPLITS for name in "ab"), "unlabelled/pool"),
        ["!unlabelled/**", "{split}/{category}/**"],
    ),
    "beside labels of boxes": (
        [*in_folders(*(f"images/{split}/{name}" for split in SPLITS for name in "ab")), "labels/train/1.txt"],
        "images/{split}/{category}/**",
    ),
    "in categories named after the domain": (
        in_folders(*(f"{name}/{split}" for split in SPLITS for name in ("real", "fake"))), "{category}/{split}/**",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_the_first_layout_offered_reads_the_splits(opened, name):
    paths, layout = FOLDERS[name]
    assert offered(opened, paths)[0] == layout
    images = opened(paths, layout)
    assert len({category for category, _ in images.files} - {""}) == 2
    assert set(images.published.values()) == {"train", "validation", "test"}
    assert all(images.published[path] for category, path in images.files if category)


@pytest.mark.parametrize(
    "splits", [("train", "val", "test1"), ("x_train", "x_val_v2", "x_test"), ("trn", "valid", "query")]
)
def test_splits_of_unusual_names_are_read_by_the_layout_offered(opened, splits):
    paths = in_folders(*(f"{split}/{name}" for split in splits for name in "ab"))
    layout = offered(opened, paths)[0]
    assert layout == "{split}/{category}/**"
    images = opened(paths, layout)
    assert {path.split("/")[0]: split for path, split in images.published.items()} == dict(
        zip(splits, ("train", "validation", "test"), strict=True)
    )


@pytest.mark.parametrize("names", [("Train", "Test"), ("Train", "Bus", "Test"), ("test", "train", "a", "b", "c")])
def test_categories_may_be_called_train_and_test(opened, names):
    layout = "{category}/**"
    assert layout in offered(opened, in_folders(*names))
    assert {category for category, _ in opened(in_folders(*names), layout).files} == set(names)


def test_folders_of_splits_beside_categories_can_be_left_out(opened):
    paths = in_folders("a", "b", "train", "test")
    layout = offered(opened, paths)[1]
    assert {category for category, _ in opened(paths, layout).files} == {"", "a", "b"}


def test_splits_without_folders_take_their_categories_from_labels(opened):
    paths = ["images/train/1.png", "images/val/2.png", "labels/train/1.txt", "labels/val/2.txt"]
    with pytest.raises(ValueError, match=r'set layout to "images/{split}/\*\*", name the categories by labels'):
        opened(paths)


def test_folders_of_texts_are_no_categories(opened, caplog):
    with caplog.at_level(logging.WARNING):
        images = opened([*in_folders("a", "b"), "labels/1.txt", "labels/2.xml", "a/note.txt", "readme.md"])
    assert {category for category, _ in images.files} == {"", "a", "b"}
    assert "left out folders that hold texts and no images (numbers of files): labels (2)." in caplog.text


def test_blanks_in_the_names_of_folders_are_one_blank(opened):
    assert {category for category, _ in opened(in_folders("big cat", "big\xa0cat", "dog")).files} == {"big cat", "dog"}
