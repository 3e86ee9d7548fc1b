"""How long and on what to train, and from where."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeGuard, get_args

import torch
from torch import Tensor

Precision: TypeAlias = Literal["32-true", "64-true", "bf16-mixed"]


@dataclass(frozen=True)
class Arithmetic:
    """On what and how precisely to train.

    Attributes:
        accelerator: "auto" (an NVIDIA or AMD GPU where there is one, else the CPU), "cpu" or "gpu".
        precision: Lightning's name of the arithmetic, "32-true", "64-true" or "bf16-mixed".
    """

    accelerator: str = "auto"
    precision: Precision = "32-true"

    def __post_init__(self) -> None:
        allowed = {"accelerator": ("auto", "cpu", "gpu"), "precision": get_args(Precision)}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(values)}.")

    @property
    def on_gpu(self) -> bool:
        """Whether training takes place on a GPU here."""
        return self.accelerator != "cpu" and torch.cuda.is_available()

    @property
    def device(self) -> torch.device:
        """Where tensors belong."""
        return torch.device("cuda" if self.on_gpu else "cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and of images: float64 with "64-true", else float32."""
        return torch.float64 if self.precision == "64-true" else torch.float32

    def autocast(self) -> torch.autocast:
        """A context in which "bf16-mixed" computes in bfloat16, and any other precision in its own type."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16-mixed")

    def require_device(self) -> None:
        """Refuse a GPU that is asked for where there is none (ValueError)."""
        if self.accelerator == "gpu" and not torch.cuda.is_available():
            raise ValueError("accelerator is 'gpu', but PyTorch finds none here: use auto or cpu.")


@dataclass(frozen=True)
class Training(Arithmetic):
    """How long to train a stack, beside on what.

    Attributes:
        iterations: steps of gradient descent (the study: 3,000).
        evaluate_every: iterations between two evaluations on the validation and test images.
        checkpoint_every: iterations between two checkpoints; a killed run loses at most these.
        stack_size: most trials trained together, or None to decide by the device.
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
    """How long to train one network, beside on what.

    Attributes:
        epochs: most passes over the training set (the berries study: 10).
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


Prune = Callable[[list[dict]], set[str]]


@dataclass(frozen=True)
class Course:
    """What a sweep does besides training from new weights to the last step.

    Attributes:
        continuation: the trained networks to go on from.
        keep: iterations whose weights and predictions are kept besides, as "iteration_<n>".
        prune: names, from the history rows of an evaluation, the trials that are not worth going on with.
    """

    continuation: Continuation | None = None
    keep: Collection[int] = ()
    prune: Prune | None = None

    def past(self, trials: Sequence[str]) -> list[dict]:
        """The history rows that led to the trials' first weights."""
        return [row for trial in trials for row in self.continuation.starts[trial].history] if self.continuation else []


STRAIGHT = Course()


def is_number(value: object) -> TypeGuard[float]:
    """Whether a parameter is a finite number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
