"""Finds a run whose process was killed between its start in MLflow and the first line of its journal.

Before a run is opened, a note with the time is left; it is removed when the journal has begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mixvision.tracking.endings import RECORDED, mark_as_killed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import RunInfo

NOTE = "starting"


def note_start(folder: Path, time: int) -> int | None:
    """Leave a note in a study's folder of journals; returns the time in that of a run which died, or None.

    Times are in milliseconds since 1970.
    """
    note = folder / NOTE
    former = int(note.read_text() or time) if note.exists() else None
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(str(time if former is None else former))
    return former


def remove_note(folder: Path) -> None:
    (folder / NOTE).unlink()


def end_dead_starts(client: MlflowClient, project: Path, between: tuple[int, int], found_by: RunInfo) -> list[str]:
    """Mark as killed the project's runs that began between two times and recorded nothing; returns their ids."""
    begins = f"attributes.start_time >= {between[0]} and attributes.start_time < {between[1]}"
    found = client.search_runs([found_by.experiment_id], f"attributes.status = 'RUNNING' and {begins}")
    own = client.get_run(found_by.run_id).data.tags
    tags = {run.info.run_id: run.data.tags for run in found}
    dead = [run_id for run_id in tags if _is_mine(tags[run_id], own, project) and RECORDED not in tags[run_id]]
    for run_id in dead:
        mark_as_killed(client, run_id, found_by.run_id, between[0])
    return dead


def _is_mine(tags: Mapping[str, str], own: Mapping[str, str], project: Path) -> bool:
    """Whether a run is of this project; by who started what if it died before Kedro's tags were set."""
    if "project_path" in tags:
        return tags["project_path"] == str(project)
    return all(tags.get(name) == own.get(name) for name in ("mlflow.user", "mlflow.source.name"))
