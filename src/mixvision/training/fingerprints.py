"""Fingerprints of all that decides a result: they name checkpoints and caches, so that any change starts afresh."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor


@dataclass(frozen=True)
class Engine:
    """Identifies what an engine computes in a step.

    Attributes:
        version: raised whenever that changes, so that no checkpoint of an older version is continued.
        golden: digest of a small step, which tests/training/test_golden.py recomputes.
    """

    version: int
    golden: str


ENGINES = {
    "sweep": Engine(3, "06d9c84db9a77569"),
    "epochs": Engine(1, "5cc5bb5a6e34dccf"),
    "fine_tuning": Engine(2, "2e798681a226c35b"),
    "frozen": Engine(1, "a4a08cead98b9912"),
}


def fingerprint(engine: str, *parts: Any) -> str:
    """Hash everything that decides what an engine computes, the versions of the engine and of PyTorch included.

    Args:
        engine: a name in ``ENGINES``.
        parts: arrays, tensors, data frames, strings, numbers, None; dataclasses, mappings (in any order) and sequences
            of these.

    Returns:
        16 hexadecimal digits.

    Raises:
        TypeError: a part is of another type.
    """
    digest = hashlib.sha256()
    for piece in _pieces((engine, ENGINES[engine].version, torch.__version__, parts)):
        digest.update(piece)
    return digest.hexdigest()[:16]


def _pieces(part: Any) -> Iterator[bytes | memoryview]:
    """The part as bytes; different parts give different bytes."""
    if isinstance(part, Tensor):
        part = part.detach().cpu().numpy()
    if isinstance(part, np.ndarray) and part.dtype != object:
        yield f"array {part.dtype} {part.shape}\0".encode()
        yield np.ascontiguousarray(part).data
    elif part is None or isinstance(part, str | int | float | np.generic):
        yield f"{part.item() if isinstance(part, np.generic) else part!r}\0".encode()
    else:
        children = _children(part)
        yield f"{type(part).__name__} {len(children)}\0".encode()
        for child in children:
            yield from _pieces(child)


def _children(part: Any) -> list:
    if isinstance(part, pd.DataFrame):
        part = part.to_dict("list")
    elif is_dataclass(part):
        part = {field.name: getattr(part, field.name) for field in fields(part)}
    if isinstance(part, Mapping):
        return [child for item in sorted(part.items(), key=lambda item: str(item[0])) for child in item]
    if isinstance(part, list | tuple | np.ndarray):
        return list(part)
    raise TypeError(f"Cannot take a fingerprint of a {type(part).__name__}: give plain values, arrays and tensors.")
