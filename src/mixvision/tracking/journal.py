"""A journal of what a run tells MLflow, on disk before it is sent: nothing is lost while MLflow cannot be reached."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from mixvision.files import checksum_of, replacing_file

log = logging.getLogger(__name__)

STATE, ENTRIES, FILES = "state", "entries", "files"
BEGIN = "begin"  # what the first entry does, which holds the state that the journal began with
PARENT = ""  # the name of the run that all others are children of


@dataclass(frozen=True)
class Entry:
    """One call to MLflow: a method of ``Sender``, the run's name and the other arguments."""

    do: str
    run: str
    arguments: dict[str, Any]


@dataclass
class Child:
    """A child run: its parameters, tags, the names of its files, and whether it has not ended."""

    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    is_open: bool = True


@dataclass
class State:
    """Where a journal's entries go, and how far they have been sent.

    Attributes:
        tracking_uri: the address of MLflow's database or server.
        experiment: the id of the runs' experiment.
        runs: the id of each run that was created, by its name.
        open: the names of runs that have not ended, without those that someone else ends.
        sent: how many bytes of the entries have been sent.
        is_lost: whether the state was lost and began anew, so that entries may have been sent before.
    """

    tracking_uri: str
    experiment: str
    runs: dict[str, str]
    open: list[str]
    sent: int = 0
    is_lost: bool = False


class Journal:
    """The entries of one run, in a folder of its own.

    Any number of threads and processes may write entries; one reads and sends them.
    """

    def __init__(self, folder: Path) -> None:
        """Open a journal; raises OSError or ValueError if neither its state nor its first entry can be read."""
        self.folder = folder
        self.state = _read_state(folder)
        self.output = (folder / ENTRIES).open("ab", buffering=0)
        self.input = (folder / ENTRIES).open("rb")
        self.missed = 0  # entries that could not be written
        self.lost = 0  # entries that are damaged, or that MLflow refused

    @classmethod
    def create(cls, folder: Path, tracking_uri: str, experiment: str, parent: str, is_foreign: bool = False) -> Journal:
        """Begin the journal of an open run, which someone else ends if it is foreign: its id is ``parent``."""
        folder.mkdir(parents=True)
        state = State(tracking_uri, experiment, {PARENT: parent}, [] if is_foreign else [PARENT])
        first = _line([BEGIN, PARENT, asdict(state)])
        (folder / ENTRIES).write_bytes(first)
        state.sent = len(first)
        (folder / STATE).write_bytes(_line(asdict(state)))
        return cls(folder)

    def write(self, do: str, run: str = PARENT, /, **arguments: Any) -> None:
        """Add an entry. A full disk costs the entry, but does not stop the run: tracking never does."""
        line = _line([do, run, arguments])
        end = self.output.seek(0, 2)
        try:
            if self.output.write(line) < len(line):
                raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            self.output.truncate(end)
            self.miss(error)

    def miss(self, error: OSError) -> None:
        """Note that something could not be kept; say so the first time."""
        if not self.missed:
            log.warning("MLflow will miss a part of this run, which cannot be written to %s: %s.", self.folder, error)
        self.missed += 1

    def keep_file(self, name: str, write: Callable[[Path], object], run: str = PARENT, folder: str = "") -> None:
        """Keep a file until it is sent as an artifact of a run: ``write`` is called with its path."""
        try:
            (self.folder / FILES).mkdir(exist_ok=True)
            path = Path(mkdtemp(dir=self.folder / FILES)) / name
            write(path)
            checksum = checksum_of(path)
            self.write("log_artifact", run, file=str(path.relative_to(self.folder)), folder=folder, checksum=checksum)
        except OSError as error:
            self.miss(error)

    def children(self) -> dict[str, Child]:
        """The run's child runs by their names, whichever process wrote them."""
        found: dict[str, Child] = {}
        for do, run, arguments in self._entries():
            if do == "create_run":
                found[run] = Child()
            elif run in found and do == "log_params":
                found[run].parameters.update(arguments["params"])
            elif run in found and do == "set_tag":
                found[run].tags[arguments["name"]] = arguments["value"]
            elif run in found and do == "log_artifact":
                found[run].files.add(Path(arguments["file"]).name)
            elif run in found and do == "set_terminated":
                found[run].is_open = False
        return found

    def _entries(self) -> Iterator[list[Any]]:
        """All entries that are whole, sent or not."""
        with (self.folder / ENTRIES).open("rb") as lines:
            for line in lines:
                with suppress(ValueError):
                    yield _value(line)

    def next(self) -> Entry | None:
        """The first entry that has not been sent, or None if there is none (or only half of one)."""
        while line := self._next_line():
            try:
                return Entry(*_value(line))
            except ValueError:
                log.warning("A line of MLflow's journal %s is damaged and is not sent.", self.folder / ENTRIES)
                self.lost += 1
                self.advance()
        return None

    def advance(self) -> None:
        """Go on to the entry after the next one, which was sent."""
        self.state.sent += len(self._next_line())
        with replacing_file(self.folder / STATE) as partial:
            partial.write_bytes(_line(asdict(self.state)))

    def unsent(self) -> int:
        """How many entries have not been sent."""
        self.input.seek(self.state.sent)
        return sum(line.endswith(b"\n") for line in self.input)

    def is_cut(self) -> bool:
        """Whether the entries end in the middle of one, or before what was sent: a part of them is lost."""
        size = self.input.seek(0, 2)
        self.input.seek(max(0, size - 1))
        return size < self.state.sent or self.input.read(1) not in (b"\n", b"")

    def ended_at(self) -> int:
        """When the last entry was written, in milliseconds since 1970."""
        return int((self.folder / ENTRIES).stat().st_mtime * 1000)

    def close(self) -> None:
        self.input.close()
        self.output.close()

    def remove(self) -> None:
        """Delete the journal with its files."""
        self.close()
        shutil.rmtree(self.folder)

    def _next_line(self) -> bytes:
        self.input.seek(self.state.sent)
        line = self.input.readline()
        return line if line.endswith(b"\n") else b""


def _read_state(folder: Path) -> State:
    """Read a journal's state. If it is lost or damaged, begin anew: MLflow takes what it has already without harm."""
    try:
        return State(**_value((folder / STATE).read_bytes()))
    except (FileNotFoundError, ValueError):
        with (folder / ENTRIES).open("rb") as entries:
            first = entries.readline()
    begin, _, state = _value(first)
    if begin != BEGIN:
        raise ValueError(f"{folder / ENTRIES} does not say where it goes")
    return State(**{**state, "sent": len(first), "is_lost": True})


def _line(value: Any) -> bytes:
    """A value as one line of JSON with a checksum before it."""
    text = json.dumps(value).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _value(line: bytes) -> Any:
    """The value of a line; raises ValueError if the line is damaged."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        raise ValueError("its checksum is wrong")
    return json.loads(text)
