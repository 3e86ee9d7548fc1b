"""Checkpoints: written beside their place, checked when they are read, and never lost to a full disk."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import torch

from mixvision.training.checkpoints import SafeCheckpoints, checkpoint_to_continue

CONTENT = {"weights": torch.arange(1000.0), "epoch": 3}


def save(folder, name: str = "last.ckpt", **content) -> None:
    SafeCheckpoints().save_checkpoint(CONTENT | content, folder / name)


def test_the_last_but_one_is_kept(tmp_path):
    for epoch in range(3):
        save(tmp_path, epoch=epoch)
    found = {path.name: torch.load(path, weights_only=True)["epoch"] for path in tmp_path.iterdir()}
    assert found == {"last.ckpt": 2, "last.previous.ckpt": 1}
    for epoch in range(2):
        save(tmp_path, "best.ckpt", epoch=epoch)
    assert len(list(tmp_path.iterdir())) == 3, "of the best only one is kept"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SystemExit(143), KeyboardInterrupt("^C")])
def test_what_ends_the_writing_is_raised_and_leaves_the_checkpoint_that_was_there(tmp_path, monkeypatch, error):
    """PyTorch itself raises a RuntimeError about positions instead, even for a signal."""
    save(tmp_path, epoch=1)

    class Ending(io.FileIO):
        def write(self, content):
            if self.tell() > 1000:
                raise error
            return super().write(content)

    monkeypatch.setattr(Path, "open", lambda path, mode: Ending(path, mode))
    with pytest.raises(type(error), match=re.escape(str(error))):
        save(tmp_path, epoch=2)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(checkpoint_to_continue(tmp_path), weights_only=True)["epoch"] == 1


def test_nothing_is_written_outside_the_folder(tmp_path, monkeypatch):
    """The folder for temporary files may be on another disk, or full."""
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("place", [0, 3, 100, 2000, -40, -1, "cut", "empty"])
def test_damage_anywhere_is_found_or_harmless(tmp_path, place):
    save(tmp_path, epoch=1)
    save(tmp_path, epoch=2)
    path = tmp_path / "last.ckpt"
    content = bytearray(path.read_bytes())
    if place == "cut":
        del content[len(content) // 2 :]
    elif place == "empty":
        content.clear()
    else:
        content[place] ^= 255
    path.write_bytes(content)
    found = checkpoint_to_continue(tmp_path)
    state = torch.load(found, weights_only=True)
    torch.testing.assert_close(state["weights"], CONTENT["weights"], rtol=0, atol=0)
    assert state["epoch"] == (2 if found.name == "last.ckpt" else 1)


def test_a_flipped_bit_in_the_list_of_parts_is_found_or_harmless(tmp_path):
    """PyTorch refuses flags and offsets there that Python's zip reader takes, and the other way round."""
    save(tmp_path, epoch=1)
    save(tmp_path, epoch=2)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    last = tmp_path / "last.ckpt"
    begin = files[last].index(b"PK\x01\x02")  # where the list begins
    for place in range(begin, len(files[last]), 7):
        for path, content in files.items():
            path.write_bytes(content)
        last.write_bytes(files[last][:place] + bytes([files[last][place] ^ 8]) + files[last][place + 1 :])
        found = checkpoint_to_continue(tmp_path)
        assert torch.load(found, weights_only=True)["epoch"] == (2 if found == last else 1)


def test_without_a_whole_checkpoint_training_starts_anew(tmp_path):
    assert checkpoint_to_continue(tmp_path) is None
    (tmp_path / "last.ckpt").write_bytes(b"PK")
    (tmp_path / "last.previous.ckpt").write_bytes(b"")
    (tmp_path / ".last.partial.ckpt").write_bytes(b"half")
    assert checkpoint_to_continue(tmp_path) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt.damaged", "last.previous.ckpt.damaged"]


def test_a_killed_rename_leaves_the_previous_one(tmp_path):
    save(tmp_path, epoch=1)
    save(tmp_path, epoch=2)
    (tmp_path / "last.ckpt").unlink()
    assert checkpoint_to_continue(tmp_path).name == "last.previous.ckpt"


def test_without_the_best_weights_nothing_is_continued(tmp_path):
    for name in ("last.ckpt", "last.ckpt", "best.ckpt"):
        save(tmp_path, name)
    assert checkpoint_to_continue(tmp_path, "best.ckpt").name == "last.ckpt"
    (tmp_path / "best.ckpt").write_bytes(b"PK")
    assert checkpoint_to_continue(tmp_path, "best.ckpt") is None
    assert {path.suffix for path in tmp_path.iterdir()} == {".damaged"}
