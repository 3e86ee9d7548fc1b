"""Addresses are shown without what gives access."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from mixvision.addresses import shown, with_shown_addresses, without_secrets


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://me:secret@example.org:8080/a.tar?token=x#y", "https://example.org:8080/a.tar?..."),
        ("https://token@example.org/a.tar", "https://example.org/a.tar"),
        ("ftp://example.org/a.tar", "ftp://example.org/a.tar"),
        ("http://me:p@ss/w@example.org/a.tar", "http://example.org/a.tar"),  # these signs should be encoded
        ("http://me:p/w@example.org/a.tar?x=1", "http://example.org/a.tar?..."),
        ("http://me:p?w#x@example.org/a.tar", "http://example.org/a.tar"),
        ("http://me:p[w@example.org/a.tar", "http://example.org/a.tar"),
        ("http://me:p%40ss%2Fw@example.org/a.tar", "http://example.org/a.tar"),
        ("http://me:secret@example.org/a.tar?mail=a@b", "http://example.org/a.tar?..."),
        ("http://example.org:8080/@scope/a.tar", "http://example.org:8080/@scope/a.tar"),
        ("https://example.org/a;token=secret;v=1/b.tar", "https://example.org/a;...;.../b.tar"),
        ("https://example.org/a;b/c.tar", "https://example.org/a;b/c.tar"),
        ("http://[::1/a.tar?token=secret", "http://..."),
        ("photos/a@b?c", "photos/a@b?c"),
        ("package:mnist", "package:mnist"),
        (None, None),
    ],
)
def test_what_is_shown(source, expected):
    assert shown(source) == expected


def test_messages_of_libraries():
    address = "https://me:secret@example.org/a.tar?token=hidden"
    text = f"404 for url: {address} (Max retries with url: /a.tar?token=hidden) by me, '{address}'"
    assert without_secrets(text, address) == (
        "404 for url: https://example.org/a.tar?... (Max retries with url: /a.tar?...) by ..., "
        "'https://example.org/a.tar?...'"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "(host='x', port=1): with url: /o.tar?Sig=SECRET&y=1 (Caused by E)",
            "(host='x', port=1): with url: /o.tar?... (Caused by E)",
        ),
        ("(with url: /o.tar?Sig=S'EC)RET&y=1)", "(with url: /o.tar?...)"),
        ("url: /a;tok=SECRET/o.tar#SECRET, no", "url: /a;.../o.tar?..., no"),
        ("at 'https://h/o?a=SECRET', 'x'", "at 'https://h/o?...', 'x'"),
        ("Is it there? No; x = 5", "Is it there? No; x = 5"),
    ],
)
def test_secrets_of_other_addresses(text, expected):
    """As of one that a server redirects to."""
    assert without_secrets(text, "https://example.org/a.tar") == expected


def test_parameters_of_any_depth():
    given = {"a": ["https://u@h/x", 3], "b": {"c": ("https://h/x?k=1", None)}}
    assert with_shown_addresses(given) == {"a": ["https://h/x", 3], "b": {"c": ("https://h/x?...", None)}}


@pytest.mark.parametrize("user", ["me", "s", "or", "a"])
def test_short_names_of_users_stay_in_other_words(user):
    text = without_secrets("Name or service not known, as seen by them", f"http://{user}:x@example.org/a.tar")
    assert text == re.sub(rf"\b{user}\b", "...", "Name or service not known, as seen by them")


@pytest.mark.parametrize("password", ["pa55", "p@ss/w0rd", "p%40ss%2Fw0rd", "long-secret"])
def test_no_part_of_a_password_is_left(password):
    address = f"http://me:{password}@example.org/a.tar"
    pieces = password.replace("@", " ").replace("/", " ")
    text = f"host='{pieces}', url: /{address.partition('@')[2]} {password} {unquote(password)} '{address}' of me"
    assert not re.search(r"pa55|w0rd|long-secret|%40ss|\bme\b", without_secrets(text, address))
