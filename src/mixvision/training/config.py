"""Settings of training: device and precision, duration, and where it starts from."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeGuard, get_args

import torch
from torch import Tensor

from mixvision.parameter_types import require_choice

Precision: TypeAlias = Literal["32-true", "64-true", "bf16-mixed"]


@dataclass(frozen=True)
class Arithmetic:
    """Which device to train on, and in which precision.

    Attributes:
        accelerator: "auto" (an NVIDIA or AMD GPU if there is one, else the CPU), "cpu" or "gpu".
        precision: Lightning's name for it, "32-true", "64-true" or "bf16-mixed".
    """

    accelerator: str = "auto"
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        allowed = {"accelerator": ("auto", "cpu", "gpu"), "precision": get_args(Precision)}
        for name, values in allowed.items():
            require_choice(name, getattr(self, name), values)

    @property
    def on_gpu(self) -> bool:
        """Whether training runs on a GPU on this machine."""
        return self.accelerator != "cpu" and torch.cuda.is_available()

    @property
    def device(self) -> torch.device:
        """The device that tensors are moved to."""
        return torch.device("cuda" if self.on_gpu else "cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Type of weights and images: float64 with "64-true", else float32."""
        return torch.float64 if self.precision == "64-true" else torch.float32

    def autocast(self) -> torch.autocast:
        """Return a context that computes in bfloat16 with "bf16-mixed", and in ``dtype`` with any other precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16-mixed")

    def require_available(self) -> None:
        """Raise ValueError if a GPU is requested but PyTorch finds none; runs ask this before they do anything."""
        if self.accelerator == "gpu" and not torch.cuda.is_available():
            raise ValueError("accelerator is 'gpu', but PyTorch finds no GPU on this machine: use 'auto' or 'cpu'.")


@dataclass(frozen=True)
class Training(Arithmetic):
    """How long to train a stack of networks, and on which device.

    Attributes:
        iterations: steps of gradient descent (the study: 3,000).
        evaluate_every: iterations between two evaluations on the validation and test images.
        checkpoint_every: iterations between two checkpoints; a killed run loses at most these.
        stack_size: largest number of trials trained together, or None to choose it for the device.
    """

    iterations: int = 3000
    evaluate_every: int = 50
    checkpoint_every: int = 100
    stack_size: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        lengths = {name: getattr(self, name) for name in ("iterations", "evaluate_every", "checkpoint_every")}
        _require_whole(lengths if self.stack_size is None else lengths | {"stack_size": self.stack_size})


@dataclass(frozen=True)
class EpochTraining(Arithmetic):
    """How long to train one network, and on which device.

    Attributes:
        epochs: maximum number of passes over the training set (the berries study: 10).
        patience: passes without a higher validation accuracy after which training stops (the berries study: 3).
    """

    epochs: int = 10
    patience: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_whole({"epochs": self.epochs, "patience": self.patience})


def _require_whole(values: Mapping[str, object]) -> None:
    for name, value in values.items():
        if type(value) is not int or value < 1:
            raise ValueError(f"{name} is {value!r}; give a whole number of 1 or more.")


@dataclass(frozen=True)
class Start:
    """Where one trial's training starts.

    Attributes:
        weights: one network's tensors, as in ``SweepResult.weights[trial][name]``.
        history: history rows of the training that led to them; the trial's own history begins with these.
        images: ids of images of that training, for objectives that look back.
    """

    weights: Mapping[str, Tensor]
    history: Sequence[dict] = ()
    images: Sequence[str] = ()


@dataclass(frozen=True)
class Continuation:
    """Training that continues from trained networks.

    Attributes:
        starts: where each trial starts, by the trial's name.
        trainable: "all", or "head" for the fully connected layers only, including the statistics of their
            normalisation.
        schedules: "restart" them, or "continue" them from the trial's ``begin``. In both cases the velocity starts at
            zero, and the wait for a plateau of the loss starts over.
    """

    starts: Mapping[str, Start]
    trainable: str = "all"
    schedules: str = "restart"

    def __post_init__(self) -> None:
        allowed = {"trainable": ("all", "head"), "schedules": ("restart", "continue")}
        for name, values in allowed.items():
            require_choice(name, getattr(self, name), values)


Prune = Callable[[list[dict]], set[str]]


@dataclass(frozen=True)
class Course:
    """What a sweep does besides training from new weights to the last step.

    Attributes:
        continuation: the trained networks to continue from.
        keep: iterations whose weights and predictions are kept as well, as "iteration_<n>".
        prune: function from the history rows of an evaluation to the names of the trials to stop.
    """

    continuation: Continuation | None = None
    keep: Collection[int] = ()
    prune: Prune | None = None

    def past(self, trials: Sequence[str]) -> list[dict]:
        """The history rows that led to the trials' first weights."""
        return [row for trial in trials for row in self.continuation.starts[trial].history] if self.continuation else []


STRAIGHT = Course()


def is_number(value: object) -> TypeGuard[float]:
    """Whether a parameter is a finite number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
