"""A journal gives back what was written, in order, whatever happened to its process or its disk."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from mixvision.tracking.journal import ENTRIES, FILES, STATE, Child, Entry, Journal


@pytest.fixture
def journal(tmp_path) -> Journal:
    return Journal.create(tmp_path / "digits" / "run", "sqlite:///mlflow.db", "1", "id of the parent")


def take_all(journal: Journal) -> list[Entry]:
    taken = []
    while entry := journal.next():
        taken.append(entry)
        journal.advance()
    return taken


def test_entries_come_back_in_order_and_once(journal):
    journal.write("create_run", "a", start_time=5)
    assert journal.next() == journal.next() == Entry("create_run", "a", {"start_time": 5})
    journal.advance()
    journal.write("log_metrics", "a", points=[("loss", 0.25, 7, 3)])
    journal.write("set_terminated", status="FINISHED", end_time=9)
    assert journal.unsent() == 2
    points, end = take_all(journal)
    assert points == Entry("log_metrics", "a", {"points": [["loss", 0.25, 7, 3]]})
    assert end == Entry("set_terminated", "", {"status": "FINISHED", "end_time": 9})
    assert journal.next() is None and journal.unsent() == 0


def test_a_later_process_goes_on_after_what_was_sent(journal):
    for name in "abc":
        journal.write("create_run", name, start_time=0)
    journal.state.runs["a"] = "id of a"
    journal.advance()
    later = Journal(journal.folder)
    assert later.state.runs == {"": "id of the parent", "a": "id of a"}
    assert [entry.run for entry in take_all(later)] == ["b", "c"]


def test_half_a_line_at_the_end_is_none(journal):
    journal.write("create_run", "a", start_time=0)
    whole = (journal.folder / ENTRIES).read_bytes()
    (journal.folder / ENTRIES).write_bytes(whole + whole.splitlines(keepends=True)[-1][:-4])
    assert [entry.run for entry in take_all(Journal(journal.folder))] == ["a"]


def test_a_line_with_flipped_bytes_is_left_out(journal):
    for name in "abc":
        journal.write("create_run", name, start_time=100)
    file = journal.folder / ENTRIES
    file.write_bytes(file.read_bytes().replace(b'"b", {"start_time": 100', b'"b", {"start_time": 900'))
    assert [entry.run for entry in take_all(Journal(journal.folder))] == ["a", "c"]


@pytest.mark.parametrize("text", [None, "", "{", '{"sent": 3}', "[]", "flipped"])
def test_a_state_that_is_lost_or_damaged_begins_anew(journal, text):
    for name in "ab":
        journal.write("create_run", name, start_time=0)
        journal.state.runs[name] = f"id of {name}"
        journal.advance()
    file = journal.folder / STATE
    if text is None:
        file.unlink()
    else:
        file.write_bytes(flip_a_byte(file.read_bytes()) if text == "flipped" else text.encode())
    later = Journal(journal.folder)
    assert (later.state.tracking_uri, later.state.experiment) == ("sqlite:///mlflow.db", "1")
    assert later.state.runs == {"": "id of the parent"} and later.state.is_lost
    assert [entry.run for entry in take_all(later)] == ["a", "b"]
    (journal.folder / ENTRIES).write_bytes(b"")
    file.unlink()
    with pytest.raises(ValueError, match="checksum"):
        Journal(journal.folder)


def flip_a_byte(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


class FullDisk:
    """The journal's file on a disk with room for half a line."""

    def __init__(self, file) -> None:
        self.file, self.is_full = file, True

    def write(self, line: bytes) -> int:
        return self.file.write(line[: len(line) // 2] if self.is_full else line)

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_full_disk_costs_only_the_entries_that_it_had_no_room_for(journal):
    journal.write("create_run", "a", start_time=0)
    journal.output = disk = FullDisk(journal.output)
    journal.write("create_run", "b", start_time=0)
    disk.is_full = False
    journal.write("create_run", "c", start_time=0)
    assert [entry.run for entry in take_all(journal)] == ["a", "c"] and journal.missed == 1


def test_a_file_is_kept_with_its_entry_unless_the_disk_is_full(journal):
    def fail(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal.keep_file("page.html", lambda path: path.write_text("first"), "a", "mixing")
    journal.keep_file("page.html", fail)
    (entry,) = take_all(journal)
    assert entry.do == "log_artifact" and entry.run == "a" and entry.arguments["folder"] == "mixing"
    assert (journal.folder / entry.arguments["file"]).read_text() == "first" and journal.missed == 1
    (journal.folder / FILES).rename(journal.folder / "elsewhere")
    (journal.folder / FILES).write_text("no folder, so nothing can be made in it")
    journal.keep_file("page.html", lambda path: path.write_text("third"))
    assert journal.missed == 2


def test_children_are_known_to_every_process_that_has_the_journal(journal):
    other = Journal(journal.folder)
    other.write("create_run", "a", start_time=0)
    journal.write("create_run", "b", start_time=0)
    other.write("log_params", "a", params={"ratio": "50"})
    other.write("set_terminated", "a", status="FINISHED", end_time=1)
    assert journal.children() == {"a": Child({"ratio": "50"}, is_open=False), "b": Child()}
