"""A law of mixing: each domain's error against its share, fitted on a few cheap runs to predict the best ratio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from mixvision.evaluation.metrics import performance
from mixvision.evaluation.selection import best_label
from mixvision.parameter_types import require_types
from mixvision.vocabulary import DOMAINS, MEASURES

PARAMETERS_OF_LAW = 3
HIGHEST_RATE = 20.0  # halves the error above the floor within 3.5 points of share
FIRST_RATES = (0.5, 3.0, 10.0)  # the fit starts from each: a single start can end in a local minimum
WEIGHT_OF_RATE = 0.001  # if the points leave the rate open (three points, two of them equal), take the gentlest curve


@dataclass(frozen=True)
class MixingLaw:
    """Error of one domain against its share s of the training images: floor + (start - floor) * exp(-rate * s).

    This is the exponential data mixing law c + k * exp(t * r) of Ye et al. (2024, section 3), written so that bounds
    on its parameters bound the error.

    Attributes:
        start: error without any image of the domain, a fraction.
        floor: the limit of the error, a fraction.
        rate: how fast the error approaches it, 0 to 20.
    """

    start: float
    floor: float
    rate: float

    def error(self, shares: np.ndarray) -> np.ndarray:
        """Predicted errors (fractions) at these shares (0 to 1) of the domain's images."""
        return self.floor + (self.start - self.floor) * np.exp(-self.rate * np.asarray(shares, dtype="float64"))


@dataclass(frozen=True)
class Proxies:
    """Which cheap runs the law is fitted on.

    Args:
        ratio_sets: sets of ratios (per cent real), three or more in each.
        iteration_shares: how far the proxy runs are trained, as shares of all iterations.
    """

    ratio_sets: Sequence[Sequence[int]] = ((0, 50, 100), (0, 20, 50, 80, 100))
    iteration_shares: Sequence[float] = (0.25, 0.5, 1.0)

    def __post_init__(self) -> None:
        require_types(self)
        for ratios in self.ratio_sets:
            if len(set(ratios)) < PARAMETERS_OF_LAW or not all(0 <= ratio <= 100 for ratio in ratios):
                raise ValueError(
                    f"ratio_sets of the proxies holds {list(ratios)}; give {PARAMETERS_OF_LAW} or more different "
                    "ratios from 0 to 100 per cent real, as the law has that many parameters."
                )
        if not self.iteration_shares or not all(0 < share <= 1 for share in self.iteration_shares):
            raise ValueError(
                f"iteration_shares of the proxies is {list(self.iteration_shares)}; give shares above 0 and up to 1."
            )


def fit_law(shares: np.ndarray, errors: np.ndarray) -> MixingLaw:
    """Fit the law to a domain's errors by bounded least squares, with a slight preference for a low rate.

    Args:
        shares: shares of the domain's images, 0 to 1.
        errors: the domain's errors (fractions), as many.

    Raises:
        ValueError: there are fewer than three different shares.
    """
    shares, errors = np.asarray(shares, dtype="float64"), np.asarray(errors, dtype="float64")
    if len(np.unique(shares)) < PARAMETERS_OF_LAW:
        raise ValueError(f"The law needs errors at {PARAMETERS_OF_LAW} or more different shares; given {list(shares)}.")
    start, floor = errors[shares.argmin()], errors[shares.argmax()]
    fits = [
        least_squares(
            lambda values: np.append(MixingLaw(*values).error(shares) - errors, WEIGHT_OF_RATE * values[2]),
            x0=[start, floor, rate],
            bounds=([0, 0, 0], [1, 1, HIGHEST_RATE]),
        )
        for rate in FIRST_RATES
    ]
    return MixingLaw(*map(float, min(fits, key=lambda fit: fit.cost).x))


def predicted_accuracies(laws: Mapping[str, MixingLaw], ratios: Sequence[int]) -> pd.DataFrame:
    """Predictions of both domains' laws: ``ratio``, ``nice_top1``, ``real_top1``, ``performance_top1``."""
    real_shares = np.asarray(ratios) / 100
    nice, real = 1 - laws["nice"].error(1 - real_shares), 1 - laws["real"].error(real_shares)
    columns = {"ratio": ratios, "nice_top1": nice, "real_top1": real, "performance_top1": performance(nice, real)}
    return pd.DataFrame(columns)


def fit_proxies(history: pd.DataFrame, trials: pd.DataFrame, proxies: Proxies) -> pd.DataFrame:
    """Fit the law to every set of proxy runs at every iteration, and compare it with the histories.

    Args:
        history: ``trial``, ``iteration``, ``split``, ``nice_top1``, ``real_top1``, ``performance_top1``; only the
            validation images count.
        trials: one row per trial that finished, with ``trial`` and ``ratio`` (per cent real); the histories of others
            do not count.
        proxies: which runs, and for how long; the evaluation closest to each iteration share is used. Sets with a
            ratio that was not trained are left out.

    Returns:
        One row per set (``proxies``, its ratios as text), ``iteration`` and ``ratio`` 0 to 100: the predicted
        ``nice_top1``, ``real_top1``, ``performance_top1``; ``observed_`` the same, the means over the seeds at that
        iteration where the ratio was trained; ``proxy``, whether the fit uses it; ``trained``, the iteration as a
        share of the last one.

    Raises:
        ValueError: the history has no validation rows.
    """
    measured = history[history["split"] == "validation"].merge(trials[["trial", "ratio"]], on="trial")
    metrics = [f"{measure}_top1" for measure in MEASURES]
    means = measured.groupby(["iteration", "ratio"])[metrics].mean()
    evaluations = means.index.unique("iteration").to_numpy()
    if not len(evaluations):
        raise ValueError("The history has no accuracy on validation images, to which the law of mixing is fitted.")
    wanted = np.array(proxies.iteration_shares) * evaluations.max()
    iterations = sorted({int(evaluations[abs(evaluations - iteration).argmin()]) for iteration in wanted})
    fitted = []
    for ratios in proxies.ratio_sets:
        for iteration in iterations:
            observed = means.loc[iteration].dropna()
            if set(ratios) <= set(observed.index):
                known = observed.loc[list(ratios)]
                predicted = predicted_accuracies(_fit_domains(known), range(101))
                curve = predicted.join(observed.add_prefix("observed_"), on="ratio")
                names = {"proxies": ", ".join(map(str, sorted(ratios))), "iteration": iteration}
                trained = iteration / evaluations.max()
                fitted.append(curve.assign(**names, trained=trained, proxy=curve["ratio"].isin(ratios)))
    columns = [
        "proxies",
        "iteration",
        "trained",
        "ratio",
        "proxy",
        *metrics,
        *(f"observed_{metric}" for metric in metrics),
    ]
    return pd.concat(fitted, ignore_index=True)[columns] if fitted else pd.DataFrame(columns=columns)


def compare_predictions(curves: pd.DataFrame, outcome: pd.DataFrame) -> pd.DataFrame:
    """Compare the cost of choosing a ratio by the law with the performance that the choice loses.

    Args:
        curves: what :func:`fit_proxies` returns.
        outcome: one row per trained ``ratio``, from the complete runs: ``validation_performance_top1`` and, on the
            test images, ``performance_top1``.

    Returns:
        One row per set of proxies and iteration: ``cost`` (its training steps as a share of those of all ratios to
        the end), ``predicted_best`` ratio and the ``nearest`` one that was trained, ``observed_best`` (by the
        complete runs on the validation images), ``regret`` (the highest test performance of any ratio minus that at
        ``nearest``), ``regret_of_best_proxy`` (the same for the proxy with the highest validation performance at that
        iteration, without a law), ``regret_of_all_runs`` (the same for ``observed_best``), and ``error``: the mean
        absolute difference of the predicted accuracies from those at the same iteration at ratios that are not proxies
        (NaN where all are).
    """
    performances = outcome.set_index("ratio")["performance_top1"]
    observed_best = best_label(outcome.set_index("ratio")["validation_performance_top1"])
    regrets = performances.max() - performances
    rows = []
    for (names, iteration), curve in curves.groupby(["proxies", "iteration"], sort=False):
        by_ratio = curve.set_index("ratio")
        predicted = best_label(by_ratio["performance_top1"])
        nearest = int(min(performances.index, key=lambda ratio: abs(ratio - predicted)))
        proxies = by_ratio[by_ratio["proxy"].astype(bool)]
        others = by_ratio[~by_ratio["proxy"].astype(bool)]
        errors = [(others[f"{domain}_top1"] - others[f"observed_{domain}_top1"]).abs() for domain in DOMAINS]
        rows.append(
            {
                "proxies": names,
                "iteration": iteration,
                "cost": len(proxies) * curve["trained"].iloc[0] / len(performances),
                "predicted_best": predicted,
                "nearest": nearest,
                "observed_best": observed_best,
                "regret": regrets[nearest],
                "regret_of_best_proxy": regrets[best_label(proxies["observed_performance_top1"])],
                "regret_of_all_runs": regrets[observed_best],
                "error": pd.concat(errors).mean(),
            }
        )
    return pd.DataFrame(rows, columns=None if rows else ["proxies", "iteration", "cost"])  # a CSV file needs columns


def _fit_domains(accuracies: pd.DataFrame) -> dict[str, MixingLaw]:
    """Both domains' laws from the accuracies (fractions) by ratio, each against the share of its own images."""
    real = accuracies.index.to_numpy() / 100
    shares = {"nice": 1 - real, "real": real}
    return {domain: fit_law(shares[domain], 1 - accuracies[f"{domain}_top1"].to_numpy()) for domain in DOMAINS}
