"""Classifiers on frozen features: K heads trained side by side as one, every product a batch of K.

Every parameter and every statistic has K as its first dimension. A slice of a layer is the state of PyTorch's own
layer, so one head is a slice of the stack, and K = 1 is the plain head.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

UNITS = 256  # of a dense layer
# By name the share of the features that is dropped, then those that are dropped after each dense layer.
HEADS: dict[str, tuple[float, tuple[float, ...]]] = {
    "linear": (0.0, ()),
    "dropout": (0.4, ()),
    "dense": (0.0, (0.6,)),
    "dense2": (0.0, (0.6, 0.25)),
}


class StackedHeads(nn.Sequential):
    """K heads of one kind: ``(K, B, F)`` features to ``(K, B, C)`` logits.

    "linear" is one softmax layer, "dropout" drops 40% of the features before it, "dense" has 256 units with batch
    normalisation, ReLU and 60% dropout before it, and "dense2" two such layers, with 60% and 25% dropout. All begin by
    standardising, which changes nothing until it is given a mean and a standard deviation.

    Args:
        head: a name in ``HEADS``.
        features: F.
        categories: C.
        generators: one a head; the first weights and the dropout follow from it alone.

    Raises:
        ValueError: the head is unknown.
    """

    def __init__(self, head: str, features: int, categories: int, generators: Sequence[torch.Generator]) -> None:
        if head not in HEADS:
            raise ValueError(f"head is {head!r}; choose one of {', '.join(HEADS)}.")
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
    """A stack of one whose dropout is PyTorch's own, and so follows PyTorch's global random state.

    First weights are always the same; arguments and errors as of :class:`StackedHeads`.
    """
    with torch.device("cpu"):  # even where the caller wants no more than shapes: dropout has to draw its seeds
        stack = StackedHeads(head, features, categories, [torch.Generator().manual_seed(0)])
    for place, layer in enumerate(stack):
        if isinstance(layer, StackedDropout):
            stack[place] = nn.Dropout(layer.share)
    return stack


def trained_head(head: str, tensors: Mapping[str, Tensor]) -> StackedHeads:
    """A plain head, in evaluation mode, with copies of its tensors (without the stack's first dimension)."""
    (features,) = tensors["0.mean"].shape
    (categories,) = tensors[max(name for name in tensors if name.endswith("bias"))].shape  # of the last layer
    stack = plain_head(head, features, categories)
    stack.load_state_dict({name: tensor[None].clone() for name, tensor in tensors.items()}, assign=True)
    return stack.eval()


class Standardise(nn.Module):
    """Subtract each head's mean of a feature and divide by its standard deviation: ``(K, B, F)``, unchanged.

    A deviation counts as at least a tenth of their median: whatever hardly varies in training images may vary much more
    in others, and would then drown all the rest.
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
        """Take one head's statistics from features ``(N, F)``; those that do not vary are only centred."""
        mean = features.mean(0)
        std = (features - mean).square_().mean(0).sqrt()  # a tenth of the time of var_mean on a CPU
        varies = std > 1e-6 * mean.abs()  # less is rounding
        least = std.where(varies, torch.nan).nanmedian() / 10
        self.mean[head], self.std[head] = mean, torch.where(varies, std.clamp(least), 1)


class Dense(nn.Module):
    """``nn.Linear`` of each head, with its first weights: ``(K, B, inputs)`` to ``(K, B, outputs)``."""

    def __init__(self, inputs: int, outputs: int, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(_uniform((outputs, inputs), bound, generators))
        self.bias = nn.Parameter(_uniform((outputs,), bound, generators))

    def forward(self, features: Tensor) -> Tensor:
        return torch.baddbmm(self.bias[:, None], features, self.weight.mT)


class StackedBatchNorm(nn.Module):
    """``nn.BatchNorm1d`` of each head, over its own batch: ``(K, B, C)``, unchanged. A batch needs two images."""

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
    """Dropout with random numbers of each head's own, on whatever device: ``(K, B, F)``, unchanged."""

    def __init__(self, share: float, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.share = share
        self.seeds = [int(torch.randint(2**63 - 1, (), generator=generator)) for generator in generators]
        self.generators: list[torch.Generator] = []

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return features
        if not self.generators:  # only now is the device known
            self.generators = [torch.Generator(features.device).manual_seed(seed) for seed in self.seeds]
        noise = torch.empty(features.shape, device=features.device)
        for own, generator in zip(noise, self.generators, strict=True):
            own.uniform_(generator=generator)  # a sixth of the time of bernoulli_ on a CPU
        return features * noise.ge_(self.share).div_(1 - self.share)


def _uniform(shape: tuple[int, ...], bound: float, generators: Sequence[torch.Generator]) -> Tensor:
    return torch.stack([torch.empty(shape).uniform_(-bound, bound, generator=generator) for generator in generators])
