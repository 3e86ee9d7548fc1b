"""Runs that are stopped: by the system, by Ctrl-C, and in a notebook, where neither ends the process."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kedro.framework.hooks import hook_impl


class Termination:
    """Ends a run that the system stops (SIGTERM) as Ctrl-C does: runs are marked as killed, and checkpoints stay."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        in_main_thread = threading.current_thread() is threading.main_thread()  # only there signals can be handled
        if in_main_thread and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._leave)

    @staticmethod
    def _leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)


@contextmanager
def without_signals() -> Iterator[None]:
    """Ignore Ctrl-C and SIGTERM for a moment: an impatient second one must not cut off what the first one began."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def after_cell(end: Callable[[], object]) -> None:
    """In a notebook, call ``end`` after this cell: Ctrl-C, or a refusal at the start, ends a run without its hooks."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if not shell or threading.current_thread() is not threading.main_thread():  # a thread's run goes on after the cell
        return

    def once(*_: object) -> None:
        shell.events.unregister("post_run_cell", once)
        end()

    shell.events.register("post_run_cell", once)
