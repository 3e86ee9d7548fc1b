"""Names of categories and files, written in one way."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from unicodedata import normalize

logger = logging.getLogger(__name__)

_INVISIBLE = re.compile("[\u200b\u2060\ufeff]")  # zero-width space, word joiner, mark of byte order


def composed(name: str) -> str:
    """The name with each accented letter as one character, as keyboards type it; macOS stores letter and accent."""
    return normalize("NFC", name)


def tidied(name: str) -> str:
    """The name composed, with single ordinary blanks between its words and none around them."""
    return " ".join(_INVISIBLE.sub("", composed(name)).split())


def tidied_categories(names: Iterable[str]) -> dict[str, str]:
    """Names of categories as :func:`tidied`; a change of blanks within them is logged."""
    tidy = {name: tidied(name) for name in names}
    changed = sorted(name for name, new in tidy.items() if composed(name).strip() != new)
    if changed:
        text = "%d names of categories have unusual blanks, such as %r, which is read as %r."
        logger.warning(text, len(changed), changed[0], tidy[changed[0]])
    return tidy
