"""Locks say what is wrong with their folder, and wait for others even where nobody can say who they are."""

from __future__ import annotations

import pytest

from mixvision.locks import Lock


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "locks").write_text("x")
    with pytest.raises(OSError, match=rf"The folder of locks, {tmp_path}/locks, cannot be used .*: delete it, or make"):
        Lock(tmp_path / "locks", "mlflow").acquire("another run")


def test_a_lock_is_taken_even_if_nobody_can_note_who_has_it(tmp_path):
    lock = Lock(tmp_path, "mlflow")
    lock.holder.mkdir()  # so that it cannot be written
    lock.acquire("another run")
    assert lock.lock.is_locked
    lock.release()
