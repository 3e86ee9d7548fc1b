"""Addresses are shown without what gives access."""

from __future__ import annotations

import pytest

from mixvision.addresses import shown, with_shown_addresses, without_secrets


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://me:secret@example.org:8080/a.tar?token=x#y", "https://example.org:8080/a.tar?..."),
        ("https://token@example.org/a.tar", "https://example.org/a.tar"),
        ("ftp://example.org/a.tar", "ftp://example.org/a.tar"),
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


def test_parameters_of_any_depth():
    given = {"a": ["https://u@h/x", 3], "b": {"c": ("https://h/x?k=1", None)}}
    assert with_shown_addresses(given) == {"a": ["https://h/x", 3], "b": {"c": ("https://h/x?...", None)}}
