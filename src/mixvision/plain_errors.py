"""An error of a run as one sentence; its traceback goes to a file."""

from __future__ import annotations

import os
import time
import traceback
from pathlib import Path

from kedro.io import DatasetError

LOGS = Path("logs")
FAULT = "This looks like a fault of Mixvision: please report it with that file."


def sentence_of(error: Exception) -> str:
    """What is wrong and what to do, without Kedro's descriptions of datasets around it, and with the error's notes.

    An error that Mixvision did not raise begins with its kind.
    """
    while isinstance(error, DatasetError) and isinstance(error.__cause__, Exception):
        if not str(error).endswith(str(error.__cause__)):
            break
        notes = getattr(error, "__notes__", [])
        error = error.__cause__
        for note in notes:
            error.add_note(note)
    text = str(error) or "no further words"
    sentence = text if _is_ours(error) else f"{type(error).__name__}: {text}"
    return " ".join([sentence, *getattr(error, "__notes__", [])])


def write_traceback(error: Exception, folder: Path = LOGS) -> Path | None:
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


def _is_ours(error: Exception) -> bool:
    """Whether Mixvision raised the error on purpose: in its own code, and not by using something wrongly."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    raised_by = frames[-1].f_globals.get("__name__", "") if frames else ""
    return raised_by.partition(".")[0] == "mixvision" and not is_programming_error(error)
