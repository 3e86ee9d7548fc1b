"""Trains groups of trials one after the other; one that runs out of memory or is cancelled does not cost the others."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError

import pandas as pd
import torch

from mixvision.training.events import TrainingListener
from mixvision.training.memory import is_out_of_memory, stop_using_onednn
from mixvision.training.results import SweepResult, join_results, outcome
from mixvision.vocabulary import CANCELLED, OUT_OF_MEMORY

log = logging.getLogger(__name__)

NOT_STARTED = "Cancelled before it started."
AGAIN = "again"  # the state of a group that may fit now


def train_in_groups(
    train: Callable[[list[str]], SweepResult],
    groups: Iterable[Sequence[str]],
    events: TrainingListener,
    lower: str,
    counts: Mapping[str, float],
) -> SweepResult:
    """Train groups of trials and join their results. A group that runs out of memory is trained in two halves.

    Any error other than of memory or a cancellation ends the study: it is a fault of the program or of the machine, and
    the next run continues from the checkpoints.

    Args:
        train: trains the trials with these names together; it may raise CancelledError.
        groups: names of the trials that train together.
        events: told of trials that are out of memory or cancelled.
        lower: the settings to lower if a trial does not fit into memory by itself.
        counts: the further columns of such a trial's outcome.
    """
    results, pending = [], [list(group) for group in groups]
    while pending:
        names = pending.pop(0)
        result, status, reason = _attempt(train, names, events, lower)
        if result is not None:
            results.append(result)
            continue
        _release_memory()  # here nothing refers to the failed group any more
        if status == AGAIN:
            pending.insert(0, names)
            continue
        if status == OUT_OF_MEMORY and len(names) > 1:
            log.warning("%d models together do not fit into memory; splitting them in two.", len(names))
            pending = [names[: len(names) // 2], names[len(names) // 2 :], *pending]
            continue
        for name in names:
            log.warning("%s: %s", name, reason)
            (events.cancelled if status == CANCELLED else events.failed)(name, reason)
        outcomes = pd.DataFrame([outcome(name, reason, status, **counts) for name in names])
        results.append(SweepResult(pd.DataFrame(), pd.DataFrame(), outcomes, {}))
    return join_results(results)


def _attempt(
    train: Callable[[list[str]], SweepResult], names: list[str], events: TrainingListener, lower: str
) -> tuple[SweepResult | None, str, str]:
    """The result of a group; or None, the status of its trials, and why."""
    if events.to_cancel().issuperset(names):
        return None, CANCELLED, NOT_STARTED
    try:
        return train(names), "", ""
    except CancelledError as error:
        return None, CANCELLED, str(error) or "Cancelled."
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        log.warning("Out of memory: %s", str(error).partition("\n")[0])
        if stop_using_onednn(error):
            return None, AGAIN, ""
        return None, OUT_OF_MEMORY, f"Out of memory, even when trained by itself: lower {lower}."


def _release_memory() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
