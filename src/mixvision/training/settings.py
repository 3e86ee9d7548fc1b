"""How long and on what to train, and from where."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Training:
    """How long and on what to train.

    Attributes:
        iterations: steps of gradient descent (the study: 3,000).
        evaluate_every: iterations between two evaluations on the validation and test images.
        checkpoint_every: iterations between two checkpoints; a killed run loses at most these.
        accelerator: "auto" (an NVIDIA or AMD GPU where there is one, else the CPU), "cpu" or "gpu".
        precision: Lightning's name of the arithmetic, "32-true", "64-true" or "bf16-mixed".
        stack_size: most trials trained together, or None to decide by the device.
    """

    iterations: int = 3000
    evaluate_every: int = 50
    checkpoint_every: int = 100
    accelerator: str = "auto"
    precision: str = "32-true"
    stack_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("iterations", "evaluate_every", "checkpoint_every", "stack_size"):
            value = getattr(self, name)
            if name == "stack_size" and value is None:
                continue
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} is {value!r}; give a whole number of 1 or more.")
        allowed = {"accelerator": ("auto", "cpu", "gpu"), "precision": ("32-true", "64-true", "bf16-mixed")}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(values)}.")

    @property
    def on_gpu(self) -> bool:
        """Whether training takes place on a GPU here."""
        return self.accelerator != "cpu" and torch.cuda.is_available()


@dataclass(frozen=True)
class Start:
    """Where one trial's training starts.

    Attributes:
        weights: one network's tensors, as in ``SweepResult.weights[trial][name]``.
        history: rows that led to them; they become the first rows of the trial's history.
    """

    weights: Mapping[str, Tensor]
    history: Sequence[dict] = ()


@dataclass(frozen=True)
class Continuation:
    """A training that goes on from trained networks.

    Attributes:
        starts: by trial.
        trainable: "all", or "head" for the fully connected layers alone, statistics of their normalisation included.
        schedules: "restart" them, or "continue" them from the trial's ``begin``. The velocity starts from rest and the
            halving of the learning rate on a plateau starts anew in both.
    """

    starts: Mapping[str, Start]
    trainable: str = "all"
    schedules: str = "restart"

    def __post_init__(self) -> None:
        allowed = {"trainable": ("all", "head"), "schedules": ("restart", "continue")}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(values)}.")


def is_number(value: object) -> bool:
    """Whether a parameter is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
