"""Classifiers on frozen features: K heads trained side by side as one network, with batched matrix products.

Every parameter and every statistic has K as its first dimension. A slice of a layer is the state of PyTorch's own
layer, so one head is a slice of the stack, and K = 1 is the plain head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixvision.parameter_types import require_choice

UNITS = 256  # of a dense layer
# By name: the dropout rate of the features, and the dropout rate after each dense layer.
HEADS: dict[str, tuple[float, tuple[float, ...]]] = {
    "linear": (0.0, ()),
    "dropout": (0.4, ()),
    "dense": (0.0, (0.6,)),
    "dense2": (0.0, (0.6, 0.25)),
}


class StackedHeads(nn.Sequential):
    """K heads of one kind: ``(K, B, F)`` features to ``(K, B, C)`` logits.

    "linear" is one softmax layer; "dropout" drops 40% of the features before it; "dense" has a layer of 256 units with
    batch normalisation, ReLU and 60% dropout before it; "dense2" has two such layers, with 60% and 25% dropout. All
    begin with :class:`Standardise`, which changes nothing until it is fitted.

    Args:
        head: a name in ``HEADS``.
        features: F.
        categories: C.
        generators: one per head; its first weights and its dropout depend on nothing else.

    Raises:
        ValueError: the head is unknown.
    """

    def __init__(self, head: str, features: int, categories: int, generators: Sequence[torch.Generator]) -> None:
        require_choice("head", head, HEADS)
        dropped, dropped_units = HEADS[head]
        layers: list[nn.Module] = [Standardise(len(generators), features)]
        if dropped:
            layers.append(StackedDropout(dropped, generators))
        for share in dropped_units:
            layers += [Dense(features, UNITS, generators), StackedBatchNorm(len(generators), UNITS)]
            layers += [nn.ReLU(), StackedDropout(share, generators)]
            features = UNITS
        super().__init__(*layers, Dense(features, categories, generators))


def plain_head(head: str, features: int, categories: int) -> StackedHeads:
    """Make a stack of one head with PyTorch's own dropout, which uses PyTorch's global random state.

    The first weights are always the same; arguments and errors as of :class:`StackedHeads`.
    """
    with torch.device("cpu"):  # even if the caller is on the meta device: dropout has to draw its seeds
        stack = StackedHeads(head, features, categories, [torch.Generator().manual_seed(0)])
    for place, layer in enumerate(stack):
        if isinstance(layer, StackedDropout):
            stack[place] = nn.Dropout(layer.share)
    return stack


def trained_head(head: str, tensors: Mapping[str, Tensor]) -> StackedHeads:
    """Make a plain head with trained weights, in evaluation mode.

    Args:
        head: a name in ``HEADS``.
        tensors: its weights and statistics, without the stack's first dimension; they are copied.
    """
    (features,) = tensors["0.mean"].shape
    (categories,) = tensors[max(name for name in tensors if name.endswith("bias"))].shape  # of the last layer
    stack = plain_head(head, features, categories)
    stack.load_state_dict({name: tensor[None].clone() for name, tensor in tensors.items()}, assign=True)
    return stack.eval()


class Standardise(nn.Module):
    """Subtract each head's mean of a feature and divide by its standard deviation: ``(K, B, F)``, shape unchanged.

    Standard deviations are raised to at least a tenth of their median: a feature that hardly varies in the training
    images may vary much more in others, and would then dominate all the rest.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, heads: int, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(heads, features))
        self.register_buffer("std", torch.ones(heads, features))

    def forward(self, features: Tensor) -> Tensor:
        return (features - self.mean[:, None]).div_(self.std[:, None])

    @torch.no_grad()
    def fit(self, head: int, features: Tensor) -> None:
        """Compute one head's statistics from features ``(N, F)``; constant features are only centred."""
        mean = features.mean(0)
        std = (features - mean).square_().mean(0).sqrt()  # a tenth of the time of var_mean on a CPU
        varies = std > 1e-6 * mean.abs()  # anything smaller is rounding
        least = std.where(varies, torch.nan).nanmedian() / 10
        self.mean[head], self.std[head] = mean, torch.where(varies, std.clamp(least), 1)


class Dense(nn.Module):
    """``nn.Linear`` for each head, with the same initialisation: ``(K, B, inputs)`` to ``(K, B, outputs)``."""

    def __init__(self, inputs: int, outputs: int, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(_uniform((outputs, inputs), bound, generators))
        self.bias = nn.Parameter(_uniform((outputs,), bound, generators))

    def forward(self, features: Tensor) -> Tensor:
        return torch.baddbmm(self.bias[:, None], features, self.weight.mT)


class StackedBatchNorm(nn.Module):
    """``nn.BatchNorm1d`` for each head, over its own batch of at least two: ``(K, B, C)``, shape unchanged."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, heads: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(heads, channels))
        self.bias = nn.Parameter(torch.zeros(heads, channels))
        self.register_buffer("running_mean", torch.zeros(heads, channels))
        self.register_buffer("running_var", torch.ones(heads, channels))

    def forward(self, features: Tensor) -> Tensor:
        side_by_side = features.transpose(0, 1).flatten(1)
        mean, variance = self.running_mean.view(-1), self.running_var.view(-1)
        weight, bias = self.weight.view(-1), self.bias.view(-1)
        normalised = F.batch_norm(side_by_side, mean, variance, weight, bias, self.training)
        return normalised.unflatten(1, self.weight.shape).transpose(0, 1)


class StackedDropout(nn.Module):
    """Dropout with a random generator per head, on any device: ``(K, B, F)``, shape unchanged."""

    def __init__(self, share: float, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.share = share
        self.seeds = [int(torch.randint(2**63 - 1, (), generator=generator)) for generator in generators]
        self.generators: list[torch.Generator] = []

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return features
        if not self.generators:  # the device is not known earlier
            self.generators = [torch.Generator(features.device).manual_seed(seed) for seed in self.seeds]
        noise = torch.empty(features.shape, device=features.device)
        for own, generator in zip(noise, self.generators, strict=True):
            own.uniform_(generator=generator)  # a sixth of the time of bernoulli_ on a CPU
        return features * noise.ge_(self.share).div_(1 - self.share)


def _uniform(shape: tuple[int, ...], bound: float, generators: Sequence[torch.Generator]) -> Tensor:
    return torch.stack([torch.empty(shape).uniform_(-bound, bound, generator=generator) for generator in generators])
