"""The study's schedules: each is a plain function of the iteration, counted from 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

PATIENCE = 500


def learning_rate_decay(iteration: int) -> float:
    """Factor on the initial learning rate: a smooth decay by 10% every 80 iterations."""
    return 0.9 ** (iteration / 80)


def momentum(iteration: int) -> float:
    """Momentum of the gradient descent, rising from 0.27 towards 0.6: ``0.6 / (1 + exp((100 - iteration) / 500))``."""
    return 0.6 / (1 + math.exp((100 - iteration) / 500))


def batch_norm_momentum(iteration: int) -> float:
    """Share by which normalisation statistics move towards the batch's: ``max(0.01, 0.9 ** (iteration / 50))``.

    One minus this is what the study calls the momentum of its batch normalisation.
    """
    return max(0.01, 0.9 ** (iteration / 50))


class Plateau(nn.Module):
    """Halves each trial's learning rate when its training loss has not reached a new low for 500 iterations.

    Buffers hold one value per trial, on its device, so that tracking the loss never waits for the device.

    Shapes: losses ``(K,)``; returns the factors on the learning rates, ``(K,)``.
    """

    lowest: Tensor
    waited: Tensor
    factor: Tensor

    def __init__(self, trials: int, patience: int = PATIENCE) -> None:
        super().__init__()
        self.patience = patience
        self.register_buffer("lowest", torch.full((trials,), math.inf))
        self.register_buffer("waited", torch.zeros(trials, dtype=torch.long))
        self.register_buffer("factor", torch.ones(trials))

    def forward(self, losses: Tensor) -> Tensor:
        dropped = losses < self.lowest
        self.lowest = torch.where(dropped, losses, self.lowest)
        self.waited = torch.where(dropped, 0, self.waited + 1)
        halve = self.waited >= self.patience
        self.factor = torch.where(halve, self.factor / 2, self.factor)
        self.waited = torch.where(halve, 0, self.waited)
        return self.factor
