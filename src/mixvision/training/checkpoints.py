"""Checkpoints that outlast kills, full disks and damaged files."""

from __future__ import annotations

import logging
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from mixvision.files import replacing_file

log = logging.getLogger(__name__)

ANEW = "Training starts anew."
LAST, PREVIOUS = "last.ckpt", "last.previous.ckpt"


class SafeCheckpoints(TorchCheckpointIO):
    """Writes each checkpoint beside its final place and renames it when it is complete; the last but one is kept.

    Lightning itself writes to the folder for temporary files and moves the file afterwards, which copies it byte by
    byte if that folder is on another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        if storage_options is not None:
            raise TypeError("storage_options are not supported: checkpoints are files of this machine.")
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing_file(path) as partial:
            with partial.open("wb") as file:
                _save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if path.name == LAST and path.exists():
                path.replace(path.with_name(PREVIOUS))


def _save(checkpoint: dict[str, Any], file: BinaryIO) -> None:
    try:
        torch.save(checkpoint, file)
    except RuntimeError as error:  # PyTorch hides what ended its writing: a full disk, Ctrl-C or termination
        raise error.__context__ or error from None


def checkpoint_to_continue(folder: Path, *also_needed: str) -> Path | None:
    """The newest checkpoint in a folder that is whole, or None; damaged ones are set aside, and leftovers removed.

    Args:
        folder: of one training.
        also_needed: names of other checkpoints without which training must start anew.
    """
    for leftover in folder.glob(".*.partial.*"):
        leftover.unlink()
    lacking = [name for name in also_needed if (folder / name).exists() and not _is_whole(folder / name)]
    if lacking:
        for name in (*lacking, LAST, PREVIOUS):
            if (folder / name).exists():
                _set_aside(folder / name, ANEW)
        return None
    before = "Training goes on from the one before." if (folder / PREVIOUS).exists() else ANEW
    for name, otherwise in ((LAST, before), (PREVIOUS, ANEW)):
        path = folder / name
        if path.exists():
            if _is_whole(path):
                log.info("Continuing from the checkpoint %s.", path)
                return path
            _set_aside(path, otherwise)
    return None


def _is_whole(path: Path) -> bool:
    """Whether PyTorch can read the file, and its parts have their checksums, which PyTorch does not compare."""
    try:
        with zipfile.ZipFile(path) as parts:
            if parts.testzip() is not None:
                return False
        torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except MemoryError:
        raise
    except pickle.UnpicklingError:  # whole, but it might run code: whoever loads it says so
        return True
    except Exception:  # a damaged byte leads to errors of nearly every kind
        return False
    return True


def _set_aside(path: Path, consequence: str) -> None:
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    log.warning("The checkpoint %s is damaged; it is now %s. %s", path, aside.name, consequence)
