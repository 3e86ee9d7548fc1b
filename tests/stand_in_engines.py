"""Stand-ins for everything that trains or computes for long: they return made-up results of the same form at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import softmax

from mixvision.evaluation.ensembles import top_predictions
from mixvision.models.baselines import build_baseline
from mixvision.models.trained import TrainedNetwork
from mixvision.pipeline_registry import register_pipelines
from mixvision.studies.iterative.interpolation import ALPHAS
from mixvision.studies.transfer.ratios_training import ratio_trials
from mixvision.studies.transfer.training import TransferResult
from mixvision.training.pool import ImagePool
from mixvision.training.results import SweepResult
from mixvision.vocabulary import (
    AFTER_INITIAL,
    AS_IS,
    BEST_IN,
    BEST_VALIDATION,
    FINE_TUNED,
    HEAD,
    LAST,
    SNAPSHOTS,
    TEST,
    WHOLE,
    snapshot_name,
)

TENSORS = {"weight": torch.zeros(1)}  # for networks that are never run
OTHER_CLASSES = ["n02123045 tabby", "n04398044 teapot"]  # that networks know besides the study's categories


def replace_engines(monkeypatch) -> list[str]:
    """Replace every engine by its stand-in, wherever it was imported.

    Returns:
        a list to which each stand-in adds the engine's name when it is called.
    """
    called: list[str] = []
    for pipeline in register_pipelines().values():
        assert pipeline.nodes  # built now: modules imported later would keep the stand-ins for good
    modules = [module for name, module in sys.modules.items() if name.startswith("mixvision.")]
    for place, stand_in in STAND_INS.items():
        home, _, name = f"mixvision.{place}".rpartition(".")
        engine = getattr(sys.modules[home], name)
        for module in modules:
            if getattr(module, name, None) is engine:
                monkeypatch.setattr(module, name, partial(_noting, called, name, stand_in))
    return called


def _noting(called: list[str], name: str, stand_in: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    called.append(name)
    return stand_in(*arguments, **named)


def train_sweep(build, trials, training_sets, pool, training, checkpoints, *_, **__) -> SweepResult:
    lengths = trials["iterations"] if "iterations" in trials else [training.iterations] * len(trials)
    evaluated = {
        trial: np.linspace(0, length, 9).round() for trial, length in zip(trials["trial"], lengths, strict=True)
    }
    snapshots = SNAPSHOTS if TEST in pool.held_out else (BEST_VALIDATION, LAST)
    predictions = _predictions(pool, trials["trial"], [*snapshots, *BEST_IN.values()])
    weights = {trial: {LAST: TENSORS} for trial in trials["trial"]}
    return SweepResult(
        _curves(evaluated, pool), predictions, _outcomes(trials["trial"], iterations=list(lengths)), weights
    )


def train_iteratively(build, trials, training_sets, pool, phases, training, checkpoints, *_, **__) -> SweepResult:
    evaluated = {
        trial.trial: np.append(
            np.linspace(0, trial.begin, 5).round(), trial.begin + np.linspace(1, trial.iterations, 9).round()
        )
        for trial in trials.itertuples()
    }
    predictions = _predictions(pool, trials["trial"], [AFTER_INITIAL, *SNAPSHOTS, *BEST_IN.values()])
    weights = {trial: {AFTER_INITIAL: TENSORS, LAST: TENSORS} for trial in trials["trial"]}
    outcomes = _outcomes(trials["trial"], iterations=training.iterations)
    return SweepResult(_curves(evaluated, pool), predictions, outcomes, weights)


def interpolate(build, ends, pool, training, *_, **__) -> pd.DataFrame:
    return _predictions(pool, ends, [f"alpha_{alpha:.2f}" for alpha in ALPHAS])


def search_adaptively(search, grid, sweeps, folder, *_, **__) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    rows = [
        {"trial": f"adaptive-{ratio:03d}-{turn:03d}", "step": "adaptive", "round": turn, "ratio": ratio}
        for turn in range(2)
        for ratio in grid.ratios
    ]
    settings = {"learning_rate": grid.learning_rates[0], "l2": grid.first_l2, "iterations": grid.final_iterations}
    trials = pd.DataFrame(rows).assign(seed=grid.seed, **settings)
    result = sweeps.train(trials)
    return trials, result.history, result.outcomes


def train_baselines(trials, pool, augmentation, training, checkpoints, *_, **__) -> SweepResult:
    """Keeps one network per model, from which its layers are listed."""
    categories, size = len(pool.categories), pool.pixels.shape[1]
    weights = {
        model: {BEST_VALIDATION: build_baseline(model, categories, size, 0, True).state_dict()}
        for model in trials["model"].unique()
        if model != "random"
    }
    predictions = _predictions(pool, trials["trial"], [BEST_VALIDATION, LAST])
    leaky = set(trials.loc[~trials["split_first"], "trial"])
    validation = pool.ids[pool.held_out["validation"].numpy()]
    predictions = predictions[~(predictions["trial"].isin(leaky) & predictions["id"].isin(validation))]
    history = pd.concat([_epochs(trial, ["head"] * 4) for trial in trials["trial"]], ignore_index=True)
    outcomes = _outcomes(trials["trial"], iterations=40, epochs=4, best_epoch=4, seconds=2.0, parameters=1000)
    outcomes["views_top1"] = np.where(trials["augmentation"] == "expand", 0.5, np.nan)
    outcomes = outcomes.assign(train_photos=20, validation_photos=5)
    return SweepResult(history.drop(columns="phase"), predictions, outcomes, weights)


def train_transfer(trials, pool, study, augmentation, training, features, checkpoints, *_, **__) -> TransferResult:
    network = build_baseline("linear", len(pool.categories), pool.pixels.shape[1], 0, False)
    model = TrainedNetwork("linear", pool.categories, pool.pixels.shape[1], network.state_dict())
    models, histories, probabilities = {}, [], {}
    for trial, method in trials[["trial", "method"]].itertuples(index=False):
        trained = method in (HEAD, FINE_TUNED)
        views = [WHOLE, "flipped"] if trained and study.test_views != "none" else [WHOLE]
        for snapshot in (BEST_VALIDATION, LAST) if trained else (BEST_VALIDATION,):
            name = snapshot_name(trial, snapshot)
            categories = [*pool.categories, *(OTHER_CLASSES if method == AS_IS else [])]
            frames = [_probabilities(pool, f"{name} {view}", categories).assign(view=view) for view in views]
            probabilities[name] = pd.concat(frames, ignore_index=True)
            models |= {name: model} if trained else {}
        phases = ["head"] * 4 * trained + ["last 2 blocks"] * 2 * (method == FINE_TUNED)
        if phases:  # untrained networks have no history
            histories.append(_epochs(trial, phases))
    outcomes = _outcomes(trials["trial"], iterations=40, epochs=4, best_epoch=4, seconds=2.0)
    outcomes = outcomes.assign(parameters=1000, trained_parameters=trials["method"].isin([HEAD, FINE_TUNED]) * 100)
    return TransferResult(models, pd.concat(histories, ignore_index=True), outcomes, probabilities)


def mix_features(manifest, pool, study, training, features, *_, **__) -> SweepResult:
    names = ratio_trials(study)["trial"]
    predictions, epochs = _predictions(pool, names, [BEST_VALIDATION, LAST]), {"epochs": 9, "best_epoch": 5}
    outcomes = _outcomes(names, iterations=9, **epochs, seconds=1.0, parameters=10)
    return SweepResult(pd.DataFrame(), predictions, outcomes, {})


def main_backbone(study, pool, features, training, *_, **__) -> SimpleNamespace:
    """The parts of a frozen backbone that the map of the images needs."""
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(len(pool.ids), 8)))
    return SimpleNamespace(backbone=study.all_backbones()[0], input_size=96, features=lambda: values)


def as_is_probabilities(frozen) -> tuple[pd.DataFrame, pd.DataFrame]:
    categories = list(frozen.pool.categories)
    every, own = (_probabilities(frozen.pool, "", names) for names in ([*categories, *OTHER_CLASSES], categories))
    return every.assign(view=WHOLE), own.assign(view=WHOLE)


def overfit(*_, **__) -> dict[str, float]:
    return {"steps": 10, "accuracy": 1.0, "cross_entropy": 0.0}


STAND_INS = {
    "training.sweep.engine.train_sweep": train_sweep,
    "studies.iterative.training.train_iteratively": train_iteratively,
    "studies.iterative.interpolation.interpolate": interpolate,
    "studies.tuning.adaptive.search_adaptively": search_adaptively,
    "studies.baselines.training.train_baselines": train_baselines,
    "studies.transfer.training.train_transfer": train_transfer,
    "studies.transfer.ratios_training.mix_features": mix_features,
    "studies.transfer.ratios_training.main_backbone": main_backbone,
    "studies.transfer.activations.hits_and_misses_sheet": lambda *_, **__: None,  # as for networks without maps
    "studies.sanity_check.overfitting.overfit": overfit,
    "training.frozen.features.images_per_second": lambda *_, **__: (100.0, 1280),
    "training.frozen.backbone.as_is_probabilities": as_is_probabilities,
}


def _probabilities(pool: ImagePool, name: str, categories: Sequence[str]) -> pd.DataFrame:
    """Mostly right ones for the held-out images: ``id`` and a column per category; each name gives other numbers."""
    positions = pool.all_held_out.numpy()
    truth = np.array(pool.categories)[pool.labels[positions].numpy()]
    generator = np.random.default_rng(list(name.encode()))
    logits = generator.normal(size=(len(positions), len(categories))) + 2.0 * (truth[:, None] == np.array(categories))
    frame = pd.DataFrame(softmax(logits, axis=1), columns=list(categories), dtype="float32")
    frame.insert(0, "id", pool.ids[positions])
    return frame


def _predictions(pool: ImagePool, trials: Sequence[str], snapshots: Sequence[str]) -> pd.DataFrame:
    tables = [
        top_predictions(_probabilities(pool, snapshot_name(trial, snapshot), pool.categories), trial, snapshot, 3)
        for trial in trials
        for snapshot in snapshots
    ]
    return pd.concat(tables, ignore_index=True)


def _curves(evaluated: dict[str, np.ndarray], pool: ImagePool) -> pd.DataFrame:
    """The history of each trial at these iterations on every held-out split."""
    tables = []
    for trial, iterations in evaluated.items():
        for split in pool.held_out:
            generator = np.random.default_rng(list(f"{trial} {split}".encode()))
            table = pd.DataFrame(
                {
                    "trial": trial,
                    "iteration": iterations.astype(int),
                    "split": split,
                    "loss": 1.0,
                    "train_cross_entropy": 0.5,
                }
            )
            for top in ("top1", "top3"):
                nice, real = generator.uniform(0.3, 0.9, (2, len(table)))
                table = table.assign(**{f"nice_{top}": nice, f"real_{top}": real})
                table[f"performance_{top}"] = np.sqrt(nice * real)
            tables.append(table.drop_duplicates("iteration"))
    return pd.concat(tables, ignore_index=True)


def _epochs(trial: str, phases: Sequence[str]) -> pd.DataFrame:
    """The history of a trial trained by epochs, one epoch in each of these phases."""
    rows = [
        {"trial": trial, "iteration": 10 * epoch, "epoch": epoch, "split": split, "phase": phase}
        | {"cross_entropy": 1 / epoch, "top1": 0.5 + epoch / 20, "seconds": 0.5 if split == "train" else np.nan}
        for epoch, phase in enumerate(phases, start=1)
        for split in ("train", "validation")
    ]
    names = ["trial", "iteration", "epoch", "split", "cross_entropy", "top1", "seconds", "phase"]
    return pd.DataFrame(rows, columns=names)


def _outcomes(trials: Sequence[str], **numbers: Any) -> pd.DataFrame:
    return pd.DataFrame({"trial": list(trials), "status": "finished", "reason": ""}).assign(**numbers)
