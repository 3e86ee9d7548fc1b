"""An MLflow server that goes away for a minute in the middle of training: the run ends well, and no curve has a gap."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
from projects import Place, Project, remove
from references import Findings, Reference, compare
from runs import start

COUNT, SUBJECTS = 1, ["long_mixing"]
STOPPED = 60.0  # seconds without a server
PATIENCE = 900.0  # seconds in which a run must end, even if it waits for the server


@dataclass
class Case:
    subject: str
    status: int | None = None  # of the run whose server went away
    seconds: float = 0.0  # that it took
    then: Findings = field(default_factory=Findings)  # what was missing after it
    findings: Findings = field(default_factory=Findings)  # and after one more run
    trouble: str = ""

    @property
    def lost(self) -> bool:
        return self.status != 0 or bool(self.findings)


class Server:
    """An MLflow server for the database of a project, always at the same port."""

    def __init__(self, project: Project, port: int) -> None:
        self.project, self.port = project, port

    def start(self) -> None:
        """Start the server and wait until it answers."""
        address = ["--host=127.0.0.1", f"--port={self.port}", "--workers=1"]
        stores = [f"--backend-store-uri=sqlite:///{self.project.tracking}", "--artifacts-destination=mlartifacts"]
        with (self.project.aside / "server.log").open("ab") as log:
            command = [sys.executable, "-m", "mlflow", "server", *address, *stores]
            self.process = subprocess.Popen(
                command, cwd=self.project.folder, stdout=log, stderr=log, start_new_session=True
            )
        while not self._answers():
            if self.process.poll() is not None:
                raise RuntimeError(f"The MLflow server ended: see {log.name}.")
            time.sleep(0.5)

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _answers(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return answer.status == 200
        except (URLError, OSError):
            return False


def disturb(reference: Reference, place: Place, seed: Sequence[int]) -> Case:
    """Train with a server, stop it for a while, compare what it has; run once more and compare again."""
    generator, port, case = np.random.default_rng(seed), _free_port(), Case(reference.subject.name)
    project = reference.new_project(place, f"http://127.0.0.1:{port}")
    server = Server(project, port)
    server.start()
    try:
        run = start(project)
        training = next(stage for stage in reference.stages if stage.name.startswith("train "))
        run.wait_for(training, generator.uniform(0.2, 0.5))
        server.stop()
        run.wait(seconds=STOPPED)
        server.start()
        run.finish(PATIENCE)
        case.status, case.seconds, case.then = run.status, run.ended - run.began, compare(project, reference)
        start(project).finish(PATIENCE)
        case.findings = compare(project, reference)
    finally:
        server.stop()
    if case.lost:
        case.trouble = f"{run.log}: {run.last_words}"
    else:
        remove(project)
    return case


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def tables(cases: Sequence[Case]) -> list[list[dict[str, object]]]:
    """A row for each run whose server went away."""
    rows: list[dict[str, object]] = [
        {
            "subject": case.subject,
            "seconds without server": STOPPED,
            "status": case.status,
            "seconds of the run": round(case.seconds),
            "points missing then": case.then.points,
            "points missing after the next run": case.findings.points,
            "files that differ": len(case.findings.files),
            "lost": int(case.lost),
        }
        for case in cases
    ]
    return [rows]
