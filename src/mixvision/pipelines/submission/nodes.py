"""Answers for unlabelled images: a row for every file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from mixvision.evaluation.selection import best_model
from mixvision.images.decoding import Decoding, decode_file
from mixvision.images.sources import list_files
from mixvision.models.trained import TrainedNetwork
from mixvision.progress import progress
from mixvision.schema.tables import ANSWERS
from mixvision.vocabulary import BEST_VALIDATION, FINE_TUNED, HEAD, snapshot_name

log = logging.getLogger(__name__)

AT_ONCE = 512  # files whose pictures are in memory


def classify_folder(
    folder: object,
    table: pd.DataFrame,
    models: dict[str, Callable[[], TrainedNetwork]],
    decoding: Decoding,
) -> pd.DataFrame:
    """Classify a folder's pictures, and those in folders below it, with the best trained model on validation images.

    Args:
        folder: as YAML reads it: a text, or a whole number if its name is one, or None.
        table, models: of the pipeline transfer.
        decoding: how pictures are read; their size is the network's.

    Returns:
        one row per file, sorted: file (path below the folder), category, and reason: why there is no category, or "".

    Raises:
        FileNotFoundError, ValueError: the folder does not exist or holds no picture, or there is no model.
    """
    root = _require_folder(folder)
    found, faults = list_files(root, {}, "unlabelled")
    files = sorted(path.as_posix() for path in found)
    best = best_model(table[table["method"].isin([HEAD, FINE_TUNED])])
    network = models[snapshot_name(best, BEST_VALIDATION)]()
    decoding = replace(decoding, size=network.image_size)
    log.info("Classifying %d files with %s.", len(files), best)
    rows: list[tuple[str, str, str]] = []
    waiting = iter(progress(files, desc="classifying", unit="file"))
    while part := list(islice(waiting, AT_ONCE)):
        decoded = [(file, *_decode(root, file, faults, decoding)) for file in part]
        readable = [pixels for _, _, pixels in decoded if pixels is not None]
        answers = iter(network.classify(np.stack(readable)).argmax(1) if readable else ())
        rows += [
            (file, "" if pixels is None else str(network.categories[next(answers)]), reason)
            for file, reason, pixels in decoded
        ]
    answered = pd.DataFrame(rows, columns=ANSWERS.names).astype(str)
    unanswered = answered[answered["reason"] != ""]
    if len(unanswered) == len(answered):
        reasons = "; ".join(f"{row.file}: {row.reason}" for row in unanswered.head(3).itertuples())
        raise ValueError(
            f"There are no pictures in {root}: give a folder that holds some ({reasons or 'it is empty'})."
        )
    if len(unanswered):
        log.warning("%d of %d files have no answer; the column reason says why.", len(unanswered), len(answered))
    return answered


def _decode(
    root: Path, file: str, faults: Mapping[PurePosixPath, str], decoding: Decoding
) -> tuple[str, np.ndarray | None]:
    """Why a file has no pixels, or "", and its pixels."""
    fault = faults.get(PurePosixPath(file))
    if fault is not None:
        return fault, None
    record, pixels = decode_file(root / file, decoding)
    return record.reason, pixels


def _require_folder(folder: object) -> Path:
    if folder and Path(str(folder)).is_dir():
        return Path(str(folder))
    what = f"The parameter unlabelled is {folder!r}, which is not a folder" if folder else "No folder is given"
    raise FileNotFoundError(f"{what}: give the folder of unlabelled images with --params=unlabelled=<folder>.")
