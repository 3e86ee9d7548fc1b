"""Trains any number of trials: splits them into stacks that fit, and gathers the results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from mixvision.models.resnet25 import ResNet25
from mixvision.models.stacked import StackedNetwork
from mixvision.training.attempts import train_in_groups
from mixvision.training.config import STRAIGHT, Continuation, Course, Training
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.free_memory import free_bytes
from mixvision.training.pool import BATCHES_PER_EPOCH, ImagePool, training_positions
from mixvision.training.results import SweepResult, require_success
from mixvision.training.sweep.batches import Batches
from mixvision.training.sweep.fitting import fingerprint_shared, fingerprint_stack, fit_stack
from mixvision.training.sweep.gathering import gather_result
from mixvision.training.sweep.needs import footprint_of_trial, largest_stack, stacks_that_fit, trial_bytes
from mixvision.training.sweep.stack import Stack
from mixvision.training.sweep.steps import Steps

log = logging.getLogger(__name__)

BuildNetwork = Callable[[Sequence[torch.Generator]], StackedNetwork]
LOWER = "image_size, or give fewer training images, a twentieth of which are a batch"


def train_sweep(
    build_network: BuildNetwork,
    trials: pd.DataFrame,
    training_sets: pd.DataFrame,
    pool: ImagePool,
    training: Training,
    checkpoints: Path,
    course: Course = STRAIGHT,
    events: TrainingListener = SILENT,
) -> SweepResult:
    """Train every trial and predict every held-out image.

    Trials with the same batch size and number of iterations train together in stacks. Each stack saves checkpoints in
    its own folder, whose name is derived from all that decides the result, so calling again after a kill continues
    where it stopped and gives the same result; within rounding it is that of training alone. A trial that diverges,
    runs out of memory or is cancelled does not cost the others: its outcome says why it is missing.

    Args:
        build_network: makes a stacked network from K random generators.
        trials: one row per trial: trial, seed, learning_rate, l2 and anything else; ``iterations`` (steps to train)
            if trials differ in it, ``begin`` (steps taken before) if they continue from trained networks;
            ``batch_size`` if it is not a twentieth of the training set, and then ``balanced``, whether each batch holds
            as many nice as real images; ``objective``, a name in
            :data:`mixvision.training.sweep.objectives.OBJECTIVES`, and its ``strength``.
        training_sets: one row per trial and image: trial, id.
        pool: all images of the sweep.
        training: duration, device and precision.
        checkpoints: folder for the checkpoints; the caller removes it once the results are saved.
        course: where to continue from, which iterations to keep, and which trials to prune.
        events: told of the trials' progress; after a kill, of what happened before it, too.

    Returns:
        History, predictions, outcomes and weights, ordered by stack.

    Raises:
        ValueError: a GPU is requested but not available, a training set has fewer than 20 images or contains any that
            are not training images of the pool, or no trial finished.
    """
    training.require_available()
    batches = _batches(training_sets, trials, pool, course.continuation)
    events.started(trials)
    shared = fingerprint_shared(pool, training, course)

    def train(names: list[str]) -> SweepResult:
        chosen = trials[trials["trial"].isin(names)]
        log.info("Training %d of %d models together: %s", len(names), len(trials), ", ".join(names))
        network, past = _first_network(build_network, chosen, course.continuation), course.past(chosen["trial"])
        own, steps = [batches[trial] for trial in chosen["trial"]], _steps(chosen, training, course)
        head_only = course.continuation is not None and course.continuation.trainable == "head"
        stack = Stack(network, chosen, own, pool, steps, head_only, course.prune, events)
        seconds = fit_stack(stack, training, checkpoints / fingerprint_stack(stack, shared, past), past)
        return gather_result(stack, names, seconds)

    nothing = {"iterations": 0, "stack_size": 1, "stack_seconds": 0.0}
    result = train_in_groups(train, _stacks(trials, batches, pool, training, build_network), events, LOWER, nothing)
    require_success(result)
    return result


def resnet25_builder(pool: ImagePool) -> BuildNetwork:
    """Return a builder of ResNet25 for a pool's categories and image size."""
    return partial(ResNet25, len(pool.categories), pool.pixels.shape[1])


def _first_network(
    build_network: BuildNetwork, trials: pd.DataFrame, continuation: Continuation | None
) -> StackedNetwork:
    """The stacked network with its first weights."""
    network = build_network([torch.Generator().manual_seed(seed) for seed in trials["seed"]])
    if continuation:
        starts = [continuation.starts[trial].weights for trial in trials["trial"]]
        stacked = {name: torch.stack([start[name] for start in starts]) for name in starts[0]}
        network.load_state_dict(stacked, assign=True)  # assigned rather than copied, to keep their precision
    return network


def _steps(trials: pd.DataFrame, training: Training, course: Course) -> Steps:
    first = trials.iloc[0]  # the same for all trials of a stack
    begin, iterations = int(first.get("begin", 0)), int(first.get("iterations", training.iterations))
    continued = course.continuation is not None and course.continuation.schedules == "continue"
    return Steps(iterations, training.evaluate_every, begin, begin if continued else 0, frozenset(course.keep))


def _batches(
    training_sets: pd.DataFrame, trials: pd.DataFrame, pool: ImagePool, continuation: Continuation | None
) -> dict[str, Batches]:
    by_trial, made = training_positions(training_sets, pool), {}
    for trial in trials.to_dict("records"):
        name, images = trial["trial"], by_trial.get(trial["trial"], np.array([], dtype=np.int64))
        if len(images) < BATCHES_PER_EPOCH:
            raise ValueError(
                f"{name} has {len(images)} training images, but a batch is a twentieth of the training set: "
                f"it needs {BATCHES_PER_EPOCH} or more. Add images or hold fewer out (parameter splits)."
            )
        is_real = pool.is_real[torch.from_numpy(images)].numpy() if trial.get("balanced") else None
        before = continuation.starts[name].images if continuation else ()
        earlier = pd.Index(pool.ids).get_indexer(pd.Index(before)) if len(before) else None
        made[name] = Batches(images, trial["seed"], trial.get("batch_size"), is_real, earlier)
    return made


def _stacks(
    trials: pd.DataFrame, batches: dict[str, Batches], pool: ImagePool, training: Training, build_network: BuildNetwork
) -> list[list[str]]:
    """Names of the trials that train together: same batch size, length and objective, few enough for the memory."""
    side, free = pool.pixels.shape[1], free_bytes(training.device)
    if training.on_gpu:
        free -= pool.pixels.nbytes  # which are still in the main memory
    one = footprint_of_trial(build_network, side)
    sizes = trials["trial"].map(lambda trial: batches[trial].size)
    alike = [trials[name] for name in ("iterations", "begin", "objective") if name in trials]
    stacks = []
    for (batch, *_), names in trials.groupby([sizes, *alike], sort=False)["trial"]:
        largest = largest_stack(len(names), batch, side, training)
        count = stacks_that_fit(len(names), largest, trial_bytes(one, batch, side, training), free)
        stacks += [list(part) for part in np.array_split(names.to_numpy(), count)]
    return stacks
