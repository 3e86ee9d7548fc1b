"""What a journal holds reaches MLflow once and in order, if not now then later."""

from __future__ import annotations

import os
import shutil
import time
from unittest.mock import Mock

import mlflow
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE

from mixvision.tracking import sender as sending
from mixvision.tracking.hooks import TrackedRun
from mixvision.tracking.journal import ENTRIES, STATE, Journal
from mixvision.tracking.runs import NOTE
from mixvision.tracking.sender import BackgroundSender, Sender, send_what_is_left
from mixvision.training.events import TrainingEvents


@pytest.fixture(scope="module")
def client(tmp_path_factory, empty_tracking) -> mlflow.MlflowClient:
    folder = tmp_path_factory.mktemp("sent")
    shutil.copy(empty_tracking, folder)
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    client.create_experiment("digits", artifact_location=(folder / "artifacts").as_uri())
    return client


@pytest.fixture
def journal(tmp_path, client) -> Journal:
    """The journal of a run that is open in MLflow."""
    experiment = client.get_experiment_by_name("digits").experiment_id
    parent = client.create_run(experiment, start_time=500).info.run_id
    return Journal.create(tmp_path / "digits" / parent, client.tracking_uri, experiment, parent)


def write_a_trial(journal: Journal) -> None:
    journal.write("create_run", "a", start_time=1000)
    journal.write("log_params", "a", params={"ratio": "50"})
    journal.write("log_metrics", "a", points=[("loss", 0.5, 1100, 4), ("loss", 0.25, 1200, 8)])
    journal.keep_file("best.safetensors", lambda path: path.write_bytes(b"weights"), "a")
    journal.write("log_model", "a", params={"ratio": "50"}, weights="best.safetensors")
    journal.write("set_tag", name="predecessors", value="none")
    journal.write("set_terminated", "a", status="FINISHED", end_time=2000)


def children(client: mlflow.MlflowClient, journal: Journal) -> list:
    mine = f"tags.`mlflow.parentRunId` = '{journal.state.runs['']}'"
    return client.search_runs([journal.state.experiment], mine)


def test_the_experiment_gets_a_view_of_its_results(client, journal):
    journal.write("save_view", time=1000)
    Sender(journal).send()
    (view,) = (value for name, value in client.get_experiment(journal.state.experiment).tags.items() if "View" in name)
    assert '"name": "Results"' in view


def models_of(client: mlflow.MlflowClient, run: str) -> list[str]:
    return [output.model_id for output in client.get_run(run).outputs.model_outputs]


def test_a_trial_arrives_with_the_times_at_which_things_happened(client, journal):
    write_a_trial(journal)
    Sender(journal).send()
    (child,) = children(client, journal)
    assert (child.info.run_name, child.info.status) == ("a", "FINISHED")
    assert (child.info.start_time, child.info.end_time) == (1000, 2000)
    assert child.data.tags["mlflow.user"] and child.data.tags["mlflow.source.name"]
    assert child.data.params == {"ratio": "50"}
    curve = client.get_metric_history(child.info.run_id, "loss")
    assert [(point.step, point.value, point.timestamp) for point in curve] == [(4, 0.5, 1100), (8, 0.25, 1200)]
    assert [file.path for file in client.list_artifacts(child.info.run_id)] == ["best.safetensors"]
    assert client.get_run(journal.state.runs[""]).data.tags["predecessors"] == "none"
    assert not [path for path in journal.folder.glob("files/*/*")]


def test_a_chosen_network_is_a_model_of_its_run_and_of_the_parent(client, journal):
    write_a_trial(journal)
    Sender(journal).send()
    (child,) = children(client, journal)
    (known,) = models_of(client, child.info.run_id)
    assert models_of(client, journal.state.runs[""]) == [known]
    model = client.get_logged_model(known)
    assert (model.name, model.status, model.params) == ("a", "READY", {"ratio": "50"})
    assert model.tags["weights"] == f"runs:/{child.info.run_id}/best.safetensors"


def test_a_run_whose_creation_was_not_confirmed_is_not_created_twice(client, journal, monkeypatch):
    """The server did it, but its answer was lost; after that each call is made twice."""
    write_a_trial(journal)
    sender = Sender(journal)
    create = sender.client.create_run

    def create_and_lose_the_answer(*arguments, **options):
        create(*arguments, **options)
        raise MlflowException("the answer was lost", TEMPORARILY_UNAVAILABLE)

    monkeypatch.setattr(sender.client, "create_run", create_and_lose_the_answer)
    with pytest.raises(MlflowException):
        sender.send()
    monkeypatch.undo()
    sender.send()
    (child,) = children(client, journal)
    assert child.info.status == "FINISHED"


def test_what_a_killed_process_had_sent_but_not_noted_is_sent_again_without_doubling(client, journal):
    write_a_trial(journal)
    Sender(journal).send()
    for line, name in enumerate(["create_run", "log_params", "log_metrics"], start=1):
        state = (journal.folder / STATE).read_text()
        journal.state.sent = sum(map(len, (journal.folder / "entries").read_bytes().splitlines(True)[:line]))
        assert journal.next().do == name
        again = Sender(journal)
        again.repeats = True
        getattr(again, name)("a", **journal.next().arguments)
        (journal.folder / STATE).write_text(state)
    (child,) = children(client, journal)
    assert [point.step for point in client.get_metric_history(child.info.run_id, "loss")] == [4, 8]


def test_a_journal_that_lost_its_state_is_sent_again_without_doubling(client, journal):
    write_a_trial(journal)
    Sender(journal).send()
    before = children(client, journal)
    journal.keep_file("page.html", lambda path: path.write_text("the page"))
    (journal.folder / STATE).unlink()
    journal.close()
    send_what_is_left(journal.folder.parent, "the next run")
    assert [child.to_dictionary() for child in children(client, journal)] == [child.to_dictionary() for child in before]
    history = client.get_metric_history(before[0].info.run_id, "loss")
    assert [point.step for point in history] == [4, 8]
    assert [file.path for file in client.list_artifacts(journal.state.runs[""])] == ["page.html"]
    assert len(models_of(client, journal.state.runs[""])) == len(models_of(client, before[0].info.run_id)) == 1
    assert not journal.folder.exists()


def test_a_file_that_is_damaged_before_it_is_sent_stays_out_of_mlflow(client, journal):
    for name in ("first.html", "second.html"):
        journal.keep_file(name, lambda path: path.write_text("a page"))
    next(journal.folder.glob("files/*/first.html")).write_text("b page")
    Sender(journal).send()
    assert [file.path for file in client.list_artifacts(journal.state.runs[""])] == ["second.html"]
    assert journal.unsent() == 0


def test_a_run_whose_journal_was_damaged_is_marked_and_what_is_lost_is_not_counted_as_sent(client, journal, caplog):
    for value in ("one", "two", "three"):
        journal.write("set_tag", name=value, value=value)
    journal.keep_file("page.html", lambda path: path.write_text("the page"))
    next(journal.folder.glob("files/*/page.html")).write_text("a page")
    entries = journal.folder / "entries"
    entries.write_bytes(entries.read_bytes().replace(b"two", b"too"))
    journal.close()
    send_what_is_left(journal.folder.parent, "the next run")
    tags = client.get_run(journal.state.runs[""]).data.tags
    assert tags["one"] == "one" and tags["three"] == "three" and "two" not in tags
    assert tags["incomplete"].startswith("2 entries")
    assert "MLflow now has 2 entries" in caplog.text and "2 entries are lost" in caplog.text


def test_an_entry_that_mlflow_refuses_does_not_hold_up_the_others(client, journal):
    journal.write("create_run", "a", start_time=0)
    journal.write("log_metrics", "a", points=[("no % in names", 0.5, 0, 0)])
    journal.write("log_metrics", "never created", points=[("loss", 0.5, 0, 0)])
    journal.write("log_metrics", "a", points=[("loss", 0.5, 0, 0)])
    Sender(journal).send()
    (child,) = children(client, journal)
    assert child.data.metrics == {"loss": 0.5} and journal.unsent() == 0


class Absent:
    """Stands in for a server that is away for the first calls."""

    def __init__(self, sender: Sender, calls: float, monkeypatch) -> None:
        self.left, self.send = calls, sender.send
        monkeypatch.setattr(sender, "send", self)

    def __call__(self) -> None:
        self.left -= 1
        if self.left >= 0:
            raise MlflowException("connection refused", TEMPORARILY_UNAVAILABLE)
        self.send()


def test_the_background_goes_on_when_mlflow_is_back(client, journal, monkeypatch):
    monkeypatch.setattr(sending, "SECONDS_BETWEEN_TRIES", 0.01)
    background = BackgroundSender(journal)
    absent = Absent(background.sender, 3, monkeypatch)
    background.start()
    write_a_trial(journal)
    while absent.left >= 0:
        time.sleep(0.01)
    assert background.close() and not background.error
    (child,) = children(client, journal)
    assert child.info.status == "FINISHED"


def test_the_background_gives_up_at_the_end_and_the_next_run_sends_the_rest(client, journal, monkeypatch):
    monkeypatch.setattr(sending, "PATIENCE", 0.1)
    background = BackgroundSender(journal)
    Absent(background.sender, float("inf"), monkeypatch)
    background.start()
    write_a_trial(journal)
    journal.write("set_terminated", status="FAILED", end_time=3000)
    assert not background.close() and str(background.error).endswith("connection refused")
    background.join()
    assert not children(client, journal) and journal.unsent() == 8

    assert send_what_is_left(journal.folder.parent, "the next run") == []
    (child,) = children(client, journal)
    assert child.info.status == "FINISHED"
    assert client.get_run(journal.state.runs[""]).info.status == "FAILED"
    assert not journal.folder.exists()


def test_runs_of_a_killed_process_are_marked_as_killed_and_say_how_to_go_on(client, journal):
    tags = {"kedro_command": "kedro run --env=mine", "machine": "this one", NOTE: "The summary of an earlier step."}
    for name, value in tags.items():
        journal.write("set_tag", name=name, value=value)
    journal.write("create_run", "ended", start_time=0)
    journal.write("set_terminated", "ended", status="FINISHED", end_time=0)
    journal.write("create_run", "cut short", start_time=0)
    dead = send_what_is_left(journal.folder.parent, "the next run")
    found = {run.info.run_name: run for run in children(client, journal)}
    assert found["ended"].info.status == "FINISHED" and found["cut short"].info.status == "KILLED"
    parent = client.get_run(journal.state.runs[""])
    assert parent.info.status == "KILLED" and parent.data.tags["ended"] == "found dead by the run the next run"
    assert "a later run](#/experiments/" in found["cut short"].data.tags[NOTE]
    note = parent.data.tags[NOTE]
    assert note.startswith("**Killed:** `kedro run --env=mine` ended without a word at about ") and "noticed it" in note
    assert "Run the same command again" in note and note.endswith("The summary of an earlier step.")
    assert set(dead) == {parent.info.run_id, found["cut short"].info.run_id}


def refuse(sender: Sender) -> None:
    raise MlflowException("connection refused", TEMPORARILY_UNAVAILABLE)


@pytest.mark.parametrize("kept", [0, 100, None])
def test_a_journal_that_is_cut_off_is_said_to_be(client, journal, caplog, kept):
    write_a_trial(journal)
    Sender(journal).send()
    journal.write("set_tag", name="late", value="yes")
    entries = (journal.folder / "entries").read_bytes()
    (journal.folder / "entries").write_bytes(entries[:-5] if kept is None else entries[:kept])
    os.utime(journal.folder / "entries", (5000, 5000))
    parent = journal.state.runs[""]
    send_what_is_left(journal.folder.parent, "another")
    assert "is cut off: MLflow will miss a part of that run" in caplog.text
    assert client.get_run(parent).info.end_time == 5_000_000, "when the process wrote last"


class FullDisk:
    """Entries on a disk without room."""

    def seek(self, *_):
        return 0

    def write(self, _):
        return 0

    def truncate(self, _):
        pass

    def close(self):
        pass


@pytest.mark.parametrize("is_reached", [True, False])
def test_a_full_disk_does_not_hide_that_runs_have_ended(client, journal, monkeypatch, is_reached):
    """MLflow is told without the journal, or by the next run, which finds the journal."""
    run = TrackedRun(journal, TrainingEvents(), is_foreign=False)
    run.trials.started(pd.DataFrame({"trial": ["a"]}))
    monkeypatch.setattr(journal, "output", FullDisk())
    if not is_reached:
        monkeypatch.setattr(run.sender.sender.client, "set_terminated", Mock(side_effect=OSError("disk is full")))
    parent = journal.state.runs[""]
    assert run.end("FAILED") is is_reached
    (child,) = children(client, journal)
    if is_reached:
        assert not journal.folder.exists()
    else:
        assert (client.get_run(parent).info.status, child.info.status) == ("RUNNING", "RUNNING")
        assert set(send_what_is_left(journal.folder.parent, "another")) == {parent, child.info.run_id}
    expected = "FAILED" if is_reached else "KILLED"
    assert {client.get_run(run_id).info.status for run_id in (parent, child.info.run_id)} == {expected}


def test_a_run_that_someone_else_opened_is_not_ended(client, journal):
    parent = journal.state.runs[""]
    foreign = Journal.create(journal.folder.with_name("foreign"), client.tracking_uri, "1", parent, is_foreign=True)
    assert TrackedRun(foreign, TrainingEvents(), is_foreign=True).end("FINISHED")
    assert client.get_run(parent).info.status == "RUNNING"


def test_journals_that_cannot_be_sent_or_read_stay_and_stop_nothing(journal, tmp_path, monkeypatch):
    journal.write("create_run", "a", start_time=0)
    broken = tmp_path / "digits" / "broken"
    shutil.copytree(journal.folder, broken)
    (broken / STATE).write_text("{")
    (broken / ENTRIES).write_text("{")
    with monkeypatch.context() as away:
        away.setattr(Sender, "send", refuse)
        assert send_what_is_left(journal.folder.parent, "the next run") == []
    assert len(send_what_is_left(journal.folder.parent, "the next run")) == 2
    assert not journal.folder.exists() and broken.exists()


def test_refusals_are_those_of_mlflow():
    assert MlflowException("bad name", INVALID_PARAMETER_VALUE).error_code in sending.REFUSALS
    assert MlflowException("later", TEMPORARILY_UNAVAILABLE).error_code not in sending.REFUSALS


def test_a_sender_that_gave_up_leaves_the_journal_to_the_next_one(client, journal, monkeypatch):
    """In a notebook its thread is still in a call when the next run begins to send."""
    write_a_trial(journal)
    late = Sender(journal)
    create, sent = late.client.create_run, journal.state.sent

    def create_late(*arguments, **options):
        late.given_up = True
        return create(*arguments, **options)

    monkeypatch.setattr(late.client, "create_run", create_late)
    late.send()
    assert journal.state.sent == sent == Journal(journal.folder).state.sent
    Sender(Journal(journal.folder)).send()
    (child,) = children(client, journal)
    assert child.info.status == "FINISHED"
