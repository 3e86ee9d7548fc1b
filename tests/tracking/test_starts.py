"""A run whose process was killed before it could begin a journal is found by the next one."""

from __future__ import annotations

import shutil

import mlflow
import pytest

from mixvision.tracking.runs import NOTE
from mixvision.tracking.starts import end_dead_starts, note_start, remove_note


@pytest.fixture
def client(tmp_path, empty_tracking) -> mlflow.MlflowClient:
    shutil.copy(empty_tracking, tmp_path)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    client.create_experiment("digits", artifact_location=str(tmp_path))
    return client


def open_run(client: mlflow.MlflowClient, start: int, **tags: str) -> mlflow.entities.RunInfo:
    experiment = client.get_experiment_by_name("digits").experiment_id
    return client.create_run(experiment, start, tags).info


def test_a_note_is_kept_until_a_run_has_its_journal(tmp_path):
    folder = tmp_path / "journals" / "digits"
    assert note_start(folder, 1000) is None
    assert note_start(folder, 2000) == 1000  # the first one died, and so did the second
    assert note_start(folder, 3000) == 1000
    remove_note(folder)
    assert note_start(folder, 4000) is None


def test_only_runs_of_this_project_without_a_record_are_marked_as_killed(client, tmp_path):
    here, elsewhere = str(tmp_path), "/another/project"
    me = {"mlflow.user": "me", "mlflow.source.name": "/project/kedro"}
    dead = open_run(client, 1000, project_path=here)
    barely_begun = open_run(client, 1100, **me)
    others = [
        open_run(client, 900, project_path=here),  # before the note
        open_run(client, 1500, project_path=here, machine="this one"),  # it has a journal
        open_run(client, 1500, project_path=elsewhere),
        open_run(client, 1500, **me | {"mlflow.user": "another"}),
        open_run(client, 2000, project_path=here, **me),  # it is just beginning
    ]
    found = end_dead_starts(client, tmp_path, (1000, 2000), others[-1])
    run = client.get_run(dead.run_id)
    assert (
        set(found) == {dead.run_id, barely_begun.run_id}
        and run.info.status == "KILLED"
        and run.info.end_time >= run.info.start_time
    )
    assert others[-1].run_id in run.data.tags["ended"]
    note = run.data.tags[NOTE]
    assert note.startswith("**Killed:** This run ended") and note.endswith("run its command again.")
    assert {client.get_run(other.run_id).info.status for other in others} == {"RUNNING"}
