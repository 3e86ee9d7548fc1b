"""Verdicts of :mod:`mixvision.evaluation.comparisons` in sentences."""

from __future__ import annotations

from mixvision.evaluation.comparisons import FEWEST_SEEDS, MOST_SEEDS, NOT_ENOUGH, Verdict


def in_words(estimate: float, found: Verdict, seeds: int) -> str:
    """The difference with its bounds, the verdict and, where it is undecided, how many seeds would settle it.

    Args:
        estimate: the best claimed model minus the best other one (a fraction).
        found: the verdict on the claim.
        seeds: how many each model was trained with.
    """
    difference = f"The difference is {estimate:+.3f}"
    if found.verdict == NOT_ENOUGH:
        return f"{difference}; with {seeds} of at least {FEWEST_SEEDS} seeds: {NOT_ENOUGH}."
    text = f"{difference} ({found.low:+.3f} to {found.high:+.3f}): {found.verdict}."
    if found.verdict != "undecided":
        return text
    needed = found.seeds_needed
    more = f"{needed} seeds would settle it" if needed else f"{MOST_SEEDS} seeds would not settle it"
    return f"{text} {more}, if the differences stay as they are."
