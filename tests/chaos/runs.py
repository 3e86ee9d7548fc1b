"""Runs of the project's command that can be killed.

Each is forked from this process, which has imported all libraries: importing them takes longer than most of the
pipelines here. `run_cold` starts the command as a user does, which shows that a forked run computes the same.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from projects import Project
from stages import Stage, begun, hooks_with_notes, note_start

LONGEST = 300.0  # seconds that a run may take
HEAVY = """
    captum.attr faiss kedro.framework.cli.cli kedro.runner kedro_datasets.pandas kedro_datasets.partitions
    kedro_mlflow.framework.hooks kedro_viz.launchers.cli.main lightning mlflow.store.tracking.sqlalchemy_store
    mlflow.tracing.processor.otel_metrics_mixin optuna plotly.express pytorch_lightning timm
"""
PIPELINES = """
    alternatives as_is baselines conclusions ingestion iterative leakage mixing sanity_check streams submission transfer
    tuning
"""


def import_everything() -> None:
    """Import what the pipelines use; no threads may be started before the last fork."""
    os.environ["COLUMNS"] = "500"  # so that the log breaks no path
    for module in (*HEAVY.split(), *(f"mixvision.pipelines.{name}.pipeline" for name in PIPELINES.split())):
        importlib.import_module(module)


@dataclass
class Run:
    """A run in a process group of its own."""

    process: int
    log: Path
    notes: Path
    status: int | None = None  # the exit status, or minus the number of the signal that ended it
    ended: float = 0.0
    began: float = field(default_factory=time.time)

    def poll(self) -> bool:
        """Whether the run has ended."""
        if self.status is None:
            process, status = os.waitpid(self.process, os.WNOHANG)
            if process:
                self.status, self.ended = os.waitstatus_to_exitcode(status), time.time()
        return self.status is not None

    def wait(self, until: Callable[[], bool] = lambda: False, seconds: float = LONGEST) -> bool:
        """Wait until the run has ended or something else is true; whether one of both happened in this time."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if self.poll() or until():
                return True
            time.sleep(0.005)
        return False

    def wait_for(self, stage: Stage, fraction: float) -> None:
        """Wait until a fraction of a stage has passed."""
        self.wait(lambda: begun(self.notes, stage))
        self.wait(seconds=fraction * stage.seconds)

    def finish(self, seconds: float = LONGEST) -> bool:
        """Wait for the end; whether it was a good one. A run that takes too long is killed."""
        if not self.wait(seconds=seconds):
            self.kill()
        return self.status == 0

    def kill(self, sent: signal.Signals = signal.SIGKILL) -> None:
        """End the run and what it started by a signal; the system sends SIGTERM before it sends SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process, sent)
        if sent != signal.SIGKILL and not self.wait(seconds=30):
            self.kill()
        while not self.poll():
            time.sleep(0.005)

    @property
    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return " / ".join(line.strip() for line in lines[-12:] if line.strip())


def start(project: Project, *arguments: str) -> Run:
    """Start the project's command, or `kedro run` with other arguments."""
    number = len(list(project.aside.glob("run-*.log"))) + 1
    log, notes = project.aside / f"run-{number}.log", project.aside / f"run-{number}.stages"
    log.touch()
    process = os.fork()
    if process == 0:
        _leave_with(_run(project, log, notes, arguments or (f"--pipelines={project.subject.pipelines}",)))
    return Run(process, log, notes)


def run_cold(project: Project) -> None:
    """Run the command in a fresh interpreter.

    Raises:
        CalledProcessError: the run failed.
    """
    command = [sys.executable, "-m", "kedro", "run", f"--pipelines={project.subject.pipelines}"]
    environment = {**os.environ, "TMPDIR": str(project.temporary)}
    with (project.aside / "cold.log").open("wb") as log:
        subprocess.run(command, cwd=project.folder, env=environment, stdout=log, stderr=log, check=True)


def _run(project: Project, log: Path, notes: Path, arguments: tuple[str, ...]) -> int:
    """Become a run: what `kedro run` does after its imports. Returns the exit status."""
    os.setsid()
    os.chdir(project.folder)
    for stream in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND), stream)
    os.environ["TMPDIR"], tempfile.tempdir = str(project.temporary), None
    sys.argv = ["kedro", "run", *arguments]
    try:
        settings = importlib.import_module("mixvision.settings")
        settings.__dict__["HOOKS"] = hooks_with_notes(settings.HOOKS, notes)
        note_start(notes)
        runpy.run_module("kedro", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _leave_with(status: int) -> None:
    """End the process as the interpreter does, but without returning to the functions that forked it."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)
