"""Iterative training: the whole network on one domain first, then its fully connected layers on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from mixvision.parameter_types import require_choice
from mixvision.training.config import Continuation, Course, Start, Training
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.mixtures import Mixtures, choose_training_sets
from mixvision.training.pool import ImagePool
from mixvision.training.results import SweepResult
from mixvision.training.sweep.engine import BuildNetwork, train_sweep
from mixvision.vocabulary import AFTER_INITIAL, DOMAINS

HALVES = 50  # per cent of real images in the mixed set whose halves are trained on in turn
PHASES = ("initial", "restricted")


@dataclass(frozen=True)
class Phases:
    """The models of an iterative-training study (sections 4.4.2 and 5 of the paper): every share with every seed.

    Attributes:
        first: domain of the initial training; the second training is on the other one. (Section 5 of the paper has
            nice first, section 4.4.2 real.)
        shares: parts of the iterations that go to the initial training, whole per cent from 1 to 99.
        seeds: a model of each share is trained for each.
        trainable: what the second training may change: "head" (the two fully connected layers, as in the paper) or
            "all".
        replay: share of images of the first domain in the second training, in per cent, up to 50 as both halves have
            the same size (the paper: 0).
        schedules: whether the second training's learning rate, momentum and moving statistics "restart" or "continue".
        evaluate_restricted_every: iterations between two evaluations of the second training.
        learning_rate: initial learning rate (the study's: 0.004).
        l2: factor on half the sum of squared weights (the study's: 0.5).
    """

    first: str = "nice"
    shares: tuple[int, ...] = tuple(range(10, 100, 10))
    seeds: tuple[int, ...] = (0,)
    trainable: str = "head"
    replay: int = 0
    schedules: str = "restart"
    evaluate_restricted_every: int = 10
    learning_rate: float = 0.004
    l2: float = 0.5

    def __post_init__(self) -> None:
        Mixtures(seeds=self.seeds, learning_rate=self.learning_rate, l2=self.l2)
        Continuation({}, self.trainable, self.schedules)
        shares = self.shares if isinstance(self.shares, list | tuple) else ()
        if not shares or len(set(shares)) < len(shares) or not all(type(s) is int and 1 <= s <= 99 for s in shares):
            raise ValueError(
                f"shares is {self.shares!r}; give a list of different whole numbers from 1 to 99 per cent."
            )
        for name in ("shares", "seeds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        require_choice("first", self.first, DOMAINS)
        if type(self.replay) is not int or not 0 <= self.replay <= 50:
            raise ValueError(f"replay is {self.replay!r}; give a whole number of per cent from 0 to 50.")
        if type(self.evaluate_restricted_every) is not int or self.evaluate_restricted_every < 1:
            raise ValueError(
                f"evaluate_restricted_every is {self.evaluate_restricted_every!r}; give a whole number of 1 or more."
            )


def list_iterative_trials(phases: Phases, iterations: int) -> pd.DataFrame:
    """One row per model: trial, share, seed, learning_rate, l2, begin (initial steps), iterations (steps after them).

    Raises:
        ValueError: a share leaves one of the trainings without a step.
    """
    trials = pd.DataFrame(
        [
            {
                "trial": f"initial-{share:03d}-seed-{seed}",
                "share": share,
                "seed": seed,
                "learning_rate": phases.learning_rate,
                "l2": phases.l2,
                "begin": round(iterations * share / 100),
            }
            for seed in phases.seeds
            for share in phases.shares
        ]
    )
    trials["iterations"] = iterations - trials["begin"]
    if (trials[["begin", "iterations"]] < 1).any(axis=None):
        raise ValueError(
            f"iterations is {iterations}: too few for shares of {list(phases.shares)} per cent, which leave one of the "
            "trainings without an iteration. Raise iterations, or change shares."
        )
    return trials


def choose_phases(manifest: pd.DataFrame, trials: pd.DataFrame, phases: Phases) -> pd.DataFrame:
    """The two halves of the 50% mixed set of each seed, the first domain's for the initial training.

    With replay, images of the first half are added to the second until they make up the wanted share of it.

    Returns:
        One row per image, trial and phase ("initial", "restricted"): trial, phase, id.
    """
    mixed = choose_training_sets(manifest, trials.assign(ratio=HALVES), balance=True)
    domains = manifest.set_index("id")["domain"]
    mixed["phase"] = np.where(domains.loc[mixed["id"]].to_numpy() == phases.first, *PHASES)
    parts = [mixed]
    for trial in trials.itertuples() if phases.replay else ():
        own = mixed[mixed["trial"] == trial.trial]
        initial = own.loc[own["phase"] == "initial", "id"].to_numpy()
        count = round((len(own) - len(initial)) * phases.replay / (100 - phases.replay))
        drawn = np.random.default_rng([trial.seed, 2]).permutation(initial)[:count]
        parts.append(pd.DataFrame({"trial": trial.trial, "phase": "restricted", "id": drawn}))
    sets = pd.concat(parts, ignore_index=True)[["trial", "phase", "id"]]
    return sets.sort_values(["trial", "phase", "id"], ignore_index=True)


def train_iteratively(
    build_network: BuildNetwork,
    trials: pd.DataFrame,
    training_sets: pd.DataFrame,
    pool: ImagePool,
    phases: Phases,
    training: Training,
    checkpoints: Path,
    events: TrainingListener = SILENT,
) -> SweepResult:
    """Train every model through both phases.

    The models of one seed are identical until the first of them starts its second training, so the initial training
    runs once, for the longest share, and the others branch off on the way.

    Returns:
        As of :func:`train_sweep`, the history through both phases on one axis. The weights (and predictions) at the
        end of the initial training are named "after_initial"; the others are of the second training.
    """
    of_phase = {phase: rows.drop(columns="phase") for phase, rows in training_sets.groupby("phase")}
    longest = trials.loc[trials.groupby("seed")["begin"].idxmax()]
    trunks = longest.assign(iterations=longest["begin"], begin=0, share=100)
    names = {trial: _trunk(seed) for trial, seed in zip(longest["trial"], longest["seed"], strict=True)}
    sets = of_phase["initial"][of_phase["initial"]["trial"].isin(names)]
    initial = train_sweep(
        build_network,
        trunks.assign(trial=trunks["trial"].map(names)),
        sets.assign(trial=sets["trial"].map(names)),
        pool,
        training,
        checkpoints,
        Course(keep=trials["begin"].unique().tolist()),
        events,
    )
    reached = [
        f"iteration_{trial.begin}" in initial.weights.get(_trunk(trial.seed), ()) for trial in trials.itertuples()
    ]
    branched = trials[reached]
    branches = {trial.trial: _branch(initial, trial, training) for trial in branched.itertuples()}
    starts = {name: branch.start for name, branch in branches.items()}
    restricted = train_sweep(
        build_network,
        branched,
        of_phase["restricted"],
        pool,
        replace(training, evaluate_every=phases.evaluate_restricted_every),
        checkpoints,
        Course(Continuation(starts, phases.trainable, phases.schedules)),
        events,
    )
    return _joined(initial, restricted, branches, trials)


def _trunk(seed: int) -> str:
    """Name of the initial training that the models of a seed share."""
    return f"initial-seed-{seed}"


@dataclass(frozen=True)
class _Branch:
    start: Start
    predictions: pd.DataFrame


def _branch(initial: SweepResult, trial, training: Training) -> _Branch:
    """What one model takes over from the initial training of its seed, without what was kept for other models."""
    trunk, name = _trunk(trial.seed), f"iteration_{trial.begin}"
    iteration = initial.history["iteration"]
    own = (iteration % training.evaluate_every == 0) | (iteration == trial.begin)
    history = initial.history[(initial.history["trial"] == trunk) & (iteration <= trial.begin) & own]
    said = initial.predictions
    said = said[(said["trial"] == trunk) & (said["snapshot"] == name)]
    return _Branch(
        Start(initial.weights[trunk][name], history.assign(trial=trial.trial).to_dict("records")),
        said.assign(trial=trial.trial, snapshot=AFTER_INITIAL),
    )


def _joined(
    initial: SweepResult, restricted: SweepResult, branches: Mapping[str, _Branch], trials: pd.DataFrame
) -> SweepResult:
    weights = {
        trial: {AFTER_INITIAL: dict(branches[trial].start.weights), **snapshots}
        for trial, snapshots in restricted.weights.items()
    }
    before = [branches[trial].predictions for trial in weights]
    lost = trials[~trials["trial"].isin(branches)]
    ends = initial.outcomes.set_index("trial").loc[[_trunk(seed) for seed in lost["seed"]], ["status", "reason"]]
    never = (
        restricted.outcomes.iloc[:0]
        .assign(trial=lost["trial"])
        .assign(status=ends["status"].to_numpy(), reason=ends["reason"].to_numpy(), iterations=0)
    )
    outcomes = pd.concat([restricted.outcomes, never], ignore_index=True) if len(lost) else restricted.outcomes
    return SweepResult(
        restricted.history,
        pd.concat([*before, restricted.predictions], ignore_index=True),
        outcomes,
        weights,
    )
