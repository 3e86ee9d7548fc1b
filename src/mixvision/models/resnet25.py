"""The 25-layer residual network of the mixed-training study (its Table 1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mixvision.models.stacked import ELU, StackedConv2d, StackedLinear, StackedNetwork

SMALLEST_IMAGE = 16
HIDDEN_UNITS = 200


class ResNet25(StackedNetwork):
    """K independent residual networks of 25 weight layers: a 5x5 convolution, eleven blocks of two, two dense layers.

    A 100x100 image goes through maps of 100, 50, 50, 25, 25, 12, 12 and 6 pixels on each side to 1,152 features. The
    shortcuts' 1x1 convolutions are not among the 25, as in the study.

    Args:
        categories: number of outputs.
        image_size: side of the square input in pixels, at least 16.
        generators: a random generator for each network's first weights; K is their number.

    Shapes: images ``(B, K * 3, S, S)``, floats in [0, 1]; logits ``(K, B, categories)``.

    Raises:
        ValueError: the image is too small to be halved four times.
    """

    def __init__(self, categories: int, image_size: int, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        if image_size < SMALLEST_IMAGE:
            raise ValueError(
                f"image_size is {image_size}, but this network halves the image four times: "
                f"use {SMALLEST_IMAGE} pixels or more."
            )
        self.features = nn.Sequential(
            StackedConv2d(3, 8, 5, generators),
            nn.MaxPool2d(2),
            ELU(),  # after max pooling gives the same as before it, as ELU is monotone, at a quarter of the cost
            *[ResidualBlock(8, 8, generators) for _ in range(3)],
            ResidualBlock(8, 16, generators),
            *[ResidualBlock(16, 16, generators) for _ in range(3)],
            ResidualBlock(16, 32, generators),
            *[ResidualBlock(32, 32, generators) for _ in range(3)],
            nn.AvgPool2d(2),
        )
        side = image_size // 16
        self.head = nn.Sequential(
            StackedLinear(32 * side * side, HIDDEN_UNITS, generators),
            nn.Tanh(),
            StackedLinear(HIDDEN_UNITS, categories, generators),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.embed(images))

    def embed(self, images: Tensor) -> Tensor:
        """Inputs of the head, ``(K, B, F)`` for images ``(B, K * 3, S, S)``; F is 128 at 32x32, 1,152 at 100x100.

        If the features are frozen, these can be computed once, and the head can be trained on them alone.
        """
        # A stack may lose networks while it trains, so their number is taken from the weights.
        networks = len(next(self.head.parameters()))
        return self.features(images).reshape(len(images), networks, -1).transpose(0, 1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut around them; the second activation comes after the addition.

    Equal channels keep the size, and the shortcut is the identity. More channels halve the size, and the shortcut is a
    1x1 convolution of the same stride.
    """

    def __init__(self, channels_in: int, channels_out: int, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        stride = 1 if channels_in == channels_out else 2
        self.first = StackedConv2d(channels_in, channels_out, 3, generators, stride)
        self.second = StackedConv2d(channels_out, channels_out, 3, generators)
        self.shortcut = (
            nn.Identity() if stride == 1 else StackedConv2d(channels_in, channels_out, 1, generators, stride)
        )
        self.activation = ELU()

    def forward(self, maps: Tensor) -> Tensor:
        return self.activation(self.second(self.activation(self.first(maps))).add_(self.shortcut(maps)))
