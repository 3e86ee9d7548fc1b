"""Disturb runs of every pipeline in all ways that a machine may, and see whether anything is lost.

    make chaos                                   # all experiments, in an hour or two on two cores
    make chaos ONLY="kills disk" COUNT=20 SEED=7

Prints tables for each experiment. The exit status is 1 if anything was lost or differs from an undisturbed run.
Projects in which something went wrong are kept, and their folders printed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp

import disk
import files
import kills
import pandas as pd
import server
import together
from projects import both_places
from references import Reference, make_database, make_reference
from runs import import_everything
from subjects import draw_images, subjects

from mixvision.reporting.formatting import markdown_table

# Each is a module with COUNT and SUBJECTS (its defaults), disturb and tables.
EXPERIMENTS = {"kills": kills, "files": files, "disk": disk, "together": together, "server": server}


def main() -> None:
    asked = arguments()
    import_everything()
    folder = Path(mkdtemp(prefix="chaos-", dir=asked.disk))  # a TemporaryDirectory ends with the first forked run
    try:
        draw_images(folder / "images")
        make_database(folder / "mlflow.db")
        with ProcessPoolExecutor(asked.jobs, get_context("fork")) as pool:
            lost = sum(run(experiment, asked, folder, pool) for experiment in asked.only)
    finally:
        shutil.rmtree(folder)
    sys.exit(f"{lost} lost." if lost else None)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS), help="experiments")
    parser.add_argument("--count", type=int, help="how often; each experiment has its own default")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--subjects", nargs="+", default=[], help="what to disturb (see subjects.py)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="projects at the same time")
    parser.add_argument("--cold", action="store_true", help="also compare with runs in fresh interpreters")
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="a folder on one file system")
    parser.add_argument("--memory", type=Path, default=Path("/dev/shm"), help="a folder on another one")
    return parser.parse_args()


def run(name: str, asked: argparse.Namespace, folder: Path, pool: ProcessPoolExecutor) -> int:
    """Run one experiment and print its tables. Returns how many of its cases lost something."""
    experiment, places = EXPERIMENTS[name], both_places(asked.disk, asked.memory)
    if name == "disk" and (reason := disk.impossible()):
        print(f"\n{name} is left out: {reason}.")
        return 0
    count = asked.count or experiment.COUNT
    names = (asked.subjects or experiment.SUBJECTS)[:count]
    references = make_references(names, asked, folder, pool)
    tasks = []
    for number in range(count):
        turn, subject = divmod(number, len(names))
        place = places[(turn + subject) % 2]
        tasks.append(pool.submit(experiment.disturb, references[names[subject]], place, [asked.seed, number]))
    cases = []
    try:
        for task in as_completed(tasks):
            cases.append(task.result())
            print(f"{name} {len(cases)} of {count}: {cases[-1]}", file=sys.stderr, flush=True)
    finally:  # after Ctrl-C, too
        for rows in experiment.tables(cases):
            print(f"\n{name}:\n\n{markdown_table(pd.DataFrame(rows))}", flush=True)
    return sum(case.lost for case in cases)


def make_references(
    names: Sequence[str], asked: argparse.Namespace, folder: Path, pool: ProcessPoolExecutor
) -> dict[str, Reference]:
    """Undisturbed runs of the subjects with these names."""
    found, place = subjects(folder / "images"), both_places(asked.disk, asked.memory)[0]
    make = partial(make_reference, place=place, database=folder / "mlflow.db", cold=asked.cold)
    chosen = [found[name] for name in dict.fromkeys(names)]
    return {reference.subject.name: reference for reference in pool.map(make, chosen)}


if __name__ == "__main__":
    main()
