"""Trains all arms with the one engine: those of one training, those with statistics by domain, those in two."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from mixvision.models.domain_statistics import DomainStatistics, networks_of_domains
from mixvision.studies.alternatives.arms import CROSS_ENTROPY, DOMAIN_STATISTICS, FIRST, IN_TURN, ONLY, SECOND
from mixvision.training.config import STRAIGHT, Continuation, Course, Start, Training
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.pool import ImagePool
from mixvision.training.results import NoResultError, SweepResult, Weights, join_results, require_success
from mixvision.training.sweep.engine import BuildNetwork, train_sweep
from mixvision.vocabulary import AFTER_INITIAL, LAST

FAILED_FIRST = "The training on nice images that this model continues has no result. "


def train_arms(
    build_network: BuildNetwork,
    trials: pd.DataFrame,
    training_sets: pd.DataFrame,
    pool: ImagePool,
    training: Training,
    checkpoints: Path,
    events: TrainingListener = SILENT,
) -> SweepResult:
    """Train every arm.

    Args:
        build_network: makes a stacked network from K random generators.
        trials: what :func:`mixvision.studies.alternatives.arms.list_arms` returns, with ``batch_size``.
        training_sets: what :func:`mixvision.studies.alternatives.arms.choose_images` returns.
        pool, training, checkpoints, events: as for :func:`mixvision.training.sweep.engine.train_sweep`.

    Returns:
        As of ``train_sweep``, without the arms that failed. Models that continue from a training on nice images have
        its predictions as the snapshot "after_initial", and their history goes through both. A network with statistics
        by domain becomes two, "<trial>-nice" and "<trial>-real".

    Raises:
        NoResultError: no arm finished.
    """
    of_phase = {phase: rows.drop(columns="phase") for phase, rows in training_sets.groupby("phase")}
    by_domain = partial(DomainStatistics, build_network)
    own = trials["objective"] == DOMAIN_STATISTICS
    in_turn = trials["approach"] == IN_TURN

    def train(build: BuildNetwork, chosen: pd.DataFrame, sets: pd.DataFrame, course: Course = STRAIGHT) -> SweepResult:
        own_sets = sets[sets["trial"].isin(chosen["trial"])]
        try:
            return train_sweep(build, chosen, own_sets, pool, training, checkpoints, course, events)
        except NoResultError as error:  # the other arms go on
            return _nothing(error.outcomes)

    results = []
    if len(plain := trials[~own & ~in_turn]):
        results.append(train(build_network, plain, of_phase[ONLY]))
    if len(statistics := trials[own]):
        result = train(by_domain, statistics.assign(objective=CROSS_ENTROPY), of_phase[ONLY])
        results.append(SweepResult(result.history, result.predictions, result.outcomes, _by_domain(result.weights)))
    if len(turns := trials[in_turn]):
        trunks = _trunks(turns)
        nice = of_phase[FIRST][of_phase[FIRST]["trial"].isin(trunks["copied"])]
        names = trunks.set_index("copied")["trial"]
        first = train(build_network, trunks.drop(columns="copied"), nice.assign(trial=nice["trial"].map(names)))
        reached = turns[turns["seed"].map(lambda seed: _trunk(seed) in first.weights)]
        starts = _starts(reached, first, nice)
        for trainable, rows in reached.groupby("trainable", sort=False):
            course = Course(Continuation({trial: starts[trial] for trial in rows["trial"]}, str(trainable)))
            results.append(_with_start(train(build_network, rows, of_phase[SECOND], course), rows, first))
        results.append(_nothing(_never_begun(turns[~turns["trial"].isin(reached["trial"])], first)))
    joined = join_results(results)
    require_success(joined)
    return joined


def _trunk(seed: int) -> str:
    """Name of the training on nice images that the models of a seed continue."""
    return f"nice-first-seed-{seed}"


def _trunks(turns: pd.DataFrame) -> pd.DataFrame:
    """One training on nice images for each seed; ``copied`` is a trial that has its images."""
    firsts = turns.drop_duplicates("seed").copy()
    names = firsts["seed"].map(_trunk)
    plain = {"objective": CROSS_ENTROPY, "strength": 0.0, "balanced": False, "begin": 0}
    return firsts.assign(copied=firsts["trial"], trial=names, iterations=firsts["begin"]).assign(**plain)


def _starts(turns: pd.DataFrame, first: SweepResult, nice: pd.DataFrame) -> dict[str, Start]:
    """Where each model continues, with the images of its first training in random order."""
    by_trial = {trial: rows["id"].to_numpy() for trial, rows in nice.groupby("trial")}
    by_seed = {seed: by_trial[rows["trial"].iloc[0]] for seed, rows in turns.groupby("seed")}
    images = {seed: np.random.default_rng([seed, 4]).permutation(ids) for seed, ids in by_seed.items()}
    starts = {}
    for trial in turns.itertuples():
        trunk = _trunk(trial.seed)
        history = first.history[first.history["trial"] == trunk].assign(trial=trial.trial)
        weights = first.weights[trunk][LAST]
        starts[trial.trial] = Start(weights, history.to_dict("records"), tuple(images[trial.seed]))
    return starts


def _with_start(result: SweepResult, turns: pd.DataFrame, first: SweepResult) -> SweepResult:
    """The result with what the first training said at its end."""
    finished = turns[turns["trial"].isin(result.weights)]
    said = first.predictions[first.predictions["snapshot"] == LAST]
    before = [
        said[said["trial"] == _trunk(trial.seed)].assign(trial=trial.trial, snapshot=AFTER_INITIAL)
        for trial in finished.itertuples()
    ]
    predictions = pd.concat([*before, result.predictions], ignore_index=True)
    return SweepResult(result.history, predictions, result.outcomes, result.weights)


def _never_begun(turns: pd.DataFrame, first: SweepResult) -> pd.DataFrame:
    """Outcomes of the models whose first training has no result."""
    ends = first.outcomes.set_index("trial").loc[[_trunk(seed) for seed in turns["seed"]]]
    return ends.assign(trial=turns["trial"].to_numpy(), iterations=0, reason=FAILED_FIRST + ends["reason"])


def _nothing(outcomes: pd.DataFrame) -> SweepResult:
    return SweepResult(pd.DataFrame(), pd.DataFrame(), outcomes, {})


def _by_domain(weights: Mapping[str, Mapping[str, Mapping]]) -> Weights:
    networks: Weights = {}
    for trial, snapshots in weights.items():
        for snapshot, tensors in snapshots.items():
            for domain, plain in networks_of_domains(tensors).items():
                networks.setdefault(f"{trial}-{domain}", {})[snapshot] = plain
    return networks
