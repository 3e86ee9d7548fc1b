"""Free memory respects control groups of both versions, and the process's own limit."""

from __future__ import annotations

import resource
from pathlib import Path

import psutil
import torch

from mixvision.training import free_memory
from mixvision.training.free_memory import free_bytes, left_of_groups


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_every_group_around_the_process_counts_in_version_2(tmp_path):
    write(tmp_path / "job/step", memory__max="max\n", memory__current="1\n", memory__stat="inactive_file 0\n")
    write(tmp_path / "job", memory__max="1000\n", memory__current="700\n", memory__stat="anon 5\ninactive_file 200\n")
    (tmp_path / "own").write_text("0::/job/step\n")
    assert list(left_of_groups(tmp_path, tmp_path / "own")) == [500]


def test_version_1_has_a_folder_of_its_own_and_a_huge_number_for_no_limit(tmp_path):
    group = {"memory__usage_in_bytes": "30", "memory__stat": "total_inactive_file 4\n"}
    write(tmp_path / "memory", memory__limit_in_bytes=str(2**63 - 4096), **group)
    write(tmp_path / "memory/docker/ab", memory__limit_in_bytes="100", **group)
    (tmp_path / "own").write_text("9:name=systemd:/\n4:cpu,memory:/docker/ab\n3:cpuset:/\n")
    assert list(left_of_groups(tmp_path, tmp_path / "own")) == [74]


def test_a_system_without_groups_has_none(tmp_path):
    (tmp_path / "own").write_text("0::/away\n")
    assert not list(left_of_groups(tmp_path, tmp_path / "own"))
    assert not list(left_of_groups(tmp_path, tmp_path / "absent"))


def test_the_least_of_all_limits_counts(monkeypatch):
    monkeypatch.setattr(free_memory, "left_of_groups", lambda: iter([5, 9]))
    assert free_bytes() == free_bytes(torch.device("cpu")) == 5
    monkeypatch.setattr(free_memory, "left_of_groups", lambda: iter(()))
    assert 0 < free_bytes() <= psutil.virtual_memory().total


def test_the_limit_of_the_process_counts(monkeypatch):
    taken = psutil.Process().memory_info().vms
    monkeypatch.setattr(resource, "getrlimit", lambda _: (taken + 10**6, resource.RLIM_INFINITY))
    assert free_bytes() <= 10**6


def test_a_gpu_has_its_own_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 8000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 300)  # of which 100 may be used again
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 200)
    assert free_bytes(torch.device("cuda")) == 1100
