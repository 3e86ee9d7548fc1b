"""What to do if MLflow cannot be used when a run starts: one sentence that names the file or the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mixvision.addresses import shown

SQLITE = "sqlite:///"
SETTING = "server.mlflow_tracking_uri in mlflow.yml (or the variable MLFLOW_TRACKING_URI)"
HALF_MADE = "was only half made by a process that was stopped: delete it, and the next run makes a new one"
DAMAGED = "is damaged: move it away, and the next run makes a new one. mlruns/ still has the artifacts of its runs"
REMEDIES = {  # by a part of SQLite's message
    "database is locked": "is locked by another program: close what writes to it (a backup, a database browser)",
    "readonly database": f"cannot be written: allow it for the file and its folder, or set {SETTING} to another one",
    "unable to open database": f"cannot be opened: make its folder, allow it for both, or correct {SETTING}",
    "is full": "cannot grow, because the disk is full: make room",
    "not a database": DAMAGED,
    "malformed": DAMAGED,
    "duplicate column name": HALF_MADE,
    "OperationalError) table": HALF_MADE,  # "... already exists"
    "found version None": HALF_MADE,
    "out-of-date database schema": "is of another version of MLflow: copy it, then run mlflow db upgrade for it",
}


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Turn an error of MLflow's database or server at an address into a RuntimeError that says what to do."""
    try:
        yield
    except Exception as error:
        if remedy := _explain(error, address):
            raise RuntimeError(remedy) from None
        raise


def _explain(error: Exception, address: str) -> str | None:
    text, file = str(error), file_of(address)
    if type(error).__name__.startswith("Unsupported"):  # of tracking or of the model registry
        return f"MLflow cannot use the address {shown(address)}: correct {SETTING}; {SQLITE}mlflow.db needs no server."
    if file:
        found = (remedy for sign, remedy in REMEDIES.items() if sign in text)
        return next((f"MLflow's database {file} {remedy}." for remedy in found), None)
    if "failed with exception" in text or isinstance(error, OSError):  # MLflow's client, or requests below it
        return (
            f"The MLflow server {shown(address)} cannot be reached: start it, or correct {SETTING}; "
            f"{SQLITE}mlflow.db needs no server."
        )
    return None


def file_of(address: str) -> Path | None:
    """The file of a SQLite address; None for a server."""
    return Path(address.removeprefix(SQLITE).partition("?")[0]) if address.startswith(SQLITE) else None
