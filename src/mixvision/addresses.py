"""Addresses of images without what nobody else should see: user names, passwords and tokens."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

HIDDEN = "..."
_QUERY = re.compile(r"(?<=\S)[?#](?:\.\.\.|\S+?)(?=[)\]}>'\",.;:]*(?:\s|$))")  # or fragment, of an address or a path
_PATH_PARAMETER = re.compile(r";[^\s/?#;=]*=[^\s/?#;)'\"]*")
LONG = 8  # characters; a shorter secret is hidden only where it is a whole word


def shown(source: str | None) -> str | None:
    """A source of images as it may be shown: a URL without user, password, query and parameters, or what is no URL."""
    if not isinstance(source, str) or "://" not in source:
        return source
    scheme, _, parts = _split(source)
    if parts is None:
        return f"{scheme}://{HIDDEN}"
    path = _PATH_PARAMETER.sub(f";{HIDDEN}", parts.path)
    return urlunsplit((scheme, parts.netloc.rpartition("@")[2], path, HIDDEN if parts.query else "", ""))


def without_secrets(text: str, address: str) -> str:
    """A message without what :func:`shown` leaves out, of this address and of all others in it.

    A server may redirect to another address with a signature, of which a message has the path and the query only.
    """
    text = re.sub(r"\w+://[^\s'\"<>]+", lambda match: str(shown(match[0])), text)
    text = _PATH_PARAMETER.sub(f";{HIDDEN}", _QUERY.sub(f"?{HIDDEN}", text))
    _, user, parts = _split(address)
    secrets = {*re.split(r"[:@/?#]", user), user.partition(":")[2], parts.query if parts else ""}
    secrets |= {unquote(secret) for secret in secrets}
    for secret in sorted(secrets - {"", HIDDEN}, key=len, reverse=True):
        whole = re.escape(secret) if len(secret) >= LONG else rf"(?<!\w){re.escape(secret)}(?!\w)"
        text = re.sub(whole, HIDDEN, text)
    return text


def with_shown_addresses(value: Any) -> Any:
    """Parameters, in dictionaries and lists of any depth, with every URL as :func:`shown`."""
    if isinstance(value, dict):
        return {name: with_shown_addresses(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(with_shown_addresses(part) for part in value)
    return shown(value) if isinstance(value, str) else value


def _split(address: str) -> tuple[str, str, SplitResult | None]:
    """Scheme, user with password, and the rest; None if it is unclear where these end.

    Signs such as / in a password must be encoded. Where they are not, the user ends at the last @.
    """
    scheme, _, rest = address.partition("://")
    try:
        parts = urlsplit(address)
        _ = parts.port  # ValueError if a password follows the colon
        is_clear = "@" not in parts.netloc or "@" not in parts.path
    except ValueError:
        is_clear = False
    if is_clear:
        return scheme, parts.netloc.rpartition("@")[0], parts
    before, mark, query = rest.partition("?")
    user, _, place = before.rpartition("@") if "@" in before else rest.rpartition("@")
    place += mark + query if "@" in before else ""
    try:
        return scheme, user, urlsplit(f"{scheme}://{place}") if user else None
    except ValueError:
        return scheme, user, None
