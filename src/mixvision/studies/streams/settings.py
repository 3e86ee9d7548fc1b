"""Settings of online learning from two streams of images."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class OnlineLearning:
    """How to learn from two streams of images.

    Attributes:
        buffer: how many images of each domain to use, the newest of those that are still in the folder.
        real_share: share of real images in the training set, whole per cent from 1 to 99 (the study: 70, as 3:7).
        learning_rate: at the beginning of every run.
        l2: factor on half the sum of squared weights.
        seed: of the initial weights and the batches.
    """

    buffer: int = 1000
    real_share: int = 70
    learning_rate: float = 0.004
    l2: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, lowest, highest in (("buffer", 1, math.inf), ("real_share", 1, 99), ("seed", 0, math.inf)):
            value = getattr(self, name)
            if type(value) is not int or not lowest <= value <= highest:
                allowed = f"{lowest} or more" if highest == math.inf else f"{lowest} to {highest}"
                raise ValueError(f"{name} is {value!r}; give a whole number of {allowed}.")
        for name, least in (("learning_rate", math.ulp(0)), ("l2", 0.0)):
            value = getattr(self, name)
            if type(value) not in (int, float) or not least <= value < math.inf:
                raise ValueError(f"{name} is {value!r}; give a number {'of 0 or more' if least == 0 else 'above 0'}.")
