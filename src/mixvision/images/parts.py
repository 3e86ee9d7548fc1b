"""Long computations in parts, each kept in a folder, so that an interrupted one goes on where it stopped."""

from __future__ import annotations

import logging
import multiprocessing
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from mixvision.files import replacing_file
from mixvision.progress import progress

log = logging.getLogger(__name__)

SHOWN_FROM = 4  # parts: shorter computations have no progress bar


def backend_for(many: bool) -> str:
    """What joblib computes with: processes for much work, else threads, which start at once.

    A process of Kedro's ParallelRunner starts no others: it would wait for them, long after its work is done.
    """
    return "loky" if many and multiprocessing.parent_process() is None else "threading"


def compute_parts(
    function: Callable[[Any], tuple[np.ndarray, ...]],
    arguments: Sequence[Any],
    folder: Path | None,
    name: str,
    description: str,
    backend: str = "threading",
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield function(argument) for every argument, in order, computed on all cores.

    Args:
        function, arguments: what to compute.
        folder: where results are kept and, if they are there already, read; None: nowhere.
        name: of the results' files, together with their numbers.
        description: for the progress bar.
        backend: of joblib, see `backend_for`.
    """
    files = [None if folder is None else folder / f"{name}-{number}.npz" for number in range(len(arguments))]
    kept = [None if file is None else read_arrays(file) for file in files]
    tasks = [delayed(function)(argument) for argument, before in zip(arguments, kept, strict=True) if before is None]
    fresh = Parallel(n_jobs=-1, backend=backend, return_as="generator")(tasks) if tasks else iter(())
    hidden = len(arguments) < SHOWN_FROM
    for file, before in progress(
        zip(files, kept, strict=True), description, len(arguments), unit="part", disable=hidden
    ):
        if before is not None:
            yield before
            continue
        result = next(fresh)
        if file is not None:
            write_arrays(result, file)
        yield result


def read_arrays(file: Path) -> tuple[np.ndarray, ...] | None:
    """What ``write_arrays`` wrote, or None if the file is absent or damaged: its format, zip, has checksums."""
    if not file.exists():
        return None
    try:
        with np.load(file) as arrays:
            return tuple(arrays.values())
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        log.warning("%s is damaged; what it held is computed again.", file)
        return None


def write_arrays(arrays: Sequence[np.ndarray], file: Path) -> None:
    with replacing_file(file) as partial:
        np.savez(partial, *arrays)
