"""What a sweep needs of the memory, and how many trials fit it together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd
import torch
from torch import nn

from mixvision.models.resnet25 import ResNet25
from mixvision.training.config import Training
from mixvision.training.memory import images_in_cache
from mixvision.training.needs import Footprint, Need, footprint, in_words, pixels_need, predictions_need
from mixvision.training.pool import BATCHES_PER_EPOCH

log = logging.getLogger(__name__)

COPIES = 8  # of the weights: with gradients, velocities, three snapshots, the one being compared, and the results
SNAPSHOTS_KEPT = 5
GATHERED_BYTES = 5  # of a channel of a pixel: as a byte and as a float


def sweep_needs(
    manifest: pd.DataFrame, training_sets: pd.DataFrame, side: int, training: Training, variants: int = 1
) -> list[Need]:
    """What a sweep of ResNet25 needs besides the memory-mapped images.

    Args:
        manifest: one row per image.
        training_sets: one row per trial and image: trial, id.
        side: of the images, in pixels.
        training: the size of stacks, and the device.
        variants: how many trials share each training set.
    """
    counts = training_sets.groupby("trial").size()
    trials, batch = variants * len(counts), max(1, int(counts.max()) // BATCHES_PER_EPOCH)
    models = largest_stack(trials, batch, side, training)
    categories = manifest.loc[manifest["status"] == "kept", "category"].nunique()
    one = footprint_of_trial(partial(ResNet25, categories, side), side)
    asked = "automatic" if training.stack_size is None else training.stack_size
    return [
        pixels_need(manifest, side, training_sets["id"], training.on_gpu),
        Need(f"a stack of {models}", models * trial_bytes(one, batch, side, training), f"stack_size (now {asked})"),
        predictions_need(SNAPSHOTS_KEPT * trials, manifest, f"the number of models (now {trials})"),
    ]


def footprint_of_trial(build_network: Callable[[Sequence[torch.Generator]], nn.Module], side: int) -> Footprint:
    """The footprint of a stack of one."""
    return footprint(build_network([torch.Generator()]), side)


def trial_bytes(one: Footprint, batch: int, side: int, training: Training) -> int:
    """Bytes that a stack takes for each of its trials."""
    pixels = GATHERED_BYTES * 3 * side**2 * batch
    floats = COPIES * one.weights + one.step(batch)
    return pixels + floats * training.dtype.itemsize // torch.float32.itemsize


def largest_stack(trials: int, batch: int, side: int, training: Training) -> int:
    """How many trials train together if memory allows: all on a GPU, on a CPU as many as fit the cache."""
    fitting = trials if training.on_gpu else max(1, images_in_cache(side) // batch)
    return min(trials, training.stack_size or fitting)


def stacks_that_fit(trials: int, largest: int, each: int, free: int) -> int:
    """Into how many stacks to divide the trials: doubled until one of them fits.

    Doubling means that a few megabytes more or less do not change the division, on which the checkpoints depend.

    Args:
        trials: to divide.
        largest: how many may train together.
        each: bytes that a stack takes for each trial.
        free: bytes that are free.
    """
    count = -(-trials // largest)
    while count < trials and -(-trials // count) * each > free:
        count = min(2 * count, trials)
    if count > -(-trials // largest):
        together = -(-trials // count)
        log.warning(
            "A stack of %d models would need %s, and %s are free: at most %d train together.",
            *(min(largest, trials), in_words(min(largest, trials) * each), in_words(free), together),
        )
    return count
