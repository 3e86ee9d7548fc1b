"""CPU seconds that commands take before any work, compared with Kedro's own spaceflights starter.

    python benchmarks/startup.py [folder of a clone of kedro-starters]

Both projects use the Kedro and the plugins of this environment and keep their runs in SQLite, so only the project
differs. Without a folder, the starter is fetched from the internet. It needs seaborn, which this project does not:
install it first. Both run alternately; the table has medians of several runs, after one that fills the caches.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COMMANDS = {
    "--help": "Usage",
    "registry list": "__default__",
    "run --pipelines=nosuch": "nosuch",
}  # each with something that it prints
PROJECT = Path(__file__).parents[1]
KEDRO = Path(sys.executable).with_name("kedro")
ENVIRONMENT = {**os.environ, "KEDRO_DISABLE_TELEMETRY": "1"}
MLFLOW = "server:\n  mlflow_tracking_uri: sqlite:///mlflow.db\n"
REPEATS = 5


def main(starters: str | None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        projects = (make_spaceflights(Path(scratch), starters), PROJECT)
        print(f"{'command':<28}{'spaceflights':>14}{'mixvision':>12}{'ratio':>8}")
        for command, answer in COMMANDS.items():
            times = [[cpu_seconds(project, command, answer) for project in projects] for _ in range(REPEATS + 1)]
            theirs, ours = (statistics.median(column) for column in zip(*times[1:], strict=True))
            print(f"kedro {command:<22}{theirs:>12.2f} s{ours:>10.2f} s{ours / theirs:>8.2f}", flush=True)


def make_spaceflights(scratch: Path, starters: str | None) -> Path:
    """Make a new project from the starter spaceflights-pandas."""
    source = [starters, "--directory", "spaceflights-pandas"] if starters else ["spaceflights-pandas"]
    command = [KEDRO, "new", "--starter", *source, "--name", "spaceflights", "--telemetry", "no"]
    done = subprocess.run(command, cwd=scratch, env=ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"The starter could not be made; without a network, give a clone of kedro-starters:\n{done.stderr}")
    (scratch / "spaceflights" / "conf" / "base" / "mlflow.yml").write_text(MLFLOW)
    return scratch / "spaceflights"


def cpu_seconds(project: Path, command: str, answer: str) -> float:
    """User and system time of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([KEDRO, *command.split()], cwd=project, env=ENVIRONMENT, capture_output=True, text=True)
    if answer not in done.stdout + done.stderr:
        sys.exit(f"kedro {command} does not print {answer!r} in {project}:\n{(done.stdout + done.stderr)[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
