"""Refuse old and unknown parameter names instead of ignoring them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

# By the path of the old parameter; "*" stands for any key or list index.
NEW_NAMES = {
    "mixing.mixtures.thin": "balance",
    "sanity_check.memorising": "overfitting",
    "transfer.study.fine_tunings.*.average": "ema_decay",
    "transfer.study.fine_tunings.*.warmup": "warmup_steps",
    "transfer.study.fine_tunings.*.phases.*.unfrozen": "trainable_blocks",
    "transfer.study.fine_tunings.*.phases.*.fresh": "reset_optimizer",
}


def refuse_old_names(parameters: Mapping[str, Any]) -> None:
    """Raise ValueError for the first parameter that still has its old name."""
    for pattern, new in NEW_NAMES.items():
        for path in _matching(parameters, pattern.split(".")):
            raise ValueError(f"The parameter {'.'.join(path)} is now called {new}: rename it where you set it.")


def refuse_unknown_names(parameters: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Raise ValueError for an unknown parameter, or an unknown key directly below one; dataclasses check deeper keys.

    Args:
        parameters: the run's parameters, by name.
        known: all that exist, such as those of conf/base.
    """
    for name, value in parameters.items():
        _require(name, known, "")
        if isinstance(value, Mapping) and isinstance(known[name], Mapping):
            for part in value:
                _require(part, known[name], f"{name}.")


def _require(name: str, known: Collection[str], before: str) -> None:
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {before}{close[0]}?" if close else f"use one of {', '.join(map(before.__add__, known))}."
        raise ValueError(f"There is no parameter {before}{name}: {hint} Declare new ones in conf/base.")


def _matching(node: object, pattern: list[str]) -> Iterator[list[str]]:
    """Paths below a node of the parameters that match a pattern."""
    if not pattern:
        yield []
        return
    for key, child in _children(node):
        if pattern[0] in ("*", key):
            yield from ([key, *rest] for rest in _matching(child, pattern[1:]))


def _children(node: object) -> Iterator[tuple[str, object]]:
    if isinstance(node, Mapping):
        yield from ((str(key), child) for key, child in node.items())
    elif isinstance(node, list | tuple):
        yield from ((str(place), child) for place, child in enumerate(node))
