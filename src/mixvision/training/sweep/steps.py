"""Which steps a stack takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Steps:
    """Which steps a stack takes, and after which it is evaluated.

    Attributes:
        iterations: steps to train.
        evaluate_every: iterations between two evaluations; the last iteration is always evaluated.
        begin: iterations that led to the first weights; the history counts on from there.
        schedules_begin: iteration at which the schedules set in.
        keep: iterations (counted as in the history) that are evaluated, too, and kept as "iteration_<n>".
    """

    iterations: int
    evaluate_every: int
    begin: int = 0
    schedules_begin: int = 0
    keep: frozenset[int] = frozenset()
