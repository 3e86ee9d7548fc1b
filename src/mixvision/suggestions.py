"""What a misspelt name may have been meant to be."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches

MOST = 15  # names that are listed


def nearest(name: object, known: Iterable[object]) -> str | None:
    """The name that is nearly this one, if there is any; what is no text is left out."""
    names = [other for other in known if isinstance(other, str)]
    close = get_close_matches(name, names, n=1) if isinstance(name, str) else []
    return close[0] if close else None


def suggestion(name: str, known: Collection[str], before: str = "") -> str:
    """What to write instead of an unknown name: a close one, or those that there are, after what comes before them."""
    if meant := nearest(name, known):
        return f"did you mean {before}{meant}?"
    some = [before + other for other in list(known)[:MOST]]
    return f"use one of {', '.join(some)}{', ...' if len(known) > len(some) else '.'}"
