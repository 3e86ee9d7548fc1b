"""Text files that people bring, whatever their encoding."""

from __future__ import annotations

import logging
from pathlib import Path

logger = logging.getLogger(__name__)


def decode_text(content: bytes, path: Path) -> str:
    """The text of a file in UTF-8 or UTF-16, with or without a mark of its order, or else in Windows-1252."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    if content[:400].count(0) > len(content[:400]) // 4:
        return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        logger.warning("%s is not UTF-8: read as Windows-1252 (Western European).", path)
        return content.decode("cp1252", errors="replace") if b"\x81" not in content else content.decode("latin-1")
