"""A disk that becomes full at a random moment: when there is room again, the command goes on to the same results."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from kills import ATTEMPTS, choose_stage
from projects import Place
from references import Findings, Reference, compare
from runs import start

COUNT, SUBJECTS = 10, ["mixing", "iterative", "baselines", "transfer", "tuning"]
MEGABYTES = 256
BLOCK = 64 * 1024
ROOM = 20 * BLOCK  # at most this much is left


@dataclass
class Case:
    subject: str
    kind: str  # of the stage in which the disk became full
    status: int | None = None  # of the run at that time
    reruns: int = 0
    findings: Findings = field(default_factory=Findings)
    trouble: str = ""

    @property
    def lost(self) -> bool:
        return bool(self.trouble or self.findings)


def impossible() -> str:
    """Why no disk can be filled here, or nothing."""
    return "" if os.geteuid() == 0 else "mounting a small tmpfs needs root"


def disturb(reference: Reference, place: Place, seed: Sequence[int]) -> Case:
    """Fill the project's disk during a run, make room when the run has ended, and run again.

    Also where the run ended well, but left a journal: the next run tells MLflow what this one could not.
    """
    generator = np.random.default_rng(seed)
    stage = choose_stage(reference.stages, generator)
    case = Case(reference.subject.name, stage.kind)
    with small_disk(place.temporary) as folder:
        project = reference.new_project(Place("full", folder, place.temporary))
        run = start(project)
        run.wait_for(stage, generator.random())
        ballast = _fill(folder, int(generator.integers(ROOM)))
        run.finish()
        case.status = run.status
        ballast.unlink()
        while case.reruns < ATTEMPTS and (run.status != 0 or _has_journal(folder)):
            case.reruns, run = case.reruns + 1, start(project)
            if not run.finish():
                case.trouble += f"rerun {case.reruns} (status {run.status}): {run.last_words} "
        if run.status == 0:
            case.findings = compare(project, reference)
    return case


@contextmanager
def small_disk(temporary: Path) -> Iterator[Path]:
    folder = Path(mkdtemp(prefix="chaos-disk-", dir=temporary))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


def _has_journal(folder: Path) -> bool:
    """Whether something is kept for MLflow in the project that is in this folder."""
    return any(folder.glob("**/.mlflow-journal/*/*"))


def _fill(folder: Path, room: int) -> Path:
    """Write a file that leaves only this many bytes."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(BLOCK))
    os.truncate(ballast, max(0, ballast.stat().st_size - room))
    return ballast


def tables(cases: Sequence[Case]) -> list[list[dict[str, object]]]:
    """A row for each time that the disk became full."""
    rows: list[dict[str, object]] = [
        {
            "subject": case.subject,
            "full in": case.kind,
            "status then": case.status,
            "reruns": case.reruns,
            "files that differ": len(case.findings.files),
            "points lost": case.findings.points,
            "lost": int(case.lost),
        }
        for case in cases
    ]
    return [rows]
