"""A small network for what the training engine does with any network: a fraction of the time of ``ResNet25``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mixvision.models.stacked import ELU, StackedConv2d, StackedLinear, StackedNetwork


class SmallNetwork(StackedNetwork):
    """K networks of one convolution and two dense layers, for images of 16 pixels and three categories."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        super().__init__()
        self.features = nn.Sequential(StackedConv2d(3, 8, 3, generators, stride=2), ELU(), nn.AvgPool2d(4))
        self.head = nn.Sequential(StackedLinear(32, 16, generators), nn.Tanh(), StackedLinear(16, 3, generators))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.embed(images))

    def embed(self, images: Tensor) -> Tensor:
        networks = len(next(self.head.parameters()))
        return self.features(images).reshape(len(images), networks, -1).transpose(0, 1)
