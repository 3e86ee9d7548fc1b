"""How much memory is free: of the machine, of its container or cluster job, and of a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import psutil
import torch

UNLIMITED = 2**60  # version 1 of the control groups writes a number near this one where there is no limit
CGROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
FILES = {  # of the limit, of what is used, and the entry of memory.stat that the system takes back when it needs it
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    "": ("memory.max", "memory.current", "inactive_file"),
}


def free_bytes(device: torch.device | None = None) -> int:
    """Bytes that this process may still take: of the GPU's memory for a GPU, else of the main memory.

    Main memory is bounded by what the machine has available, by the process's own limit (``ulimit -v``), and by every
    control group around it, which is how containers and clusters limit a job.
    """
    if device is not None and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(0, min([psutil.virtual_memory().available, *_left_of_process(), *left_of_groups()]))


def left_of_groups(groups: Path = CGROUPS, own: Path = OWN_GROUPS) -> Iterator[int]:
    """What each control group around the process leaves, in bytes; groups without a limit are left out.

    Args:
        groups: where the system shows the groups, in version 1 or 2.
        own: lists the groups that the process is in.
    """
    for line in own.read_text().splitlines() if own.exists() else ():
        _, controllers, path = line.split(":", 2)
        names = [name for name in FILES if name in controllers.split(",")]
        for name in names:
            for group in (PurePosixPath(path), *PurePosixPath(path).parents):
                left = _left_of_group(groups / name / str(group).lstrip("/"), *FILES[name])
                if left is not None:
                    yield left


def _left_of_group(folder: Path, limit: str, used: str, reclaimable: str) -> int | None:
    try:
        most = (folder / limit).read_text().strip()
        if most == "max" or int(most) >= UNLIMITED:
            return None
        entries = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(most) - int((folder / used).read_text()) + int(entries.get(reclaimable, 0))
    except (OSError, ValueError):  # inside a container the folder of an outer group is not there
        return None


def _left_of_process() -> Iterator[int]:
    """What the limit of the process's address space leaves, if there is one."""
    try:
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
    except (ImportError, OSError):  # not on Windows
        return
    if most != resource.RLIM_INFINITY:
        yield most - psutil.Process().memory_info().vms
