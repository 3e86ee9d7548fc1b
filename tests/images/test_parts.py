from __future__ import annotations

import multiprocessing

import numpy as np
import pytest
from damage import flip

from mixvision.images.parts import backend_for, compute_parts


def squares(number: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array([number**2]), np.arange(number)


def run(function, count, folder):
    return list(compute_parts(function, range(count), folder, "squares", "squaring"))


def test_results_come_in_order_with_all_their_arrays(tmp_path):
    for folder in (None, tmp_path):
        results = run(squares, 5, folder)
        assert [int(square[0]) for square, _ in results] == [0, 1, 4, 9, 16]
        assert [len(numbers) for _, numbers in results] == [0, 1, 2, 3, 4]


def test_what_was_computed_before_an_interruption_is_read(tmp_path):
    computed = []

    def interrupted(number):
        computed.append(number)
        if number == 3:
            raise KeyboardInterrupt
        return squares(number)

    with pytest.raises(KeyboardInterrupt):
        run(interrupted, 4, tmp_path)
    kept = {int(path.stem.split("-")[1]) for path in tmp_path.glob("squares-?.npz")}
    assert kept <= {0, 1, 2} and not list(tmp_path.glob("*partial*"))
    computed.clear()

    def counted(number):
        computed.append(number)
        return squares(number)

    assert [int(square[0]) for square, _ in run(counted, 4, tmp_path)] == [0, 1, 4, 9]
    assert set(computed) == set(range(4)) - kept
    computed.clear()
    assert len(run(counted, 4, tmp_path)) == 4 and not computed


def test_nothing_to_compute_is_nothing(tmp_path):
    assert run(squares, 0, tmp_path) == []


def test_damaged_parts_are_computed_again(tmp_path):
    whole = run(squares, 4, tmp_path)
    flip(tmp_path / "squares-1.npz")
    (tmp_path / "squares-2.npz").write_bytes((tmp_path / "squares-2.npz").read_bytes()[:100])
    computed = []
    again = run(lambda number: computed.append(number) or squares(number), 4, tmp_path)
    assert sorted(computed) == [1, 2]
    assert [[array.tolist() for array in part] for part in again] == [
        [array.tolist() for array in part] for part in whole
    ]


def test_a_process_of_the_parallel_runner_starts_no_processes():
    """It would wait for them for minutes after its work."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(backend_for, [True, False]) == ["threading", "threading"]
    assert [backend_for(many) for many in (True, False)] == ["loky", "threading"]
