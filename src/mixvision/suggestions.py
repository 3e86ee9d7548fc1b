"""What a misspelt name may have been meant to be."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

MOST = 15  # names that are listed


def suggestion(name: str, known: Collection[str], before: str = "") -> str:
    """What to write instead of an unknown name: a close one, or those that there are, after what comes before them."""
    if close := get_close_matches(name, known, n=1):
        return f"did you mean {before}{close[0]}?"
    some = [before + other for other in list(known)[:MOST]]
    return f"use one of {', '.join(some)}{', ...' if len(known) > len(some) else '.'}"
