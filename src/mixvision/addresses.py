"""Addresses of images without what nobody else should see: user names, passwords and tokens."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "..."


def shown(source: str | None) -> str | None:
    """A source of images as it may be shown: a URL without user, password and query; anything else as it is."""
    if not isinstance(source, str) or "://" not in source:
        return source
    parts = urlsplit(source)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, HIDDEN if parts.query else "", ""))


def without_secrets(text: str, address: str) -> str:
    """A message without what :func:`shown` leaves out, of this address and of all others in it."""
    parts = urlsplit(address)
    text = re.sub(r"\w+://[^\s'\"<>]+", lambda match: str(shown(match[0])), text)
    for secret in (parts.query, parts.username, parts.password):
        if secret and secret != HIDDEN:
            text = text.replace(secret, HIDDEN)
    return text


def with_shown_addresses(value: Any) -> Any:
    """Parameters, in dictionaries and lists of any depth, with every URL as :func:`shown`."""
    if isinstance(value, dict):
        return {name: with_shown_addresses(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_shown_addresses(part) for part in value)
    return shown(value) if isinstance(value, str) else value
