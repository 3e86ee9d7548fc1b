"""How far long work is: a bar in a terminal; elsewhere, as in a log file, a line every 30 seconds."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 30


class Lines(tqdm):
    """Progress as lines of a log, such as "decoding real images: 1,200 of 5,000 images, 24%, 00:35 so far, 01:50 left".

    Work that takes less than 30 seconds has none.
    """

    disable: bool

    def display(self, *_: Any, **__: Any) -> bool:
        now = time.monotonic()
        self.shown_at = getattr(self, "shown_at", now)
        if now - self.shown_at >= SECONDS_BETWEEN_LINES:
            self.shown_at = now
            self.fp.write(f"{self}\n")
            self.fp.flush()
        return True

    def close(self) -> None:
        """End without tqdm's last look and its line feed."""
        if not self.disable:
            self.disable = True
            self._decr_instances(self)

    @staticmethod
    def format_meter(n: float, total: float | None, elapsed: float, **about: Any) -> str:
        """The line; ``about`` may hold tqdm's prefix, unit and unit_scale."""
        number = tqdm.format_sizeof if about.get("unit_scale") else "{:,.0f}".format
        what, unit = about.get("prefix", "").removesuffix(": ") or "progress", f"{about.get('unit', 'it')}s"
        so_far = f"{tqdm.format_interval(elapsed)} so far"
        if not total:
            return f"{what}: {number(n)} {unit}, {so_far}"
        left = tqdm.format_interval(elapsed * (total - n) / n) if n else "unknown"
        return f"{what}: {number(n)} of {number(total)} {unit}, {n / total:.0%}, {so_far}, {left} left"


def is_in_terminal() -> bool:
    """Whether a terminal shows the standard error; one without a size, as in some containers, shows no bar."""
    return sys.stderr.isatty() and min(os.get_terminal_size(sys.stderr.fileno())) > 0


def progress(*arguments: Any, **options: Any) -> tqdm:
    """A progress bar with the arguments of tqdm, or lines where no terminal shows it."""
    return (tqdm if is_in_terminal() else Lines)(*arguments, **options)
