"""What it costs that a run survives: checksums, checkpoints and the journal for MLflow, as a share of the main job.

    python benchmarks/safety.py

Runs the study on the bundled sample twice in a temporary copy of the project: from nothing, and again with all images
decoded. The time inside the functions below is added up: in the run itself seconds by the clock, in the thread that
sends the journal seconds of a processor core, most of which MLflow itself takes.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

import mixvision
from mixvision.images import store
from mixvision.models import trained
from mixvision.tracking.journal import Journal
from mixvision.tracking.sender import Sender
from mixvision.training import checkpoints

PROJECT = Path(__file__).parents[1]
IN_THE_RUN = {
    "checksums of images": [(store, "_damaged_files"), (store, "_damaged_squares"), (store, "_checksum")],
    "checksums of networks": [(trained, "_checksum")],
    "checkpoints": [(checkpoints.SafeCheckpoints, "save_checkpoint"), (checkpoints, "checkpoint_to_continue")],
    "writing the journal": [(Journal, "write"), (Journal, "unsent"), (Journal, "remove")],
}
BESIDE_IT = {"sending the journal": [(Sender, "send")]}


def main() -> None:
    spent: Counter[str] = Counter()
    for parts, clock in ((IN_THE_RUN, time.perf_counter), (BESIDE_IT, time.thread_time)):
        for part, functions in parts.items():
            for owner, name in functions:
                setattr(owner, name, timed(getattr(owner, name), part, spent, clock))
    print(f"mixvision {mixvision.__version__}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        project = copy_of_the_project(Path(folder))
        for run in ("from nothing", "once more"):
            spent.clear()
            begin = time.perf_counter()
            with KedroSession.create(project_path=project) as session:
                session.run(pipeline_names=["mixing"])
            seconds = time.perf_counter() - begin
            print(f"\n{run}: {seconds:.0f} s")
            for part in (*IN_THE_RUN, *BESIDE_IT):
                beside = " (beside the run)" if part in BESIDE_IT else ""
                print(f"  {part:<24}{spent[part]:>8.2f} s{spent[part] / seconds:>8.2%}{beside}", flush=True)


def timed(function, part: str, spent: Counter[str], clock):
    """The function, whose time is added to the part; only the outermost call of a part counts."""

    @functools.wraps(function)
    def measured(*arguments, **options):
        if part in inside:
            return function(*arguments, **options)
        inside.add(part)
        begin = clock()
        try:
            return function(*arguments, **options)
        finally:
            spent[part] += clock() - begin
            inside.discard(part)

    return measured


inside: set[str] = set()


def copy_of_the_project(folder: Path) -> Path:
    project = folder / "project"
    shutil.copytree(PROJECT / "conf", project / "conf", ignore=shutil.ignore_patterns("local"))
    shutil.copy(PROJECT / "pyproject.toml", project)
    (project / "conf" / "local").mkdir()
    (project / "src").mkdir()
    os.chdir(project)
    bootstrap_project(project)
    return project


if __name__ == "__main__":
    main()
