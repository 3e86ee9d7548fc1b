from __future__ import annotations

import logging
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from PIL import Image

from mixvision.images import store as store_module
from mixvision.images.decoding import Decoding, decode_file
from mixvision.images.sources import open_source
from mixvision.images.store import PendingImages, read_store, write_store


@pytest.fixture
def folder(tmp_path, make_folder):
    root = make_folder(tmp_path / "shots", {"apple": 3, "pear": 2})
    (root / "apple" / "empty.png").write_bytes(b"")
    os.mkfifo(root / "apple" / "pipe.png")
    return root


@pytest.fixture
def write(folder, tmp_path):
    """Write the folder's store and open it: `write(size)`."""

    def written(size: int = 16, **options):
        raw = open_source(str(folder), "nice", tmp_path / "data" / "raw" / "nice", **options)
        write_store(PendingImages(raw, Decoding(size=size)), tmp_path / "store")
        return read_store(tmp_path / "store")

    return written


def test_store_holds_every_file_and_its_pixels(write, folder):
    store = write()
    assert list(store.inventory["path"]) == sorted(store.inventory["path"]) and len(store.inventory) == 7
    reasons = store.inventory.set_index("path")["reason"]
    assert reasons["apple/empty.png"] == "empty file"
    assert reasons["apple/pipe.png"].startswith("unreadable file")
    assert (store.inventory["pixel_row"] == -1).tolist() == (store.inventory["reason"] != "").tolist()
    for row in store.inventory[store.inventory["reason"] == ""].itertuples():
        _, expected = decode_file(folder / row.path, Decoding(size=16))
        np.testing.assert_array_equal(store.pixels[row.pixel_row], expected)
    assert store.inventory["phash"].dtype == np.uint64 and isinstance(store.pixels, np.memmap)


def test_processes_and_threads_give_the_same(write, tmp_path, monkeypatch):
    threads = write()
    (tmp_path / "store").rename(tmp_path / "threads")
    monkeypatch.setattr(store_module, "FILES_FOR_PROCESSES", 1)
    processes = write()
    pd.testing.assert_frame_equal(threads.inventory, processes.inventory)
    np.testing.assert_array_equal(threads.pixels, processes.pixels)


def decoded_paths(monkeypatch) -> list[str]:
    """The paths that are decoded from now on."""
    seen, decode = [], store_module.decode_files

    def note(root, decoding, array, rows, paths):
        seen.extend(paths)
        return decode(root, decoding, array, rows, paths)

    monkeypatch.setattr(store_module, "decode_files", note)
    return seen


def test_an_unchanged_folder_writes_nothing(write, folder, tmp_path):
    (folder / "apple" / "pipe.png").unlink()
    write()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store").iterdir()}
    write()
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "store").iterdir()} == before


def test_only_new_and_changed_files_are_decoded(write, folder, make_folder, tmp_path, monkeypatch):
    before = write()
    make_folder(tmp_path / "new", {"apple": 1}, seed=5)
    (tmp_path / "new/apple/000.png").rename(folder / "apple" / "0000.png")
    (folder / "apple" / "001.png").unlink()
    os.utime(folder / "pear" / "000.png", ns=(1, 1))
    seen = decoded_paths(monkeypatch)
    after = write()
    assert sorted(seen) == ["apple/0000.png", "apple/pipe.png", "pear/000.png"]  # unreadable files are retried
    old, new = before.inventory.set_index("path"), after.inventory.set_index("path")
    assert "apple/001.png" not in new.index
    for path in ("apple/000.png", "apple/002.png", "pear/001.png"):
        np.testing.assert_array_equal(
            after.pixels[new.loc[path, "pixel_row"]], before.pixels[old.loc[path, "pixel_row"]]
        )
        assert new.loc[path, "phash"] == old.loc[path, "phash"]


@pytest.mark.parametrize("way", ["renamed", "rewritten"])
def test_a_file_replaced_by_one_of_the_same_size_and_time_is_decoded_again(write, folder, way):
    first, other = folder / "apple" / "000.png", folder / "apple" / "other.png"
    for path, colour in ((first, "red"), (other, "blue")):
        Image.new("RGB", (24, 24), colour).save(path, "BMP")  # equally long for all colours
    write()
    times = first.stat().st_atime_ns, first.stat().st_mtime_ns
    if way == "renamed":
        other.rename(first)
    else:
        first.write_bytes(other.read_bytes())
    os.utime(first, ns=times)
    store = write()
    row = store.inventory.set_index("path").loc["apple/000.png", "pixel_row"]
    assert store.pixels[row][0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("name", ["pixels.npy", "inventory.parquet", "thumbnails.npy", "settings.json"])
@pytest.mark.parametrize("place", [0.1, 0.3, 0.95])
def test_flipped_bytes_are_found_and_decoded_again(write, tmp_path, caplog, name, place):
    before = write()
    before = replace(before, pixels=np.array(before.pixels), thumbnails=np.array(before.thumbnails))  # not of the file
    path = tmp_path / "store" / name
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 255
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        after = write()
    pd.testing.assert_frame_equal(after.inventory, before.inventory)
    np.testing.assert_array_equal(after.pixels, before.pixels)
    np.testing.assert_array_equal(after.thumbnails, before.thumbnails)
    if name != "settings.json":
        assert re.search(rf"{name} is damaged: (1 images|the images) are decoded again", caplog.text)


@pytest.mark.parametrize("name", ["pixels.npy", "inventory.parquet", "thumbnails.npy", "settings.json"])
def test_files_that_are_cut_off_are_named_and_decoded_again(write, tmp_path, caplog, name):
    before = np.array(write().pixels)
    path = tmp_path / "store" / name
    path.write_bytes(path.read_bytes()[:-100])
    np.testing.assert_array_equal(write().pixels, before)
    assert re.search(rf"{path} is damaged.*the images are decoded again", caplog.text, re.IGNORECASE)


@pytest.mark.parametrize("name", ["pixels.npy", "inventory.parquet", "thumbnails.npy", "settings.json"])
def test_a_file_that_is_missing_is_made_again(write, tmp_path, name):
    before = np.array(write().pixels)
    (tmp_path / "store" / name).unlink()
    np.testing.assert_array_equal(write().pixels, before)
    assert (tmp_path / "store" / name).exists()


def test_pixels_of_a_whole_domain_that_were_inverted_are_decoded_again(write, tmp_path, monkeypatch):
    before = np.array(write().pixels)
    path = tmp_path / "store" / "pixels.npy"
    np.save(path, 255 - before)
    seen = decoded_paths(monkeypatch)
    np.testing.assert_array_equal(write().pixels, before)
    assert len([name for name in seen if "pipe" not in name]) == 5


def test_other_settings_decode_everything(write, monkeypatch):
    write(16)
    seen = decoded_paths(monkeypatch)
    assert write(24).pixels.shape[1:] == (24, 24, 3) and len(seen) == 7


def test_a_failed_run_leaves_the_old_store(write, folder, make_folder, monkeypatch, tmp_path):
    before = write()
    make_folder(folder, {"plum": 1})

    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module, "decode_files", fail)
    with pytest.raises(KeyboardInterrupt):
        write()
    pd.testing.assert_frame_equal(read_store(tmp_path / "store").inventory, before.inventory)
    monkeypatch.undo()
    assert len(write().inventory) == 8
    assert not list(tmp_path.glob(".store*"))


def test_files_outside_the_layout_are_listed_but_not_decoded(write, folder, monkeypatch):
    (folder / "loose.png").write_bytes((folder / "apple/000.png").read_bytes())
    seen = decoded_paths(monkeypatch)
    inventory = write().inventory.set_index("path")
    assert inventory.loc["loose.png", ["category", "reason", "pixel_row"]].tolist() == ["", "outside the layout", -1]
    assert inventory.loc["loose.png", "bytes"] > 0 and "loose.png" not in seen
    inside = write(layout=["{category}/**", "{category}.png"]).inventory.set_index("path")
    assert inside.loc["loose.png", ["category", "reason"]].tolist() == ["loose", ""] and "loose.png" in seen
    outside = write().inventory.set_index("path")
    assert outside.loc["loose.png", ["category", "reason", "pixel_row"]].tolist() == ["", "outside the layout", -1]


def test_folders_that_the_mapping_leaves_out_are_remembered(write, tmp_path, monkeypatch):
    assert write().unmapped == {}
    (tmp_path / "mapping.yml").write_text("apple: apple\n")
    seen = decoded_paths(monkeypatch)
    store = write(mapping=tmp_path / "mapping.yml")
    assert store.unmapped == {"pear": 2} and set(store.inventory["category"]) == {"apple"}
    assert seen == ["apple/pipe.png"]


def test_the_store_of_an_absent_domain_is_empty_and_of_the_usual_types(write, tmp_path):
    usual = write()
    absent = PendingImages(open_source(None, "nice", tmp_path / "data" / "raw" / "nice"), Decoding(size=16))
    write_store(absent, tmp_path / "store")
    empty = read_store(tmp_path / "store")
    assert len(empty.inventory) == 0 and (empty.inventory.dtypes == usual.inventory.dtypes).all()
    assert empty.pixels.shape == (0, 16, 16, 3) and isinstance(empty.pixels, np.memmap) and empty.unmapped == {}
    written = (tmp_path / "store" / "pixels.npy").stat().st_mtime_ns
    write_store(absent, tmp_path / "store")
    assert (tmp_path / "store" / "pixels.npy").stat().st_mtime_ns == written
    pd.testing.assert_frame_equal(write().inventory, usual.inventory)


@pytest.mark.skipif(not hasattr(psutil.Process, "memory_maps"), reason="this system does not list open files")
def test_no_pixels_are_open_when_the_folder_is_replaced(write, folder, make_folder, monkeypatch, tmp_path):
    """Windows refuses to rename a folder with an open file in it. Other tests may have left theirs open."""
    own = f"{tmp_path}/"
    write()
    make_folder(folder, {"plum": 1})
    rename, found = Path.rename, []

    def note(self, target):
        found.append([entry.path for entry in psutil.Process().memory_maps() if entry.path.startswith(own)])
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", note)
    write()
    assert found == [[], []]


def test_missing_store(tmp_path):
    message = re.escape(f"no decoded images in {tmp_path}: run the ingestion pipeline")
    with pytest.raises(FileNotFoundError, match=message):
        read_store(tmp_path)


def test_another_rule_of_groups_is_applied_without_decoding(write, monkeypatch):
    assert set(write().inventory["group"]) == {""}
    seen = decoded_paths(monkeypatch)
    grouped = write(group={"pattern": "(?P<group>[0-9]+).png"}).inventory.set_index("path")["group"]
    assert grouped[["apple/000.png", "pear/000.png", "pear/001.png", "apple/empty.png"]].tolist() == [
        "000", "000", "001", "",
    ]  # fmt: skip
    assert set(seen) <= {"apple/pipe.png"}, "unreadable files are always tried again"


def test_a_table_of_groups_is_read_before_images_are_decoded(write, monkeypatch, caplog):
    decoded = decoded_paths(monkeypatch)
    with pytest.raises(FileNotFoundError, match="The table of groups of 'nice' images does not exist"):
        write(group={"table": "groups.csv", "file": "name", "group": "plant"})
    assert decoded == []
    with caplog.at_level("INFO"):
        write(group={"pattern": "(?P<group>[0-9]+).png"})
    assert len(decoded) == 7 and sum("groups" in message for message in caplog.messages) == 1


def test_a_store_is_not_written_if_its_groups_cannot_be_found(write, tmp_path):
    with pytest.raises(ValueError, match="group of the 'nice' source finds no group for any of its 7 images"):
        write(group={"exif": ["day"]})
    assert not (tmp_path / "store").exists()
