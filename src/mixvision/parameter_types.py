"""Refuse parameters of the wrong kind by their name, before they are compared with anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from mixvision.suggestions import nearest

KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    NoneType: "null",
    list: "a list",
    tuple: "a list",
    Sequence: "a list",
    Mapping: "a mapping",
    dict: "a mapping",
}


def require_types(parameters: Any, *names: str) -> None:
    """Check a dataclass' fields, or those of these names, against their annotations.

    A whole number may stand for a number, and a list for a tuple. Elements of lists are checked, those of mappings are
    not.

    Raises:
        ValueError: names the first field that does not fit, its value and what to give.
    """
    for name, kind in get_type_hints(type(parameters)).items():
        value = getattr(parameters, name)
        if (not names or name in names) and not _fits(value, kind):
            raise ValueError(f"{name} is {value!r}; give {_in_words(kind)}.")


def require_choice(name: str, value: object, choices: Iterable[str | None]) -> None:
    """Raise ValueError for a value that is none of these; None among them is written as null."""
    choices = list(choices)
    if value not in choices:
        listed = ", ".join("null" if choice is None else choice for choice in choices)
        hint = f"did you mean {meant!r}? Choose" if (meant := nearest(value, choices)) else "choose"
        raise ValueError(f"{name} is {value!r}; {hint} one of {listed}.")


def _fits(value: Any, kind: Any) -> bool:
    origin = get_origin(kind) or kind
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(kind))
    if origin in (list, tuple, Sequence):
        inner = [part for part in get_args(kind) if part is not ...]
        return isinstance(value, list | tuple) and all(_fits(element, part) for part in inner for element in value)
    if origin is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if origin in (int, str, bool, NoneType):
        return type(value) is origin
    return isinstance(value, Mapping) if origin in (Mapping, dict) else True


def _in_words(kind: Any) -> str:
    origin = get_origin(kind) or kind
    if origin in (Union, UnionType):
        return " or ".join(_in_words(part) for part in get_args(kind))
    if origin in (list, tuple, Sequence) and get_args(kind):
        return f"a list, each of whose elements is {_in_words(get_args(kind)[0])}"
    return KINDS.get(origin, str(kind))
