"""MLflow's SQLite file, the default: made completely or not at all, and checked when a run starts. Or its server."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from mixvision.files import replacing_file
from mixvision.tracking.failures import explained, file_of
from mixvision.tracking.settings import ARTIFACTS

SECONDS_TO_ANSWER = 10.0  # of a server; MLflow itself would wait for minutes


def check_server(address: str) -> None:
    """Raise RuntimeError if a server takes the call but does not answer. Other faults MLflow tells at once."""
    if not address.startswith("http"):
        return
    import requests

    with explained(address), suppress(requests.exceptions.SSLError, requests.exceptions.InvalidURL):
        requests.get(f"{address.rstrip('/')}/health", timeout=SECONDS_TO_ANSWER)


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


def follow_move(address: str) -> None:
    """Correct the places of artifacts if the project was moved or copied: MLflow stores them with full paths.

    A place that is still there stays, unless the same is beside the database: it may be that of another project. In a
    copy without artifacts, those of earlier runs stay with the original, and new ones are written beside the copy.
    """
    file = file_of(address)
    if not file or not file.exists():
        return
    folder = file.resolve().parent / ARTIFACTS
    with explained(address), closing(sqlite3.connect(file, timeout=1)) as database, database:
        known = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}  # few in one that is half made
        places = {"experiments": "artifact_location", "runs": "artifact_uri", "logged_models": "artifact_location"}
        for table, column in places.items() if places.keys() <= known else ():
            for (place,) in database.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall():
                former, found, below = (place or "").partition(f"/{ARTIFACTS}/")
                moved, original = folder / below, Path(former) / file.name
                is_copy = table == "experiments" and original.exists() and not original.samefile(file)
                if found and "://" not in former and (moved.exists() or not Path(place).exists() or is_copy):
                    database.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (moved.as_posix(), place))


def check_database(address: str) -> None:
    """Raise RuntimeError if the file has damaged pages, which MLflow would notice only when it uses them."""
    file = file_of(address)
    if not file or not file.exists():
        return
    with explained(address), closing(sqlite3.connect(file, timeout=1)) as database:
        (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if answer != "ok":
            raise sqlite3.DatabaseError("malformed")
