"""What MLflow says of a run whose process was killed: its end, and how to go on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mixvision.tracking.runs import LONGEST_TAG, NOTE

if TYPE_CHECKING:
    from mlflow import MlflowClient

RECORDED = "machine"  # a tag that a journal begins with
COMMAND = "kedro_command"  # a tag, which is complete in runs that have a journal
GO_ON = "Run the same command again: it goes on from the last checkpoint and keeps what is done."
BARELY_BEGUN = "It had only begun, and nothing is lost: run its command again."


def mark_as_killed(client: MlflowClient, run_id: str, found_by: str, ended: int) -> None:
    """End a run whose process died at about ``ended``, in milliseconds since 1970, and describe what happened."""
    from mlflow.entities import RunTag

    run = client.get_run(run_id)
    ended = max(ended, run.info.start_time)
    finder = f"#/experiments/{run.info.experiment_id}/runs/{found_by}"
    note = _note(
        run.data.tags, _clock(ended), f"[a later run]({finder}) noticed it at {_clock(int(time.time() * 1000))}"
    )
    tags = [RunTag("ended", f"found dead by the run {found_by}"), RunTag(NOTE, note[:LONGEST_TAG])]
    client.log_batch(run_id, tags=tags)  # together: a run that is found twice keeps one note
    client.set_terminated(run_id, "KILLED", ended)


def _note(tags: dict[str, str], ended: str, noticed: str) -> str:
    """A run's description: what was asked, that it was killed, how to go on, and its description before that."""
    former = tags.get(NOTE, "")
    if "mlflow.parentRunId" in tags:
        return f"Killed with its run at about {ended}; {noticed}. {former}".strip()
    asked, remedy = (
        (f"`{tags[COMMAND]}`", GO_ON) if RECORDED in tags and COMMAND in tags else ("This run", BARELY_BEGUN)
    )
    return f"**Killed:** {asked} ended without a word at about {ended}; {noticed}. {remedy}\n\n{former}".strip()


def _clock(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(milliseconds / 1000))
