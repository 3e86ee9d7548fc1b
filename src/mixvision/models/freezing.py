"""Freezing blocks of timm networks, and learning rates that differ by block."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import Literal

from timm.models import group_parameters
from timm.optim import auto_group_layers, param_groups_layer_decay
from torch import nn

from mixvision.models.timm_network import TimmNetwork


def blocks(network: TimmNetwork) -> list[list[str]]:
    """List the parameter names of every block of a timm network, from input to output, without the head.

    Blocks are timm's own groups of layers: a residual block, one layer of a dense block, one convolution of VGG. The
    last block includes everything between it and the head.
    """
    if hasattr(network, "group_matcher"):
        layers = group_parameters(network, network.group_matcher(coarse=False), reverse=True)
    else:
        layers = auto_group_layers(network)
    head = head_parameters(network)
    grouped = defaultdict(list)
    for name, _ in network.named_parameters():
        if name not in head:
            grouped[layers[name]].append(name)
    return [grouped[layer] for layer in sorted(grouped)]


def head_parameters(network: TimmNetwork) -> set[str]:
    """Parameter names of a timm network's classifier, or of both classifiers of a distilled network."""
    layers = network.get_classifier()
    layers = layers if isinstance(layers, tuple) else (layers,)
    parameters = {id(parameter) for layer in layers for parameter in layer.parameters()}
    return {name for name, parameter in network.named_parameters() if id(parameter) in parameters}


def freeze(network: TimmNetwork, trainable_blocks: int | Literal["all", "head"], batch_statistics: bool = True) -> None:
    """Freeze all of a timm network but its head and last blocks; may be called again to change them.

    Frozen batch normalisation also keeps its statistics: it stays in evaluation mode even after ``train()``.

    Args:
        network: changed in place.
        trainable_blocks: how many of the last ``blocks`` are trained with the head; "head": none of them; "all":
            everything.
        batch_statistics: whether unfrozen batch normalisation uses and tracks the statistics of batches in training; if
            not, it keeps its statistics, too, and only its weights are trained.

    Raises:
        ValueError: trainable_blocks is none of these, or larger than the number of blocks.
    """
    found = blocks(network)
    if trainable_blocks == "all":
        trained = {name for name, _ in network.named_parameters()}
    elif trainable_blocks == "head":
        trained = head_parameters(network)
    elif type(trainable_blocks) is int and 1 <= trainable_blocks <= len(found):
        trained = head_parameters(network).union(*found[-trainable_blocks:])
    else:
        raise ValueError(
            f"trainable_blocks is {trainable_blocks!r}, but must be 'head', 'all', or a number of blocks from 1 to "
            f"{len(found)}, as many as this network has."
        )
    for name, parameter in network.named_parameters():
        parameter.requires_grad = name in trained
    # On this instance only. Deep copies of the network keep it, as partial objects are copied too.
    network.train = partial(_train, network, batch_statistics)  # type: ignore[method-assign]
    network.train(network.training)


def trainable_parameters(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that are not frozen."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def layer_decay_groups(
    network: TimmNetwork, learning_rate: float, layer_decay: float = 0.75, weight_decay: float = 0.0
) -> list[dict]:
    """Group trainable parameters for an optimiser, with learning rates that fall from the head to the input.

    Args:
        network: a timm network; frozen parameters are left out.
        learning_rate: of the last layers and the head.
        layer_decay: the rate of each block is that of the next one times this, above 0 and at most 1. Networks of many
            blocks need a value close to 1: with 0.75 the first blocks of DenseNet-201 have a rate of almost 0.
        weight_decay: of all parameters but biases and normalisation.

    Raises:
        ValueError: layer_decay is out of range.
    """
    if not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay is {layer_decay}, but must be above 0 and at most 1.")
    groups = param_groups_layer_decay(network, weight_decay, layer_decay=layer_decay)
    return [{**group, "lr": learning_rate * group["lr_scale"]} for group in groups]


def _train(network: TimmNetwork, batch_statistics: bool, mode: bool = True) -> TimmNetwork:
    """``train`` of a network with frozen blocks: batch normalisation in these, or all of it, stays in evaluation."""
    type(network).train(network, mode)
    for layer in network.modules():
        parameters = list(layer.parameters(recurse=False))
        frozen = parameters and not any(p.requires_grad for p in parameters)
        if hasattr(layer, "running_mean") and (frozen or not batch_statistics):
            layer.eval()
    return network
