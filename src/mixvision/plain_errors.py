"""An error of a run as one sentence; its traceback goes to a file."""

from __future__ import annotations

import errno
import os
import re
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kedro.io import DatasetError
from kedro.validation.exceptions import ParameterValidationError

from mixvision.parameter_names import what_was_meant

WRONG_PARAMETER = re.compile(r"^- Parameter '([^']+)': Failed to instantiate (\w+) for parameter '[^']+': (.*)$", re.M)
UNEXPECTED = re.compile(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(.*?)'")
DISK_IS_FULL = re.compile("No space left on device|Disk quota exceeded|disk is full", re.I)
OUT_OF_MEMORY = "The memory is used up. End other programs, and run the same command again: it keeps what is done."
FAULT = "This looks like a fault of Mixvision: please report it with that file."


def sentence_of(error: Exception, parameters: Mapping[str, Any] | None = None) -> str:
    """What is wrong and what to do, without Kedro's descriptions of datasets around it, and with the error's notes.

    An error that Mixvision did not raise begins with its kind.

    Args:
        error: an error of a run.
        parameters: those that conf/base declares, from which one is suggested for one that does not exist.
    """
    while isinstance(error, DatasetError) and isinstance(error.__cause__, Exception):
        if not str(error).endswith(str(error.__cause__)):
            break
        notes = getattr(error, "__notes__", [])
        error = error.__cause__
        for note in notes:
            error.add_note(note)
    if _is_of_a_full_disk(error):
        what = str(error).partition("\n")[0]
        return f"The disk is full ({what}). Make room, and run the same command again: it keeps what is done."
    if isinstance(error, MemoryError) and not str(error):  # outside a step, whose name and settings would be notes
        return " ".join([OUT_OF_MEMORY, *getattr(error, "__notes__", [])])
    text = _plain(error, parameters or {}) or "no further words"
    sentence = text if is_ours(error) else f"{type(error).__name__}: {' '.join(text.split())}"
    return " ".join([sentence, *getattr(error, "__notes__", [])])


def write_traceback(error: Exception, folder: Path) -> Path | None:
    """Write the error's traceback to a new file in a folder; returns the file, or None if it cannot be written."""
    file = folder / f"error-{time.strftime('%Y-%m-%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        folder.mkdir(exist_ok=True)
        file.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        return None
    return file


def is_programming_error(error: Exception) -> bool:
    """Whether an error is of a kind that no wrong input should cause."""
    return isinstance(error, AttributeError | AssertionError | LookupError | NameError | TypeError)


def is_of_kedro(error: Exception) -> bool:
    """Whether Kedro itself raised the error, such as one on a node that does not exist."""
    return _raised_by(error) == "kedro"


def _plain(error: Exception, parameters: Mapping[str, Any]) -> str:
    """An error's text; of wrong parameters only what is wrong, without the class that they were to become."""
    if not isinstance(error, ParameterValidationError):
        return str(error)
    found = WRONG_PARAMETER.findall(str(error))
    return " ".join(f"In {name}: {_unknown_or(text, name, kind, parameters)}" for name, kind, text in found) or str(
        error
    )


def _unknown_or(text: str, section: str, kind: str, parameters: Mapping[str, Any]) -> str:
    unknown = UNEXPECTED.search(text)
    if not unknown:
        return text
    of, name = unknown.groups()
    hint = what_was_meant(section, name, parameters) if of == kind else ""  # else it is inside one of the parameters
    return f"there is no {name!r}{': ' if hint else '; '}{hint or 'conf/base/parameters_*.yml list all parameters.'}"


def _is_of_a_full_disk(error: Exception) -> bool:
    """Whether the system says so, or a library whose own errors say it only in their text, such as SQLite's."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or bool(DISK_IS_FULL.search(str(error)))


def is_ours(error: Exception) -> bool:
    """Whether Mixvision raised the error on purpose: in its own code, and not by using something wrongly."""
    if isinstance(error, ParameterValidationError):  # raised by Kedro with what our parameters say
        return True
    return _raised_by(error) == "mixvision" and not is_programming_error(error)


def _raised_by(error: Exception) -> str:
    """The package whose code raised an error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get("__name__", "").partition(".")[0] if frames else ""
