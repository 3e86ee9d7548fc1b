"""Parameters that have a new name: the old one is refused with the new one, not ignored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# By the path of the old parameter, "*" for any one key, or any place in a list.
NEW_NAMES = {
    "mixing.mixtures.thin": "balance",
    "sanity_check.memorising": "overfitting",
    "transfer.study.fine_tunings.*.average": "ema_decay",
    "transfer.study.fine_tunings.*.warmup": "warmup_steps",
    "transfer.study.fine_tunings.*.phases.*.unfrozen": "trainable_blocks",
    "transfer.study.fine_tunings.*.phases.*.fresh": "reset_optimizer",
}


def refuse_old_names(parameters: Mapping[str, Any]) -> None:
    """Raise ValueError for the first parameter that is still called by its old name."""
    for pattern, new in NEW_NAMES.items():
        for path in _matching(parameters, pattern.split(".")):
            raise ValueError(f"The parameter {'.'.join(path)} is now called {new}: rename it where you set it.")


def _matching(node: object, pattern: list[str]) -> Iterator[list[str]]:
    """Paths below a node of the parameters that fit a pattern."""
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
