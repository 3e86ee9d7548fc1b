"""Settings of fine-tuning: its phases, and how they are trained."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import accumulate
from typing import Literal

from mixvision.models.heads import HEADS
from mixvision.parameter_types import require_choice, require_types
from mixvision.training.config import is_number
from mixvision.training.optimizer import OPTIMIZERS

SCHEDULES = ("constant", "cosine")
# Names of fine-tunings become parts of paths and of other names. The prefixes are those of ensembles and of networks
# with their original classifier.
_NAME = re.compile(r"(?!mean-of-|stacked-|as-is)\w[\w. -]*")
_NAMES = (
    "letters, digits, '_', '-', '.' and spaces, beginning with a letter, a digit or '_'; mean-of-..., stacked-... and "
    "as-is... are reserved for other models"
)


@dataclass(frozen=True)
class Phase:
    """Some epochs in which the same blocks are trained.

    Attributes:
        trainable_blocks: how many of the backbone's last blocks are trained with the head; "head": none; "all":
            everything.
        epochs: number of epochs, 1 or more.
        learning_rate: of the head, and of the blocks unless ``FineTuning.layer_decay`` lowers theirs.
        reset_optimizer: discard the optimiser's state when the phase begins, as a new optimiser per phase would. The
            first steps are then much larger than they should be, which shows as a spike in the loss.
    """

    trainable_blocks: int | Literal["head", "all"]
    epochs: int
    learning_rate: float
    reset_optimizer: bool = False

    def __post_init__(self) -> None:
        blocks = self.trainable_blocks in ("head", "all") or _is_whole(self.trainable_blocks, 1)
        rate = is_number(self.learning_rate) and self.learning_rate > 0
        _require(self, "trainable_blocks", blocks, "'head', 'all', or a number of blocks of 1 or more")
        _require(self, "epochs", _is_whole(self.epochs, 1), "a whole number of 1 or more")
        _require(self, "learning_rate", rate, "a number above 0")
        _require(self, "reset_optimizer", type(self.reset_optimizer) is bool, "true or false")

    @property
    def name(self) -> str:
        """What is trained, in words."""
        if isinstance(self.trainable_blocks, int):
            return "last block" if self.trainable_blocks == 1 else f"last {self.trainable_blocks} blocks"
        return self.trainable_blocks


@dataclass(frozen=True)
class FineTuning:
    """How a network is fine-tuned.

    Attributes:
        name: name of the fine-tuning, made of letters, digits, "_", "-", "." and spaces.
        head: which trained head it continues from, a name in ``mixvision.models.heads.HEADS``.
        phases: trained one after the other; mappings become ``Phase``.
        optimizer: "adam" or "sgd" (Nesterov momentum 0.9, and the studies' time-based decay of the learning rate).
        batch_size: images per step.
        weight_decay: as in ``torch.optim.Adam``, for all but the backbone's biases and normalisation.
        layer_decay: the learning rate of each block is that of the next one times this, above 0 and at most 1; the
            head has the full rate.
        warmup_steps: steps at the beginning of each phase during which the rate rises linearly.
        schedule: "constant", or "cosine": after the warm-up the rate falls to 0 by the end of the phase.
        batch_statistics: whether batch normalisation in unfrozen blocks uses and tracks the statistics of batches, as a
            randomly initialised network needs. A pretrained one is better off with the statistics it has: switching to
            those of a batch immediately undoes part of what it has learned.
        ema_decay: decay of an exponential moving average of the weights after each step, between 0 and 1, or None for
            no average. With one, the averaged weights are validated and kept; see :func:`.tuner.move_average`.
    """

    name: str = "fine-tuned"
    head: str = "linear"
    phases: tuple[Phase, ...] = field(default_factory=lambda: (Phase(3, 5, 1e-4), Phase("all", 5, 1e-5)))
    optimizer: str = "adam"
    batch_size: int = 32
    weight_decay: float = 0.0
    layer_decay: float = 1.0
    warmup_steps: int = 0
    schedule: str = "constant"
    batch_statistics: bool = False
    ema_decay: float | None = None

    def __post_init__(self) -> None:
        require_types(self, "head", "optimizer")
        has_phases = isinstance(self.phases, list | tuple) and bool(self.phases)
        decays = is_number(self.weight_decay) and self.weight_decay >= 0
        falls = is_number(self.layer_decay) and 0 < self.layer_decay <= 1
        fades = self.ema_decay is None or (is_number(self.ema_decay) and 0 < self.ema_decay < 1)
        _require(self, "name", isinstance(self.name, str) and bool(_NAME.fullmatch(self.name)), _NAMES)
        require_choice("head", self.head, HEADS)
        _require(self, "phases", has_phases, "a list of one or more phases")
        require_choice("optimizer", self.optimizer, OPTIMIZERS)
        _require(self, "batch_size", _is_whole(self.batch_size, 1), "a whole number of 1 or more")
        _require(self, "weight_decay", decays, "a number of 0 or more")
        _require(self, "layer_decay", falls, "a number above 0 and at most 1")
        _require(self, "warmup_steps", _is_whole(self.warmup_steps, 0), "a whole number of 0 or more")
        require_choice("schedule", self.schedule, SCHEDULES)
        _require(self, "batch_statistics", type(self.batch_statistics) is bool, "true or false")
        _require(self, "ema_decay", fades, "a number between 0 and 1, or null")
        object.__setattr__(self, "phases", tuple(map(_as_phase, self.phases)))

    @property
    def epochs(self) -> int:
        """Number of epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    def phase_at(self, epoch: int) -> tuple[Phase, int]:
        """The phase of an epoch (counted from 0), and the phase's first epoch; IndexError after the last phase."""
        begins = [0, *accumulate(phase.epochs for phase in self.phases)]
        number = bisect_right(begins, epoch) - 1
        return self.phases[number], begins[number]

    def rate(self, phase: Phase, step: int, steps: int) -> float:
        """The head's learning rate at a step (counted from 0) of a phase of ``steps`` steps."""
        if step < self.warmup_steps:
            return phase.learning_rate * (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return phase.learning_rate
        return (
            phase.learning_rate * (1 + math.cos(math.pi * (step - self.warmup_steps) / (steps - self.warmup_steps))) / 2
        )


def _as_phase(phase: object) -> Phase:
    if isinstance(phase, Phase):
        return phase
    names = [known.name for known in fields(Phase)]
    if not isinstance(phase, Mapping) or not {*names[:3]} <= set(phase) <= {*names}:
        raise ValueError(f"one of phases is {phase!r}; give {', '.join(names[:3])}, and optionally {names[3]}.")
    return Phase(**phase)


def _require(settings: object, name: str, fits: bool, allowed: str) -> None:
    if not fits:
        raise ValueError(f"{name} is {getattr(settings, name)!r}; give {allowed}.")


def _is_whole(value: object, least: int) -> bool:
    return type(value) is int and value >= least
