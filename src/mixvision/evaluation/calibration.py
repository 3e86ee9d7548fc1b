"""Whether a model that is 80% sure is right 80% of the time."""

from __future__ import annotations

import numpy as np
import pandas as pd


def reliability(selected: pd.DataFrame, bins: int = 15) -> pd.DataFrame:
    """Compute confidence and accuracy in bins of equal width of the model's highest probability.

    Args:
        selected: what :func:`mixvision.evaluation.mistakes.select_predictions` returns for one trial.
        bins: number of bins; each includes its upper bound, as in Guo et al. (2017), section 2.

    Returns:
        One row per bin: ``low``, ``high`` (its bounds), ``images`` (how many), ``confidence`` (mean of their highest
        probabilities) and ``accuracy`` (top-1); these two are fractions, NaN for an empty bin.

    Raises:
        ValueError: bins is below 1.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}; a reliability diagram needs 1 or more.")
    bounds = np.linspace(0, 1, bins + 1)
    confidence = selected["probability_1"].to_numpy("float64")
    place = np.clip(np.searchsorted(bounds, confidence, side="left") - 1, 0, bins - 1)
    sure = pd.DataFrame({"confidence": confidence, "accuracy": selected["top1"].to_numpy("float64")})
    groups = sure.groupby(place)
    table = pd.DataFrame({"low": bounds[:-1], "high": bounds[1:]})
    table["images"] = groups.size().reindex(table.index, fill_value=0)
    return table.join(groups.mean())


def expected_calibration_error(selected: pd.DataFrame, bins: int = 15) -> float:
    """Mean distance between confidence and accuracy over the bins, weighted by images (Guo et al., 2017, section 2).

    Arguments and errors as for :func:`reliability`; a fraction, NaN without images.
    """
    table = reliability(selected, bins)
    distance = (table["confidence"] - table["accuracy"]).abs() * table["images"]
    return float(distance.sum() / table["images"].sum()) if len(selected) else float("nan")
