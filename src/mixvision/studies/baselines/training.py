"""The baselines study: which models with which settings, what each learns from, and guessing at random."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from mixvision.models.baselines import BASELINES, build_baseline, has_dropout
from mixvision.studies.baselines.settings import SETTINGS
from mixvision.training.config import EpochTraining, is_number
from mixvision.training.epochs.engine import train_by_epochs
from mixvision.training.epochs.examples import Examples, TrainingData, accuracy
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.memory import images_at_once
from mixvision.training.pool import ImagePool
from mixvision.training.predictions import TOP, prediction_table
from mixvision.training.results import NO_EPOCHS, SweepResult, join_results, outcome
from mixvision.transforms.augmentation import MODES, Augmentation, draw_views, expand
from mixvision.vocabulary import BEST_VALIDATION, LAST

GUESSING = "random"


@dataclass(frozen=True)
class Baselines:
    """The models to compare with the base settings, and the settings to vary for one of them.

    Attributes:
        models: names in ``mixvision.models.baselines.BASELINES``, and "random" for guessing.
        seed: of the initial weights, the order of the examples, their views and the dropout.
        batch_size, learning_rate, dropout, augmentation: the base settings (the berries study: 8, 1e-4, on, "expand").
            An augmentation is "none", "on the fly" or "expand".
        ablated: the model whose settings are varied, one of ``models``.
        batch_sizes, learning_rates, dropouts, augmentations: the values to try instead of the base setting, which may
            be left out. Dropout is varied only in a model that has dropout.
        leaky_split: train the ablated model twice with the mistake of splitting after the up-front expansion, to show
            its effect: on all training and validation photos, and on as many photos as without the mistake.
    """

    models: tuple[str, ...] = (GUESSING, "linear", "mlp", "cnn")
    seed: int = 0
    batch_size: int = 8
    learning_rate: float = 1e-4
    dropout: bool = True
    augmentation: str = "expand"
    ablated: str = "cnn"
    batch_sizes: tuple[int, ...] = (8, 16, 32, 64, 256)
    learning_rates: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2)
    dropouts: tuple[bool, ...] = (True, False)
    augmentations: tuple[str, ...] = MODES
    leaky_split: bool = True

    def __post_init__(self) -> None:
        for name in ("models", "batch_sizes", "learning_rates", "dropouts", "augmentations"):
            if not isinstance(getattr(self, name), list | tuple):
                raise ValueError(f"{name} is {getattr(self, name)!r}; give a list.")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        unknown = [model for model in self.models if model not in (GUESSING, *BASELINES)]
        if unknown or not set(self.models) - {GUESSING}:
            known = ", ".join((GUESSING, *BASELINES))
            raise ValueError(f"models is {list(self.models)}; give one or more of {known}, not only {GUESSING}.")
        if self.ablated not in self.models or self.ablated == GUESSING:
            raise ValueError(f"ablated is {self.ablated!r}; name one of the trained models, {list(self.models)}.")
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"seed is {self.seed!r}; give a whole number of 0 or more.")
        for name, values, fits, allowed in self._allowed():
            for value in values:
                if not fits(value):
                    raise ValueError(f"{name} is {value!r}; give {allowed}.")

    def _allowed(self) -> Iterator[tuple[str, tuple, Callable[[Any], bool], str]]:
        """For each setting and the values to try: name, values, a test of each value, and what is allowed."""
        sizes, rates = (self.batch_size, *self.batch_sizes), (self.learning_rate, *self.learning_rates)
        modes, switches = (self.augmentation, *self.augmentations), (self.dropout, *self.dropouts, self.leaky_split)
        is_size, is_rate = lambda n: type(n) is int and n >= 1, lambda rate: is_number(rate) and rate > 0
        yield "batch_size (or one of batch_sizes)", sizes, is_size, "a whole number of 1 or more"
        yield "learning_rate (or one of learning_rates)", rates, is_rate, "a number above 0"
        yield "augmentation (or one of augmentations)", modes, MODES.__contains__, f"one of {', '.join(MODES)}"
        yield "dropout, one of dropouts, or leaky_split", switches, lambda on: type(on) is bool, "true or false"

    @property
    def base(self) -> dict[str, Any]:
        """The base settings."""
        return {name: getattr(self, name) for name in SETTINGS}


def list_trials(study: Baselines) -> pd.DataFrame:
    """One row per model: trial (its name), model, seed, the four settings, split_first and matched.

    ``split_first`` is False only for the two models trained with the mistake of splitting after the expansion. The
    trials then always include their honest counterpart, with augmentation "expand". ``matched`` is True for the one of
    them that has no more photos than the honest one.
    """
    rows = [{"trial": model, "model": model, **study.base} for model in dict.fromkeys(study.models)]
    variants: list[tuple[str, Any]] = [("batch_size", value) for value in study.batch_sizes]
    variants += [("learning_rate", value) for value in study.learning_rates]
    variants += [("dropout", value) for value in study.dropouts if has_dropout(study.ablated)]
    variants += [("augmentation", value) for value in study.augmentations]
    if study.leaky_split:
        variants.append(("augmentation", "expand"))
    for setting, value in dict.fromkeys(variants):
        if value != study.base[setting]:
            settings = study.base | {setting: value}
            rows.append({"trial": _name(study.ablated, setting, value), "model": study.ablated, **settings})
    trials = pd.DataFrame(rows).assign(split_first=True, matched=False)
    if study.leaky_split:
        leaky = {"model": study.ablated, **study.base, "augmentation": "expand", "split_first": False}
        names = {f"{study.ablated}-leaky-split": False, f"{study.ablated}-leaky-split-as-many-photos": True}
        mistakes = [{"trial": name, **leaky, "matched": matched} for name, matched in names.items()]
        trials = pd.concat([trials, pd.DataFrame(mistakes)], ignore_index=True)
    trials.insert(2, "seed", study.seed)
    return trials


def _name(model: str, setting: str, value: Any) -> str:
    if setting == "dropout":
        return f"{model}-{'with' if value else 'without'}-dropout"
    return f"{model}-{setting}-{value}".replace("_", "-").replace(" ", "-")


@dataclass(frozen=True)
class BaselineData(TrainingData):
    """What a baseline is trained and measured on.

    Attributes:
        views: further examples on which its best weights are measured, or None.
    """

    views: Examples | None = None


def prepare(trial: Mapping[str, Any], pool: ImagePool, augmentation: Augmentation) -> BaselineData:
    """What a trial is trained on: the pool's training images, augmented as it says, and validated on originals.

    The leaky trial expands training and validation images together and draws its validation examples from all of
    them, so its training examples include other views of nearly every validation image. It predicts test images only.
    It trains on as many examples as the honest trial with augmentation "expand", but of more photos. The matched one
    has as many photos, too (:func:`_matched`). To make all three comparable, the honest trial is also measured on
    expanded views of its validation images.
    """
    generator = np.random.default_rng([trial["seed"], 4])
    validation = pool.held_out["validation"].numpy()
    train = pool.not_held_out
    if trial["matched"]:
        return _matched(train, len(validation), augmentation, generator)
    if not trial["split_first"]:
        together = _expanded(np.sort(np.concatenate([train, validation])), augmentation, generator)
        shuffled = generator.permutation(len(together))
        held_out = round(len(together) * len(validation) / (len(train) + len(validation)))
        leaky = together[shuffled[:held_out]]
        return BaselineData(together[shuffled[held_out:]], leaky, held_out=("test",), views=leaky)
    if trial["augmentation"] == "expand":
        views = _expanded(validation, augmentation, np.random.default_rng([trial["seed"], 6]))
        return BaselineData(_expanded(train, augmentation, generator), Examples(validation), views=views)
    on_the_fly = augmentation if trial["augmentation"] == "on the fly" else None
    return BaselineData(Examples(train), Examples(validation), on_the_fly)


def _matched(
    train: np.ndarray, held_out: int, augmentation: Augmentation, generator: np.random.Generator
) -> BaselineData:
    """The mistake without additional photos: training and validation have as many as without it, and as many views.

    Of ``held_out`` training photos, drawn at random, the expanded views are for validation; as many new random views
    of them take their place in training. So all of these photos leak, but no view is on both sides.

    Raises:
        ValueError: there are fewer training photos than validation photos.
    """
    if held_out > len(train):
        raise ValueError(
            f"leaky_split needs as many training images as validation images or more, not {len(train)} and {held_out}; "
            "lower ingestion.splits.validation or set leaky_split to false."
        )
    drawn = np.sort(generator.choice(train, held_out, replace=False))
    expanded = _expanded(train, augmentation, generator)
    leaking = np.isin(expanded.positions, drawn)
    validation, kept = expanded[np.flatnonzero(leaking)], expanded[np.flatnonzero(~leaking)]
    again = Examples(validation.positions, draw_views(augmentation, len(validation), generator))
    return BaselineData(kept + again, validation, held_out=("test",), views=validation)


def _expanded(positions: np.ndarray, augmentation: Augmentation, generator: np.random.Generator) -> Examples:
    rows, views = expand(augmentation, len(positions), generator)
    return Examples(positions[rows], views)


def train_baselines(
    trials: pd.DataFrame,
    pool: ImagePool,
    augmentation: Augmentation,
    training: EpochTraining,
    checkpoints: Path,
    events: TrainingListener = SILENT,
) -> SweepResult:
    """Train every trial of :func:`list_trials`; see :func:`mixvision.training.epochs.engine.train_by_epochs`.

    Trials of one model start from the same initial weights, whatever their settings. The outcomes also have views_top1:
    the accuracy of the best weights on the trial's further views, NaN where there are none; and train_photos and
    validation_photos: how many distinct images the trial's examples show, 0 for guessing.
    """
    guessing = trials["model"] == GUESSING

    def data(trial: Mapping[str, Any]) -> BaselineData:
        return prepare(trial, pool, augmentation)

    def build(trial: Mapping[str, Any]) -> nn.Module:
        size = len(pool.categories), pool.pixels.shape[1]
        return build_baseline(trial["model"], *size, trial["seed"], trial["dropout"])

    guesses = [guess(trial, pool, events) for trial in trials[guessing].to_dict("records")]
    trained = train_by_epochs(build, data, trials[~guessing], pool, training, checkpoints, events)
    measured, on_device = [], pool.to(training.device)
    for trial in trials[~guessing].to_dict("records"):
        seen, views_top1 = data(trial), math.nan
        if seen.views and trial["trial"] in trained.weights:
            best = trained.weights[trial["trial"]][BEST_VALIDATION]
            views_top1 = _accuracy(build(trial), best, on_device, seen.views)
        photos = {f"{split}_photos": len(set(getattr(seen, split).positions)) for split in ("train", "validation")}
        measured.append({"views_top1": views_top1, **photos})
    outcomes = trained.outcomes.join(pd.DataFrame(measured, index=trained.outcomes.index))
    return join_results([*guesses, replace(trained, outcomes=outcomes)])


def _accuracy(network: nn.Module, weights: Mapping[str, Tensor], pool: ImagePool, examples: Examples) -> float:
    network.load_state_dict(weights, assign=True)  # not copied: they keep their precision
    network.to(pool.pixels.device)
    return accuracy(network, pool, examples, images_at_once(pool.pixels.shape[1], pool.pixels.is_cuda))


def guess(trial: Mapping[str, Any], pool: ImagePool, events: TrainingListener = SILENT) -> SweepResult:
    """Guessing at random, as if it were a trained model: categories in random order, each equally probable."""
    events.started(pd.DataFrame([trial]))
    categories, images = len(pool.categories), len(pool.all_held_out)
    generator = np.random.default_rng([trial["seed"], 5])
    top = generator.permuted(np.tile(np.arange(categories), (images, 1)), axis=1)[:, :TOP]
    guesses = torch.from_numpy(top), torch.full(top.shape, 1 / categories)
    nothing: dict[str, Any] = {"parameters": 0, "views_top1": math.nan, "train_photos": 0, "validation_photos": 0}
    ended = outcome(trial["trial"], **NO_EPOCHS, **nothing)
    predictions = pd.concat(
        [prediction_table(trial["trial"], name, pool, *guesses) for name in (BEST_VALIDATION, LAST)]
    )
    events.finished(trial["trial"])
    return SweepResult(pd.DataFrame(), predictions, pd.DataFrame([ended]), {})
