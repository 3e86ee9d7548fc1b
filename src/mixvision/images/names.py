"""Names of categories and files, written in one way."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from unicodedata import category, normalize

logger = logging.getLogger(__name__)

# A joiner between letters of Persian or Hindi, or between the parts of an emoji, has a meaning.
_MEANT = re.compile("(?<=[^\0-\u024f])[\u200c\u200d](?=[^\0-\u024f])")


def composed(name: str) -> str:
    """The name with each accented letter as one character, as keyboards type it; macOS stores letter and accent."""
    return normalize("NFC", name)


def tidied(name: str) -> str:
    """The name composed, with single ordinary blanks between its words and none around them.

    Invisible characters (Unicode's category Cf), such as marks of direction and soft hyphens, are left out.
    """
    if not name.isascii():
        meant = {match.start() for match in _MEANT.finditer(name)}
        name = "".join(sign for place, sign in enumerate(name) if category(sign) != "Cf" or place in meant)
    return " ".join(composed(name).split())


def tidied_categories(names: Iterable[str]) -> dict[str, str]:
    """Names of categories as :func:`tidied`; a change within them is logged."""
    tidy = {name: tidied(name) for name in names}
    changed = sorted(name for name, new in tidy.items() if composed(name).strip() != new)
    if changed:
        text = "%d names of categories have unusual blanks or invisible characters, such as %r, which is read as %r."
        logger.warning(text, len(changed), changed[0], tidy[changed[0]])
    return tidy
