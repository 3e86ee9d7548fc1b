"""Arrays in files have their room on the disk before they are filled."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from mixvision.images.arrays import new_array


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve room for a file")
def test_a_full_disk_is_an_error_before_the_array_is_filled(tmp_path, monkeypatch):
    array = new_array(tmp_path / "array.npy", (4, 1024, 1024))
    status = (tmp_path / "array.npy").stat()
    assert status.st_blocks * 512 >= status.st_size > array.nbytes, "a sparse file has less"
    array[2] = 7
    array.flush()
    assert np.load(tmp_path / "array.npy").sum(axis=(1, 2)).tolist() == [0, 0, 7 * 1024**2, 0]

    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(OSError, match="No space left"):
        new_array(tmp_path / "another.npy", (4, 4))
