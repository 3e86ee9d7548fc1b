"""What a training will need of the memory, estimated before it starts."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, fields

import pandas as pd
import torch
from torch import Tensor, nn

from mixvision.training.free_memory import free_bytes

log = logging.getLogger(__name__)

PREDICTION_BYTES = 200  # of a row in the tables of predictions, which are joined and measured (docs/architecture.md)
MAPS_AT_ONCE = 3  # in a forward pass without gradients: a layer's input, its output, and one on the way
WORKING_SHARE = 1.5  # of what is kept for the backward pass: with the gradients of maps, and what libraries take


@dataclass(frozen=True)
class Need:
    """Something that takes memory.

    Attributes:
        what: in words.
        bytes: how much it takes at most.
        lower: the parameter by which it shrinks, and its value now.
        in_main_memory: even if the training is on a GPU.
    """

    what: str
    bytes: int
    lower: str
    in_main_memory: bool = False


@dataclass(frozen=True)
class Footprint:
    """What one network takes in training, in bytes.

    Attributes:
        weights: its parameters and buffers.
        fixed: what a step keeps for the backward pass, whatever the batch.
        image: what it keeps in addition for each image.
        largest: the largest input and output of a layer together, for each image.
    """

    weights: int
    fixed: int
    image: int
    largest: int

    def step(self, batch: int) -> int:
        """Bytes that a training step takes besides weights and the optimiser's state."""
        return int(self.fixed + WORKING_SHARE * batch * self.image)

    def prediction(self, batch: int) -> int:
        """Bytes that predicting a batch takes."""
        return MAPS_AT_ONCE * batch * self.largest // 2


def footprint(network: nn.Module, side: int, channels: int = 3) -> Footprint:
    """Measure a network's footprint by passing a few black images ``(B, channels, side, side)`` through it."""
    weights = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
    dtype = next(network.parameters()).dtype
    few, more = (torch.zeros(count, channels, side, side, dtype=dtype) for count in (2, 4))
    kept = [_kept(network.train(), images) for images in (few, more)]
    image = (kept[1] - kept[0]) // 2
    return Footprint(weights, kept[0] - 2 * image, image, _largest(network.eval(), few) // 2)


def pixels_need(manifest: pd.DataFrame, side: int, training: Iterable[str], on_gpu: bool = False) -> Need:
    """The images that are trained on or held out. Their memory-mapped store counts as free."""
    kept = manifest[manifest["status"] == "kept"]
    count = int((kept["id"].isin(set(training)) | (kept["split"] != "train")).sum())
    copies = 1 if on_gpu else 2  # gathering them takes as much once more for a moment
    return Need(f"pixels of {count:,} images", count * side**2 * 3 * copies, f"image_size (now {side})")


def predictions_need(models: int, manifest: pd.DataFrame, lower: str) -> Need:
    """The tables of what so many models (trials times snapshots) say of each held-out image."""
    kept = manifest[manifest["status"] == "kept"]
    rows = models * int((kept["split"] != "train").sum())
    return Need(f"{rows:,} predictions", rows * PREDICTION_BYTES, lower, in_main_memory=True)


def needs_table(needs: Iterable[Need]) -> pd.DataFrame:
    """One row per need, the largest first: what, bytes, lower, in_main_memory."""
    rows = [vars(need) for need in sorted(needs, key=lambda need: -need.bytes)]
    return pd.DataFrame(rows, columns=[field.name for field in fields(Need)])


def shortage(study: str, needs: Iterable[Need], free: int, where: str = "memory") -> str:
    """Say what a study needs, what is free and what to lower; empty if it fits."""
    table = needs_table(needs)
    total = int(table["bytes"].sum())
    if total <= free:
        return ""
    largest = table.head(3)
    parts = ", ".join(f"{row.what} {in_words(row.bytes)}" for row in largest.itertuples())
    lower = " or ".join(dict.fromkeys(largest["lower"]))
    return f"{study} needs about {in_words(total)} of {where} ({parts}), and {in_words(free)} are free: lower {lower}."


def warn_of_shortage(study: str, needs: Iterable[Need], device: torch.device) -> None:
    """Log what is needed, and warn if it does not fit into the memory that is free, on a GPU and beside it."""
    needs, main = list(needs), torch.device("cpu")
    log.info("%s needs about %s of memory.", study, in_words(sum(need.bytes for need in needs)))
    on_gpu = [need for need in needs if device.type == "cuda" and not need.in_main_memory]
    beside = [need for need in needs if need not in on_gpu]
    for place, part, where in ((device, on_gpu, "the GPU's memory"), (main, beside, "memory")):
        if part and (sentence := shortage(study, part, free_bytes(place), where)):
            log.warning(sentence)


def in_words(count: float) -> str:
    """Bytes as "3.8 GB" or "41 MB"."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def _kept(network: nn.Module, images: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass, without the network's own weights."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(images)
    return sum(storage.nbytes() for storage in kept.values())


@torch.no_grad()
def _largest(network: nn.Module, images: Tensor) -> int:
    """The largest sum of a layer's input and output, in bytes."""
    sizes = [0]

    def note(_: nn.Module, inputs: tuple, output: object) -> None:
        sizes.append(sum(tensor.nbytes for tensor in (*inputs, output) if isinstance(tensor, Tensor)))

    hooks = [layer.register_forward_hook(note) for layer in network.modules() if not list(layer.children())]
    network(images)
    for hook in hooks:
        hook.remove()
    return max(sizes)
