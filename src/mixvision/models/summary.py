"""Summary of a network, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn


@torch.no_grad()
def layer_table(network: nn.Module, image_size: int) -> pd.DataFrame:
    """List the layers of a network in the order in which they run.

    A layer is a module without submodules, or one with parameters of its own, submodules included. One that runs twice
    has two rows; layers with parameters must run only once.

    Args:
        network: a plain network or a stack of one; its modes and statistics are left unchanged.
        image_size: side of the square input in pixels.

    Returns:
        One row per layer: ``layer`` (its name in the network), ``type``, ``output`` (text such as "6 x 296 x 296"),
        ``parameters`` (how many) and ``megabytes`` (millions of bytes of the output for one image in float32).
    """
    rows: list[dict] = []

    def note(name: str, layer: nn.Module, _: object, output: Tensor) -> None:
        rows.append(_row(name, layer, output))

    modes = {module: module.training for module in network.modules()}
    hooks = [layer.register_forward_hook(partial(note, name)) for name, layer in _layers(network)]
    try:
        network.eval()(next(network.parameters()).new_zeros(1, 3, image_size, image_size))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    return pd.DataFrame(rows)


def _layers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    children = dict(module.named_children())
    if not children or any(True for _ in module.parameters(recurse=False)):
        yield name, module
        return
    for child_name, child in children.items():
        yield from _layers(child, f"{name}.{child_name}" if name else child_name)


def _row(name: str, layer: nn.Module, output: Tensor) -> dict:
    shape = output.shape[1:] if output.dim() == 4 else output.shape[-1:]  # maps (1, C, H, W), or features (..., F)
    return {
        "layer": name,
        "type": type(layer).__name__,
        "output": " x ".join(map(str, shape)),
        "parameters": sum(parameter.numel() for parameter in layer.parameters()),
        "megabytes": output.numel() * 4 / 1e6,
    }
