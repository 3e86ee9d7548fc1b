"""Optimisers by name, and gradient descent with momentum where every trial of a stack has its own learning rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor
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


class StackedSGD(Optimizer):
    """``velocity = momentum * velocity + gradient``, then ``parameter -= rate * velocity``, trial by trial.

    Parameters have K as their first dimension. Before each ``step`` set ``momentum`` (one number) and ``rates``
    (tensor ``(K,)``): both follow schedules. With equal rates this is ``torch.optim.SGD``.
    """

    def __init__(self, parameters) -> None:
        super().__init__(parameters, defaults={})
        self.momentum: float = 0.0
        self.rates: Tensor | None = None

    @torch.no_grad()
    def step(self, closure=None):
        loss = closure() if closure is not None else None
        parameters = [p for group in self.param_groups for p in group["params"]]
        for parameter in parameters:
            if "velocity" not in self.state[parameter]:
                self.state[parameter]["velocity"] = torch.zeros_like(parameter)
        velocities = [self.state[parameter]["velocity"] for parameter in parameters]
        torch._foreach_mul_(velocities, self.momentum)
        torch._foreach_add_(velocities, [parameter.grad for parameter in parameters])
        for parameter, velocity in zip(parameters, velocities, strict=True):
            rates = self.rates.view(-1, *[1] * (parameter.dim() - 1))
            parameter.addcmul_(velocity, rates, value=-1)
        return loss
