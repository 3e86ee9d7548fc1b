"""A file or folder is replaced completely or stays as it was."""

from __future__ import annotations

import pytest

from mixvision.files import LARGE, digest_of, replacing_file, replacing_folder


def test_a_file_is_replaced_when_its_successor_is_complete(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("old")
    with replacing_file(file) as partial:
        partial.write_text("new")
        assert file.read_text() == "old" and partial.suffix == ".csv"
    assert file.read_text() == "new" and list(tmp_path.iterdir()) == [file]


def test_after_an_error_the_old_file_is_there_and_nothing_else(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("old")
    with pytest.raises(OSError, match="full"), replacing_file(file) as partial:
        partial.write_text("half")
        raise OSError("the disk is full")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_what_a_killed_process_left_is_overwritten(tmp_path):
    file = tmp_path / "table.csv"
    with replacing_file(file) as partial:
        partial.write_text("new")
    partial.write_text("half")
    with replacing_file(file) as again:
        again.write_text("newest")
    assert file.read_text() == "newest" and list(tmp_path.iterdir()) == [file]


def test_a_folder_is_replaced_when_its_successor_is_complete(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(OSError, match="full"), replacing_folder(folder) as partial:
        raise OSError("the disk is full")
    assert [path.name for path in folder.iterdir()] == ["old"]
    with replacing_folder(folder) as partial:
        (partial / "new").touch()
    assert [path.name for path in folder.iterdir()] == ["new"] and list(tmp_path.iterdir()) == [folder]


def test_the_digest_of_a_folder_is_of_its_contents_wherever_it_is(tmp_path):
    def folder(name: str, content: bytes) -> str:
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "weights").write_bytes(content)
        (tmp_path / name / ".DS_Store").write_text(name)
        return digest_of(tmp_path / name)

    large = bytes(3 * LARGE)
    assert folder("one", large) == folder("two", large)
    assert folder("last byte", large[:-1] + b"1") != digest_of(tmp_path / "one") != folder("longer", large + b"\0")
