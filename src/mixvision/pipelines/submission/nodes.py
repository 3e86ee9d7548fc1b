"""Answers for unlabelled images, in the format of the Tiny-ImageNet challenge."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from mixvision.evaluation.selection import best_model
from mixvision.images.decoding import Decoding, decode_file
from mixvision.images.formats.recognise import SUFFIXES
from mixvision.models.trained import TrainedNetwork
from mixvision.vocabulary import BEST_VALIDATION, FINE_TUNED, HEAD, snapshot_name

log = logging.getLogger(__name__)

AT_ONCE = 512  # images in memory


def classify_folder(
    folder: str | int | None,
    table: pd.DataFrame,
    models: dict[str, Callable[[], TrainedNetwork]],
    decoding: Decoding,
) -> str:
    """Classify a folder's pictures with the best trained model on validation images.

    Returns:
        a line "file name, space, category" per picture. Those that cannot be decoded have none; the log names them.

    Raises:
        FileNotFoundError, ValueError: the folder does not exist or holds no picture, or there is no model.
    """
    files = _pictures(folder)
    best = best_model(table[table["method"].isin([HEAD, FINE_TUNED])])
    network, lines = models[snapshot_name(best, BEST_VALIDATION)](), []
    decoding = replace(decoding, size=network.image_size)
    log.info("Classifying %d pictures with %s.", len(files), best)
    for begin in tqdm(range(0, len(files), AT_ONCE), desc="classifying", unit=f"{AT_ONCE} pictures"):
        decoded = [(file.name, *decode_file(file, decoding)) for file in files[begin : begin + AT_ONCE]]
        for name, record, _ in decoded:
            if record.reason:
                log.warning("No answer for %s: %s.", name, record.reason)
        readable = [(name, pixels) for name, _, pixels in decoded if pixels is not None]
        if readable:
            answers = network.classify(np.stack([pixels for _, pixels in readable])).argmax(1)
            lines += [f"{name} {network.categories[k]}" for (name, _), k in zip(readable, answers, strict=True)]
    return "".join(f"{line}\n" for line in lines)


def _pictures(folder: str | int | None) -> list[Path]:
    folder = "" if folder is None else str(folder)  # a folder called 2024 arrives as a number
    if not folder or not Path(folder).is_dir():
        raise FileNotFoundError(
            f"The parameter unlabelled is {folder!r}, which is not a folder: give the folder of unlabelled images with "
            "--params=unlabelled=<folder>."
        )
    files = sorted(file for file in Path(folder).iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(f"There are no pictures in {folder}: give the folder that holds them, not its parent.")
    return files
