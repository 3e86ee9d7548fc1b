"""How much a network forgets of its first domain while it trains on the second, measured as in continual learning."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mixvision.evaluation.metrics import summarise
from mixvision.evaluation.selection import best_of_each
from mixvision.parameter_types import require_choice
from mixvision.vocabulary import AFTER_INITIAL, DOMAINS, LAST

# The snapshot at the end of each training.
TRAININGS = {"initial": AFTER_INITIAL, "restricted": LAST}


def second_domain(first: str) -> str:
    """The domain of the restricted training, where ``first`` is that of the initial one.

    Raises:
        ValueError: ``first`` is not a domain.
    """
    require_choice("first", first, DOMAINS)
    return DOMAINS[1 - DOMAINS.index(first)]


def accuracy_matrix(metrics: pd.DataFrame, trials: pd.DataFrame, first: str) -> pd.DataFrame:
    """The matrix R of Lopez-Paz and Ranzato (2017, section 2): accuracy on each domain after each training.

    Args:
        metrics: what :func:`mixvision.evaluation.metrics.trial_metrics` returns, of ``after_initial`` and ``last``.
        trials: ``trial`` and ``share``, per cent of the iterations spent on the initial training.
        first: domain of the initial training, ``"nice"`` or ``"real"``.

    Returns:
        One row per ``share`` and ``after`` ("initial", "restricted"): ``trials``, and the test top-1 accuracy
        ``<domain>_top1`` (a fraction) with its ``_std`` over seeds, the first domain's columns first.
    """
    names = {snapshot: training for training, snapshot in TRAININGS.items()}
    chosen = metrics[metrics["snapshot"].isin(names) & (metrics["split"] == "test")]
    matrix = summarise(chosen.replace({"snapshot": names}), trials, by="share").rename(columns={"snapshot": "after"})
    columns = [f"{domain}_top1{end}" for domain in (first, second_domain(first)) for end in ("", "_std")]
    return matrix[["share", "after", "trials", *columns]]


def continual_measures(metrics: pd.DataFrame, trials: pd.DataFrame, first: str) -> pd.DataFrame:
    """Measures of continual learning with the two domains as two tasks, from the test accuracies of the matrix R.

    With R[i, j] the accuracy on domain j after training i: ``average_accuracy`` is the mean of R[2, 1] and R[2, 2],
    ``backward_transfer`` R[2, 1] - R[1, 1] (both Lopez-Paz and Ranzato, 2017, section 2), and ``forgetting`` the best
    accuracy on domain 1 after any earlier training minus that at the end (the forgetting measure of Chaudhry et al.,
    2018); with two domains R[1, 1] - R[2, 1], the negative of the backward transfer.

    Args:
        metrics, trials, first: as for :func:`accuracy_matrix`.

    Returns:
        One row per ``share``: ``trials``, the three measures of top-1, ``performance_gain`` (performance at the end
        minus that after the initial training), and the ``_std`` of each over seeds.
    """
    tested = metrics[(metrics["split"] == "test") & metrics["snapshot"].isin(TRAININGS.values())]
    initial, end = (tested[tested["snapshot"] == snapshot].set_index("trial") for snapshot in TRAININGS.values())
    kept = f"{first}_top1"
    measures = pd.DataFrame(
        {
            "average_accuracy": (end[kept] + end[f"{second_domain(first)}_top1"]) / 2,
            "forgetting": initial[kept] - end[kept],
            "backward_transfer": end[kept] - initial[kept],
            "performance_gain": end["performance_top1"] - initial["performance_top1"],
        }
    )
    return _by_share(measures, trials)


def since_switch(history: pd.DataFrame, trials: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """The learning curves from the switch to the restricted training onwards.

    The last evaluation of the initial training counts as that at the switch.

    Args:
        history: one row per ``trial``, ``iteration`` (through both trainings) and ``split``.
        trials: ``trial``, ``share`` and ``begin``, the iterations of the initial training.
        split: the images measured on.

    Returns:
        The rows of that split from the switch on, with ``share``, ``begin`` and ``since``, the iterations of the
        restricted training.
    """
    measured = history[history["split"] == split].merge(trials[["trial", "share", "begin"]], on="trial")
    measured = measured.sort_values(["trial", "iteration"], ignore_index=True)
    initial = measured["iteration"].where(measured["iteration"] <= measured["begin"])
    after = measured[measured["iteration"] >= initial.groupby(measured["trial"]).transform("max")]
    return after.assign(since=(after["iteration"] - after["begin"]).clip(lower=0))


def forgetting_speed(history: pd.DataFrame, trials: pd.DataFrame, first: str, after: int = 200) -> pd.DataFrame:
    """How fast the first domain's top-1 test accuracy falls; linear between evaluations.

    Args:
        history, trials: as for :func:`since_switch`.
        first: domain of the initial training.
        after: iterations of restricted training after which to measure again (the study: 200).

    Returns:
        One row per ``share``: ``trials``, ``accuracy_at_switch``, ``accuracy_after_<after>`` (NaN where the restricted
        training is shorter), ``accuracy_at_end``, ``iterations_to_half`` (until half of the final loss of
        accuracy is reached for the first time; NaN where nothing is lost), and the ``_std`` of each over seeds.
    """
    rows = {}
    for trial, curve in since_switch(history, trials).groupby("trial"):
        since, accuracy = curve["since"].to_numpy("float64"), curve[f"{first}_top1"].to_numpy("float64")
        rows[trial] = {
            "accuracy_at_switch": accuracy[0],
            f"accuracy_after_{after}": np.interp(after, since, accuracy, right=np.nan),
            "accuracy_at_end": accuracy[-1],
            "iterations_to_half": _iterations_to_half(since, accuracy),
        }
    columns = ["accuracy_at_switch", f"accuracy_after_{after}", "accuracy_at_end", "iterations_to_half"]
    return _by_share(pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("trial"), trials)


def interpolation_summary(metrics: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Accuracy of the networks between the ends of both trainings (WiSE-FT: Wortsman et al., 2022, section 3).

    Args:
        metrics: what :func:`mixvision.evaluation.metrics.trial_metrics` returns, of snapshots such as
            ``"alpha_0.30"``: 0.30 times the weights at the end of the restricted training plus 0.70 times those at the
            end of the initial one.
        trials: ``trial`` and ``share``.

    Returns:
        One row per ``share``, ``alpha`` and ``split``: ``trials``, the metrics and their ``_std`` over seeds.
    """
    summary = summarise(metrics, trials, by="share")
    alphas = summary.pop("snapshot").str.removeprefix("alpha_").astype("float64")
    summary.insert(1, "alpha", alphas)
    return summary.sort_values(["share", "alpha", "split"], ignore_index=True)


def best_interpolations(interpolations: pd.DataFrame) -> pd.DataFrame:
    """The alpha of every share that performs best on the validation images, with its results on the test images.

    Args:
        interpolations: what :func:`interpolation_summary` returns.

    Returns:
        One row per ``share``: ``alpha``, ``trials``, the test metrics and their ``_std``. A share without validation
        images of both domains is missing.
    """
    validated = interpolations[interpolations["split"] == "validation"]
    best = best_of_each(validated, "share", "performance_top1")[["share", "alpha"]]
    tested = interpolations[interpolations["split"] == "test"].drop(columns="split")
    return best.merge(tested, on=["share", "alpha"])


def _iterations_to_half(since: np.ndarray, accuracy: np.ndarray) -> float:
    half = (accuracy[0] + accuracy[-1]) / 2
    if accuracy[-1] >= accuracy[0]:
        return np.nan
    place = int(np.argmax(accuracy <= half))  # at least 1, as accuracy at the switch is above half
    step = (accuracy[place - 1] - half) / (accuracy[place - 1] - accuracy[place])
    return float(since[place - 1] + step * (since[place] - since[place - 1]))


def _by_share(values: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """Mean and sample standard deviation over the seeds of each share; ``values`` are indexed by trial."""
    groups = values.join(trials.set_index("trial")["share"]).groupby("share")
    spread = groups.std(ddof=1).add_suffix("_std")
    return pd.concat([groups.size().rename("trials"), groups.mean(), spread], axis=1).reset_index()
