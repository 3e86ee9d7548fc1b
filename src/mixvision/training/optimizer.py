"""Optimisers by name, as the studies have them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch.optim import Optimizer

# Fused: one pass over the weights, which takes a sixth of the time of several on a CPU.
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": partial(torch.optim.Adam, fused=True),
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True, fused=True),
}
SGD_DECAY = 1e-6  # of the studies' rate, a step; Keras called it decay


def require_optimizer(name: object) -> None:
    """Refuse an optimiser that is none of ``OPTIMIZERS`` (ValueError)."""
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer is {name!r}; choose one of {', '.join(OPTIMIZERS)}.")


def make_optimizer(name: str, parameters: Iterable) -> Optimizer:
    """Adam, or the studies' SGD: Nesterov's momentum, 0.9.

    Args:
        name: "adam" or "sgd".
        parameters: groups with an "lr" each, and anything else that PyTorch's optimiser knows.

    Raises:
        ValueError: the name is unknown.
    """
    require_optimizer(name)
    return OPTIMIZERS[name](parameters)


def decayed_rate(name: str, learning_rate: float, step: int) -> float:
    """The learning rate after ``step`` steps: SGD's falls with time as the studies' did, Adam's is constant."""
    return learning_rate / (1 + SGD_DECAY * step) if name == "sgd" else learning_rate
