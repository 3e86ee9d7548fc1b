"""What a run leaves, compared with what an uninterrupted run of the same command leaves."""

from __future__ import annotations

import csv
import hashlib
import sqlite3
from collections import Counter
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path

from projects import Project
from pyarrow import ArrowException, parquet

# What differs between two uninterrupted runs, and so is not compared; of all other files every byte is.
TIMES = {"seconds", "stack_seconds", "train_seconds", "images_per_second", "mtime_ns", "ctime_ns", "inode"}
EXCLUDED = {
    ".provenance/*": "has digests of tables with training times",
    ".locks/*": "says which process had a lock, and since when",
    "02_intermediate/*/settings.json": "has the checksum of the inventory, which has the times of files",
    "06_models/*/tuning/studies/studies.db": "has the times of Optuna's trials",
    "08_reporting/*/baselines/page.html": "shows training times",
    "08_reporting/*/baselines/summary.md": "shows training times",
    "08_reporting/*/transfer/page.html": "shows images per second",
    "08_reporting/*/transfer/summary.md": "shows images per second",
}

SET_ASIDE = ".damaged"  # what a run found damaged is kept under another name


def digests(project: Project) -> dict[str, str]:
    """The digest of every file in data/ by its path, without times; "" for one that is not compared."""
    files = {path.relative_to(project.data).as_posix(): path for path in project.data.rglob("*") if path.is_file()}
    return {name: "" if _is_excluded(name) else _digest(path) for name, path in files.items()}


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """What is missing, left over or different, in words."""
    words = [f"missing: {name}" for name in sorted(expected.keys() - found.keys())]
    left = sorted(name for name in found.keys() - expected.keys() if not name.endswith(SET_ASIDE))
    words += [f"left over: {name}" for name in left]
    both = sorted(expected.keys() & found.keys())
    return words + [f"different: {name}" for name in both if found[name] != expected[name]]


def curves(project: Project) -> dict[tuple[str, str, int], float]:
    """Every point that MLflow has, by the trial, the metric and the step, from whichever of its runs logged it."""
    query = "SELECT r.name, m.key, m.step, m.value FROM metrics m JOIN runs r ON r.run_uuid = m.run_uuid"
    points = {(trial, metric, step): value for trial, metric, step, value in _ask(project.tracking, query)}
    return {point: value for point, value in points.items() if point[1].rpartition("/")[2] not in TIMES}


def statuses(project: Project) -> Counter[str]:
    """How many runs MLflow has, by their status."""
    return Counter(status for (status,) in _ask(project.tracking, "SELECT status FROM runs"))


def _ask(database: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def _is_excluded(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in EXCLUDED)


def _digest(file: Path) -> str:
    try:
        content = _without_times(file)
    except (ValueError, ArrowException):  # a damaged table differs by its bytes
        content = None
    return hashlib.sha256(file.read_bytes() if content is None else content).hexdigest()


def _without_times(file: Path) -> bytes | None:
    """A table's content without columns of times; None for a file without such columns."""
    if file.suffix == ".csv":
        rows = list(csv.DictReader(file.read_text().splitlines()))
        if rows and TIMES & rows[0].keys():
            return repr([[pair for pair in row.items() if pair[0] not in TIMES] for row in rows]).encode()
    if file.suffix == ".parquet":
        with parquet.ParquetFile(file) as table:
            names = table.schema_arrow.names
            if TIMES & set(names):  # read without threads, which do not survive a fork
                kept = table.read([name for name in names if name not in TIMES], use_threads=False)
                return repr(kept.to_pydict()).encode()
    return None
