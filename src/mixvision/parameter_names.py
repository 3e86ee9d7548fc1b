"""Refuse old and unknown parameter names instead of ignoring them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from mixvision.suggestions import suggestion

# By the path of the old parameter; "*" stands for any key or list index.
NEW_NAMES = {
    "mixing.mixtures.thin": "balance",
    "sanity_check.memorising": "overfitting",
    "transfer.study.fine_tunings.*.average": "ema_decay",
    "transfer.study.fine_tunings.*.warmup": "warmup_steps",
    "transfer.study.fine_tunings.*.phases.*.unfrozen": "trainable_blocks",
    "transfer.study.fine_tunings.*.phases.*.fresh": "reset_optimizer",
}
GONE = {"*.report.bootstrap_draws": "intervals are computed, and no longer drawn"}


def declared(base: Path, patterns: Sequence[str]) -> dict[str, Any]:
    """All that the files of conf/base with names of these patterns declare, whatever an environment changes."""
    names: dict[str, Any] = {}
    for file in _files(base, patterns):
        names |= yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return names


def names_of_runtime_params(base: Path, patterns: Sequence[str]) -> set[str]:
    """The names that these files of conf/base read by ``${runtime_params:name}``, so that --params can give them."""
    texts = [file.read_text(encoding="utf-8") for file in _files(base, patterns)]
    return {name for text in texts for name in re.findall(r"\$\{runtime_params:(\w+)", text)}


def _files(base: Path, patterns: Sequence[str]) -> list[Path]:
    found = [path for pattern in patterns for path in base.glob(pattern)]
    files = [file for path in found for file in (path.iterdir() if path.is_dir() else [path])]
    return [file for file in files if file.suffix in (".yml", ".yaml", ".json")]


def refuse_old_names(parameters: Mapping[str, Any]) -> None:
    """Raise ValueError for the first parameter that still has its old name, or exists no more."""
    for pattern, new in NEW_NAMES.items():
        for path in _matching(parameters, pattern.split(".")):
            raise ValueError(f"The parameter {'.'.join(path)} is now called {new}: rename it where you set it.")
    for pattern, reason in GONE.items():
        for path in _matching(parameters, pattern.split(".")):
            raise ValueError(
                f"There is no parameter {'.'.join(path)} any more, as {reason}: remove it where you set it."
            )


def refuse_unknown_names(parameters: Mapping[str, Any], known: Mapping[str, Any], kind: str = "parameter") -> None:
    """Raise ValueError for an unknown parameter, or an unknown key directly below one.

    A key one level deeper is refused if it is nearly a known one; dataclasses check the others, and have optional ones.

    Args:
        parameters: the run's parameters, by name.
        known: all that exist, such as those of conf/base.
        kind: what they are, for the message.
    """
    for name, value in parameters.items():
        _require(name, known, "", kind)
        for part, inner in _shared_mappings(value, known[name]):
            _require(part, known[name], f"{name}.", kind)
            for key, _ in _shared_mappings(inner, known[name][part]):
                if get_close_matches(key, known[name][part], n=1, cutoff=0.8):
                    _require(key, known[name][part], f"{name}.{part}.", kind)


def what_was_meant(section: str, name: str, known: Mapping[str, Any]) -> str:
    """What to write instead of an unknown name in a section of the parameters, such as mixing.training.

    A near name in the section, the same name in a neighbouring section, or a list of those that the section has. Empty
    if the section is not declared.

    Args:
        section: its dotted name.
        name: the unknown name in it.
        known: all parameters that are declared.
    """
    *above, last = section.split(".")
    around: Any = known
    for part in above:
        around = around.get(part) if isinstance(around, Mapping) else None
    own = around.get(last) if isinstance(around, Mapping) else None
    if not isinstance(own, Mapping):
        return ""
    elsewhere = [other for other, inner in around.items() if isinstance(inner, Mapping) and name in inner]
    if elsewhere and not get_close_matches(name, own, n=1, cutoff=0.8):
        return f"did you mean {'.'.join([*above, elsewhere[0], name])}?"
    return suggestion(name, own, f"{section}.")


def refuse_misplaced(given: Collection[str], known: Collection[str], elsewhere: Collection[str], right: str) -> None:
    """Raise ValueError for a name that belongs into another file of the environment.

    Args:
        given: the names in a file.
        known: those that may be there.
        elsewhere: those of the other file.
        right: the other file.
    """
    for name in given:
        if name not in known and name in elsewhere:
            raise ValueError(f"{name} is set in the wrong file: move it to {right} of your environment.")


def require_mappings(settings: Mapping[str, Any], known: Mapping[str, Any], kind: str = "global setting") -> None:
    """Raise ValueError for a setting that is no mapping, but is one among those that are known."""
    for name, value in settings.items():
        if value is not None and isinstance(known[name], Mapping) and not isinstance(value, Mapping):
            names = ", ".join(known[name])
            raise ValueError(f"The {kind} {name} is {value!r}, but must be a mapping of some of {names}.")


def _shared_mappings(value: object, known: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and isinstance(known, Mapping):
        yield from value.items()


def _require(name: str, known: Collection[str], before: str, kind: str) -> None:
    if name not in known:
        hint = suggestion(name, known, before)
        raise ValueError(f"There is no {kind} {before}{name}: {hint} Declare new ones in conf/base.")


def refuse_fixed_globals(runtime: Collection[str], settings: Collection[str], known: Collection[str]) -> None:
    """Raise ValueError for a name given by --params that only globals.yml can set, also if it is misspelt.

    Args:
        runtime: the names that --params gives.
        settings: the names of the global settings.
        known: the names of the parameters, and those that conf reads by ``${runtime_params:...}``.
    """
    for name in runtime:
        if name in known:
            continue
        (meant,) = get_close_matches(name, [*settings, *known], n=1) or [name]
        if meant in settings and meant not in known:
            subject = f"{name}, which is" if meant == name else f"{name}; do you mean {meant}? That is"
            raise ValueError(
                f"--params cannot change {subject} a global setting: set it in globals.yml of your environment "
                "(conf/local without --env), or change the parameters that use it."
            )


def unread_names(given: Mapping[str, Any], read: Collection[str]) -> list[str]:
    """The given parameters that no node reads, by their dotted names.

    Args:
        given: parameters, nested by the parts of their names.
        read: dotted names of parameters; reading one also reads those above and below it.
    """
    if not given:
        return []
    return [
        name for name, _ in flat(given) if not any(_is_part(name, known) or _is_part(known, name) for known in read)
    ]


def _is_part(name: str, whole: str) -> bool:
    return f"{name}.".startswith(f"{whole}.")


def flat(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """The settings inside a mapping or dataclass, at any depth, by their dotted names; anything else is one setting."""
    if is_dataclass(value) and not isinstance(value, type):
        value = vars(value)
    if not isinstance(value, Mapping) or not value:
        yield name, value
        return
    for key, inner in value.items():
        yield from flat(inner, f"{name}.{key}" if name else str(key))


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
