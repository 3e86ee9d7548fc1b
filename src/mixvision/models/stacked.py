"""Layers of K networks trained side by side as one: K groups in a convolution, a batch of K in a matrix product.

Channel ``k * C + c`` of a stacked feature map is channel ``c`` of network ``k``. Every parameter and every statistic
has K as its first dimension, so one network is a slice of the stack, and K = 1 is the plain network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

INITIAL_BIAS = 0.1


class StackedNetwork(nn.Module):
    """K networks trained side by side: images ``(B, K * 3, S, S)``, floats in [0, 1], to logits ``(K, B, C)``.

    Attributes:
        head: from the outputs of ``embed`` to the logits; it can be trained alone.
        is_real: which of the images that come next are real, bool ``(B,)``, or ``(K, B)`` in training; for networks
            that treat domains differently.
    """

    head: nn.Module
    is_real: Tensor | None = None

    def embed(self, images: Tensor) -> Tensor:
        """Inputs of the head, ``(K, B, F)``."""
        raise NotImplementedError


class StackedConv2d(nn.Module):
    """Normalise the input, then convolve: ``(B, K * channels_in, H, W)`` to ``(B, K * channels_out, H', W')``.

    Stride 1 keeps the size. Stride 2 gives ``H' = H // 2`` (25 becomes 12, as in Table 1 of the study): an odd size
    loses its last row and column, and a 3x3 window sits on pixels 0, 2, 4, ... with padding at the top and left only.

    Weights are drawn from a truncated normal with std ``1 / sqrt(channels_in)``; biases start at 0.1.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        generators: Sequence[torch.Generator],
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.stride, self.padding = stride, kernel // 2
        self.normalise = MovingNorm(len(generators), channels_in)
        shape = (channels_out, channels_in, kernel, kernel)
        self.weight = nn.Parameter(truncated_normal(shape, 1 / math.sqrt(channels_in), generators))
        self.bias = nn.Parameter(torch.full((len(generators), channels_out), INITIAL_BIAS))

    def forward(self, maps: Tensor) -> Tensor:
        maps, stride = self.normalise.centre(maps), self.stride
        if stride == 2:
            maps = maps[:, :, : maps.shape[2] // 2 * 2, : maps.shape[3] // 2 * 2]
        if stride == 2 and self.padding == 0:  # the gradient of a strided 1x1 kernel crashes oneDNN (torch 2.15)
            maps, stride = maps[:, :, ::2, ::2], 1
        # Scaling the few weights instead of the maps gives the same result and saves a pass over the maps' gradients.
        weight = self.weight * self.normalise.scale[:, None, :, None, None]
        return F.conv2d(maps, weight.flatten(0, 1), self.bias.flatten(), stride, self.padding, groups=len(weight))


class StackedLinear(nn.Module):
    """Normalise the input, then multiply: ``(K, B, inputs)`` to ``(K, B, outputs)``.

    Weights are drawn from a truncated normal with std ``1 / sqrt(inputs)``; biases start at 0.1.
    """

    def __init__(self, inputs: int, outputs: int, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.normalise = MovingNorm(len(generators), inputs)
        self.weight = nn.Parameter(truncated_normal((inputs, outputs), 1 / math.sqrt(inputs), generators))
        self.bias = nn.Parameter(torch.full((len(generators), outputs), INITIAL_BIAS))

    def forward(self, features: Tensor) -> Tensor:
        return torch.baddbmm(self.bias[:, None], self.normalise(features), self.weight)


class MovingNorm(nn.Module):
    """Normalise each channel by its moving mean and variance, both in training and in testing.

    In training the statistics first move towards those of the batch: ``mean += momentum * (batch mean - mean)``, where
    ``momentum``, in the sense of PyTorch, is one minus the study's and is set before each step. Gradients do not flow
    through them.

    The study prints ``y = (x - mean) / variance``; we divide by the standard deviation, so that a normalised channel
    has unit variance. ``power=1.0`` computes the printed form.

    Shapes: ``(B, K * C, H, W)`` or ``(K, B, C)``, unchanged.
    """

    epsilon = 1e-5
    mean: Tensor
    variance: Tensor

    def __init__(self, networks: int, channels: int, power: float = 0.5) -> None:
        super().__init__()
        self.power, self.momentum = power, 1.0
        self.register_buffer("mean", torch.zeros(networks, channels))
        self.register_buffer("variance", torch.ones(networks, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.centre(x) * self._broadcast(self.scale, x)

    def centre(self, x: Tensor) -> Tensor:
        """The first half of normalising: in training update the statistics, then subtract the mean; then ``scale``."""
        if self.training:
            self._follow(x.detach())
        return x - self._broadcast(self.mean, x)

    @property
    def scale(self) -> Tensor:
        """The factor on centred channels, ``(K, C)``."""
        return (self.variance + self.epsilon) ** -self.power

    def _follow(self, x: Tensor) -> None:
        dims = (0, 2, 3) if x.dim() == 4 else (1,)
        x = x.to(self.mean.dtype)  # x may be bfloat16
        mean = x.mean(dims)  # on a CPU two means take a sixth of the time of var_mean or a vector norm
        variance = (x.square().mean(dims) - mean.square()).clamp(min=0)
        self.mean.lerp_(mean.view_as(self.mean), self.momentum)
        self.variance.lerp_(variance.view_as(self.variance), self.momentum)

    @staticmethod
    def _broadcast(statistic: Tensor, x: Tensor) -> Tensor:
        if x.dim() == 3:
            return statistic[:, None]
        rows = statistic.view(1, -1, 1, 1).expand(-1, -1, 1, x.shape[3])
        return rows.contiguous(memory_format=torch.channels_last)  # broadcasting whole rows takes a quarter of the time


class ELU(nn.Module):
    """The exponential linear unit (Clevert et al. 2016): x where positive, exp(x) - 1 elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        return F.elu(x) if x.is_cuda else _CPUELU.apply(x)


class _CPUELU(torch.autograd.Function):
    """The same from vectorised primitives, in a fifth of the time of the CPU kernel, which calls a scalar expm1."""

    @staticmethod
    def forward(context, x: Tensor) -> Tensor:
        y = (x * math.log2(math.e)).clamp_(max=0).exp2_().sub_(1)  # exp2 takes a third of the time of exp
        torch.maximum(x, y, out=y)
        context.save_for_backward(y)
        return y

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        (y,) = context.saved_tensors
        return y.clamp(max=0).add_(1).mul_(gradient)  # starts from y, so that the result has the maps' memory layout


def truncated_normal(shape: tuple[int, ...], std: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Draw normal numbers truncated at two standard deviations ``std``: ``(K, *shape)``, one generator per network."""
    return torch.stack(
        [nn.init.trunc_normal_(torch.empty(shape), 0.0, std, -2 * std, 2 * std, generator=g) for g in generators]
    )
