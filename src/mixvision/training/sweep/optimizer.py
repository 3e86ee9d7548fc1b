"""Gradient descent with momentum and a learning rate per trial of a stack."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer


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
