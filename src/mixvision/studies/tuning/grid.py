"""The study's search for a learning rate and an L2 factor: three grids, one after the other, for every ratio."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mixvision.evaluation.selection import best_first
from mixvision.training.config import Course, Prune, Training, is_number
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.fingerprints import fingerprint
from mixvision.training.mixtures import Mixtures, choose_training_sets
from mixvision.training.needs import warn_of_shortage
from mixvision.training.pool import ImagePool, pool_images
from mixvision.training.results import SweepResult
from mixvision.training.sweep.engine import resnet25_builder, train_sweep
from mixvision.training.sweep.needs import sweep_needs
from mixvision.vocabulary import BEST_VALIDATION, CANCELLED, MISSING, NICE, OUT_OF_MEMORY, TEST, VALIDATION

RATES_KEPT = 2  # learning rates of the first step to keep for the second
UNLUCKY = (OUT_OF_MEMORY, CANCELLED)  # ends that say nothing of a trial's setting


@dataclass(frozen=True)
class Grid:
    """What the grid search tries, for every ratio. The defaults are the study's.

    Attributes:
        ratios: shares of real images in the training set, whole per cent from 0 to 100.
        seed: of the images, the initial weights and the batches of every trial.
        learning_rates: tried in the first step, with ``first_l2``.
        first_l2: the L2 factor of the first step.
        l2_factors: tried in the second step, with the two best learning rates.
        iterations: length of the trials of the first two steps.
        final_learning_rate: of the last step, or None for that of the second step's best setting.
        final_l2_factors: tried in the last step.
        final_iterations: length of the trials of the last step.
    """

    ratios: tuple[int, ...] = tuple(range(0, 101, 10))
    seed: int = 0
    learning_rates: tuple[float, ...] = (0.001, 0.0025, 0.004, 0.0055)
    first_l2: float = 0.7
    l2_factors: tuple[float, ...] = (0.1, 0.3, 2.0, 6.0)
    iterations: int = 1500
    final_learning_rate: float | None = None
    final_l2_factors: tuple[float, ...] = (0.1, 0.3, 0.5)
    final_iterations: int = 3000

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratios", Mixtures(self.ratios, (self.seed,)).ratios)  # which checks both
        for name in ("learning_rates", "l2_factors", "final_l2_factors"):
            values = getattr(self, name)
            if not isinstance(values, list | tuple) or not values or not all(map(_is_positive, values)):
                raise ValueError(f"{name} is {values!r}; give a list of one or more numbers above 0.")
            if len(set(values)) < len(values):
                raise ValueError(f"{name} is {values!r}; list each value only once.")
            object.__setattr__(self, name, tuple(map(float, values)))
        for name in ("first_l2", "final_learning_rate"):
            value = getattr(self, name)
            if not _is_positive(value) and not (name == "final_learning_rate" and value is None):
                raise ValueError(f"{name} is {value!r}; give a number above 0.")
        for name in ("iterations", "final_iterations"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)!r}; give a whole number of 1 or more.")

    @property
    def budget(self) -> int:
        """Model-iterations that the three steps take; 297,000 in the study."""
        shorter = len(self.learning_rates) + min(RATES_KEPT, len(self.learning_rates)) * len(self.l2_factors)
        longer = len(self.final_l2_factors)
        return len(self.ratios) * (shorter * self.iterations + longer * self.final_iterations)


@dataclass(frozen=True)
class ValidationSweeps:
    """Train trials and measure them on validation images only, so that no choice here depends on a test image."""

    manifest: pd.DataFrame
    pool: ImagePool
    training: Training
    checkpoints: Path

    def train(self, trials: pd.DataFrame, prune: Prune | None = None, events: TrainingListener = SILENT) -> SweepResult:
        """Train one sweep of trials: trial, ratio, seed, learning_rate, l2, iterations."""
        sets = choose_training_sets(self.manifest, trials, balance=True)
        return train_sweep(
            resnet25_builder(self.pool),
            trials,
            sets,
            self.pool,
            self.training,
            self.checkpoints,
            Course(prune=prune),
            events,
        )

    def with_checkpoints_in(self, name: str) -> ValidationSweeps:
        """The same, with the checkpoints in a subfolder of this name."""
        return replace(self, checkpoints=self.checkpoints / name)

    def fingerprint(self, *settings: object) -> str:
        """A name for some settings and everything else that decides a trial's result: images, splits, training."""
        training = (self.training.evaluate_every, self.training.precision, self.training.on_gpu)
        kept = self.manifest.loc[self.manifest["status"] == "kept", ["id", "category", "split"]]
        return fingerprint("sweep", settings, training, kept, self.pool.pixels)


def validation_sweeps(
    manifest: pd.DataFrame, pixels: Mapping[str, np.ndarray], grid: Grid, training: Training, checkpoints: Path
) -> ValidationSweeps:
    """Gather the images that any trial of the grid's ratios and seed needs; arguments as of ``train_sweep``."""
    mixtures = pd.DataFrame({"trial": [str(ratio) for ratio in grid.ratios], "ratio": grid.ratios, "seed": grid.seed})
    used = choose_training_sets(manifest, mixtures, balance=True)
    settings = max(len(grid.learning_rates), RATES_KEPT * len(grid.l2_factors), len(grid.final_l2_factors))
    needs = sweep_needs(manifest[manifest["split"] != TEST], used, pixels[NICE].shape[1], training, settings)
    warn_of_shortage("Tuning", needs, training.device)
    pool = pool_images(manifest, pixels, used["id"], (VALIDATION,))
    return ValidationSweeps(manifest, pool, training, checkpoints)


def search_grid(
    grid: Grid, sweeps: ValidationSweeps, events: TrainingListener = SILENT
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Run the study's three steps: learning rates, L2 factors with the two best rates, a longer final set.

    Each step is one sweep. A setting is ranked by its best validation performances, averaged over the ratios.

    Returns:
        The trials (trial, step, round, ratio, seed, learning_rate, l2, iterations), their history, their outcomes, and
        what they say of each validation image at the snapshot best_validation.
    """
    done: list[tuple[pd.DataFrame, SweepResult]] = []

    def run(step: str, settings: Iterable[tuple[float, float]], iterations: int) -> pd.DataFrame:
        trials = _list_trials(grid, step, settings, iterations).assign(round=len(done))
        result = sweeps.train(trials, events=events)
        done.append((trials, result))
        return rank_settings(score_trials(trials, result.history, result.outcomes))

    rates = run("rates", [(rate, grid.first_l2) for rate in grid.learning_rates], grid.iterations)
    best_rates = sorted(rates["learning_rate"].head(RATES_KEPT))
    factors = run("factors", itertools.product(best_rates, grid.l2_factors), grid.iterations)
    final_rate = grid.final_learning_rate or factors["learning_rate"].iloc[0]
    run("final", [(final_rate, l2) for l2 in grid.final_l2_factors], grid.final_iterations)
    return tuple(
        pd.concat(tables, ignore_index=True)
        for tables in zip(
            *((trials, result.history, result.outcomes, _at_best(result.predictions)) for trials, result in done),
            strict=True,
        )
    )


def score_trials(trials: pd.DataFrame, history: pd.DataFrame, outcomes: pd.DataFrame) -> pd.DataFrame:
    """The trials with status, reason, trained_iterations, and performance_top1, the best on validation images.

    A trial without a result has no performance, even if it was evaluated before it ended.

    Raises:
        ValueError: no trial could be measured on validation images of both domains.
    """
    ends = outcomes[["trial", "status", "reason", "iterations"]].rename(columns={"iterations": "trained_iterations"})
    best = history[history["split"] == "validation"].groupby("trial")["performance_top1"].max().reset_index()
    scores = trials.merge(ends, on="trial", validate="one_to_one").merge(best, on="trial", how="left")
    scores.loc[scores["status"].isin(MISSING), "performance_top1"] = math.nan
    if scores["performance_top1"].isna().all():
        raise ValueError("No trial has a validation performance; keep some images of both domains for validation.")
    return scores


def rank_settings(scores: pd.DataFrame) -> pd.DataFrame:
    """Settings by their mean performance over the ratios, best first: learning_rate, l2, performance_top1, failed.

    A trial that diverged counts as a performance of 0, as its setting does not work for that ratio. Ratios at which a
    trial was cancelled or ran out of memory are left out for all settings. If no other ratio remains, only those trials
    are, and a setting without any other is last, with a performance of NaN.
    """
    unlucky = scores["status"].isin(UNLUCKY)
    comparable = scores[~scores["ratio"].isin(scores.loc[unlucky, "ratio"])]
    judged = comparable if len(comparable) else scores
    diverged = judged["performance_top1"].isna() & ~judged["status"].isin(UNLUCKY)
    judged = judged.assign(failed=diverged, performance_top1=judged["performance_top1"].mask(diverged, 0))
    settings = judged.groupby(["learning_rate", "l2"], sort=False)
    ranked = settings.agg(performance_top1=("performance_top1", "mean"), failed=("failed", "sum")).reset_index()
    return best_first(ranked, "performance_top1").reset_index(drop=True)


def choose_setting(scores: pd.DataFrame) -> dict[str, float | str]:
    """The best setting of the grid's final step: learning_rate, l2, performance_top1 and its source in words."""
    final = scores[scores["step"] == "final"]
    best = rank_settings(final).iloc[0]
    ratios = final["ratio"].unique()
    return {
        "learning_rate": float(best["learning_rate"]),
        "l2": float(best["l2"]),
        "performance_top1": float(best["performance_top1"]),
        "source": f"the grid's final step: mean of the best validation performances of {len(ratios)} ratios from "
        f"{ratios.min()}% to {ratios.max()}% real, {final['iterations'].iloc[0]} iterations each",
    }


def chosen_trials(scores: pd.DataFrame, chosen: Mapping[str, Any]) -> list[str]:
    """The trials of the grid's final step with the chosen setting, one per ratio; those without a result left out."""
    final = scores[(scores["step"] == "final") & ~scores["status"].isin(MISSING)]
    same = np.isclose(final["learning_rate"], chosen["learning_rate"]) & np.isclose(final["l2"], chosen["l2"])
    return list(final.loc[same, "trial"])


def _list_trials(grid: Grid, step: str, settings: Iterable[tuple[float, float]], iterations: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "trial": f"{step}-{ratio:03d}-{rate:g}" + (f"-{l2:g}" if step != "rates" else ""),
                "step": step,
                "ratio": ratio,
                "seed": grid.seed,
                "learning_rate": rate,
                "l2": l2,
                "iterations": iterations,
            }
            for rate, l2 in settings
            for ratio in grid.ratios
        ]
    )


def _at_best(predictions: pd.DataFrame) -> pd.DataFrame:
    return predictions[predictions["snapshot"] == BEST_VALIDATION]


def _is_positive(value: object) -> bool:
    return is_number(value) and value > 0
