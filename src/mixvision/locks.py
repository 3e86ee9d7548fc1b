"""Locks by which two runs in one project wait for each other: runs of one study, and those that set up MLflow."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from mixvision.hooks import study_of
from mixvision.interruptions import after_cell

log = logging.getLogger(__name__)

FOLDER = "data/.locks"


class Lock:
    """A lock with a file that says who holds it. The system releases it when the process ends, however it ends."""

    def __init__(self, folder: Path, name: str) -> None:
        from filelock import FileLock  # imported here, as most commands lock nothing

        self.lock, self.holder = FileLock(folder / f"{name}.lock"), folder / f"{name}.holder"

    def acquire(self, what: str) -> None:
        """Take the lock; if another process has it, say ``what`` is waited for, and wait."""
        from filelock import Timeout

        folder = self.holder.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.lock.acquire(timeout=0)
        except Timeout:
            log.warning("Waiting for %s: %s.", what, self._read_holder())
            self.lock.acquire()
        except OSError as error:
            raise OSError(
                f"The folder of locks, {folder.absolute()}, cannot be used ({error.strerror}): delete it, or make it a "
                "folder that you can write to."
            ) from error
        with suppress(OSError):  # it only tells others who waits for whom
            self.holder.write_text(f"process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}")

    def release(self) -> None:
        self.lock.release()

    def _read_holder(self) -> str:
        try:
            return self.holder.read_text()
        except OSError:  # it has just begun
            return "it has just begun"


@contextmanager
def lock_of_set_up(project: Path) -> Iterator[None]:
    """Let one process at a time set up MLflow: two would migrate its new database at once, and one would fail."""
    lock = Lock(project / FOLDER, "mlflow")
    lock.acquire("another run to set up MLflow")
    try:
        yield
    finally:
        lock.release()


class StudyLock:
    """Lets one run of a study at a time write its data; runs of other studies go on beside it."""

    def __init__(self) -> None:
        self.study, self.folder = "", Path()
        self.lock: Lock | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        self.study = study_of(context)
        self.folder = Path(context.project_path) / FOLDER

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        self._release()  # of an earlier run in this process that ended without a word
        after_cell(self._release)
        self.lock = Lock(self.folder, f"study-{self.study}")
        self.lock.acquire(f"another run of the study {self.study!r} to end")

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        self._release()

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        self._release()

    def _release(self) -> None:
        if self.lock:
            self.lock.release()
            self.lock = None
