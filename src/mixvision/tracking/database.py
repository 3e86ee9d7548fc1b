"""MLflow's SQLite file, the default: made completely or not at all, and checked when a run starts."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from mixvision.files import replacing_file
from mixvision.tracking.failures import explained, file_of


def create_database(address: str) -> None:
    """Make the file if there is none. It gets its name when it is complete: MLflow cannot go on with half of one."""
    file = file_of(address)
    if not file or file.exists():
        return
    from mlflow import MlflowClient

    with explained(address), replacing_file(file) as partial:
        for leftover in (partial, partial.with_name(f"{partial.name}-journal")):  # of a process that was killed
            leftover.unlink(missing_ok=True)
        with closing(sqlite3.connect(partial)):  # fails at once where MLflow would try for minutes
            pass
        MlflowClient(f"sqlite:///{partial}").search_experiments()


def check_database(address: str) -> None:
    """Raise RuntimeError if the file has damaged pages, which MLflow would notice only when it uses them."""
    file = file_of(address)
    if not file or not file.exists():
        return
    with explained(address), closing(sqlite3.connect(file, timeout=1)) as database:
        (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if answer != "ok":
            raise sqlite3.DatabaseError("malformed")
