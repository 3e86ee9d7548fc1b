"""Long computations in parts, each kept in a folder, so that an interrupted one goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from mixvision.files import replacing_file

SHOWN_FROM = 4  # parts: shorter computations have no progress bar


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
        backend: of joblib: "threading" or "loky" (processes).
    """
    files = [None if folder is None else folder / f"{name}-{number}.npz" for number in range(len(arguments))]
    missing = [file is None or not file.exists() for file in files]
    tasks = (delayed(function)(argument) for argument, new in zip(arguments, missing, strict=True) if new)
    fresh = Parallel(n_jobs=-1, backend=backend, return_as="generator")(tasks) if any(missing) else iter(())
    hidden = len(arguments) < SHOWN_FROM
    for file, new in tqdm(zip(files, missing, strict=True), description, len(arguments), unit="part", disable=hidden):
        if not new and file is not None:
            with np.load(file) as arrays:
                yield tuple(arrays.values())
            continue
        result = next(fresh)
        if file is not None:
            with replacing_file(file) as partial:
                np.savez(partial, *result)
        yield result
