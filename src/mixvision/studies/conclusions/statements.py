"""The study's hypotheses in words, and the rules by which they are judged."""

from __future__ import annotations

from typing import Any

CENTRE, NEAR = 50, 20  # per cent real: "near 50%" is from 30% to 70%
PURE = {"nice": 0, "real": 100}  # the ratio that holds most images of the domain
NOT_JUDGED = "not judged"
STATEMENTS = {
    "nice": "highest nice accuracy at 0% real",
    "real": "highest real accuracy at 100% real",
    "best ratio": "best performance near 50% real",
    "iterative": "iterative better than mixed training",
}
RULES = (
    "A hypothesis says which models are best, and is judged by the best of these minus the best of all others on the "
    "test images, seed by seed. It is supported if this difference is certainly above 0, refuted if it is certainly "
    "below 0, tied if it is certainly smaller than {margin:g} either way, and otherwise undecided. Certainly: each "
    "bound is wrong in at most 5% of studies, over test images and training seeds, however many rivals there are "
    "(benchmarks/verdicts.py measures it). This needs {fewest} seeds or more.",
    f"The best ratio is near {CENTRE}% if it is within {NEAR} points of it.",
    "Iterative and mixed training are compared as procedures: each seed picks its best model of both on the validation "
    "images.",
)


def is_near(ratio: Any) -> Any:
    """Whether a ratio, or each of several, counts as near the centre."""
    return abs(ratio - CENTRE) <= NEAR
