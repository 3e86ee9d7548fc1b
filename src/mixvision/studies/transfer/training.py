"""Train the transfer study, backbone by backbone: as it is, heads on its features, and fine-tuned from these."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mixvision.models.backbones import Backbone, load_backbone
from mixvision.models.trained import TrainedNetwork
from mixvision.models.transfer import TransferNetwork, transfer_network
from mixvision.studies.transfer.trials import Transfer
from mixvision.training.config import Arithmetic, EpochTraining
from mixvision.training.events import SILENT, TrainingListener
from mixvision.training.fine_tuning.tuner import TrainedHeads, fine_tune
from mixvision.training.frozen.backbone import FrozenBackbone, as_is_probabilities, count_parameters, probability_frame
from mixvision.training.frozen.heads import head_probabilities, train_heads
from mixvision.training.memory import images_at_once, is_out_of_memory, stop_using_onednn
from mixvision.training.pool import ImagePool
from mixvision.training.results import NO_EPOCHS, NoResultError, outcome
from mixvision.transforms.augmentation import Augmentation
from mixvision.transforms.test_time import TEST_VIEWS, view_of
from mixvision.vocabulary import (
    AS_IS,
    BEST_VALIDATION,
    FAILED,
    FINE_TUNED,
    HEAD,
    OUT_OF_MEMORY,
    RESTRICTED,
    WHOLE,
    snapshot_name,
    split_snapshot_name,
)

log = logging.getLogger(__name__)

HEAD_PREFIX = "head."  # of the names of the head's tensors in a TransferNetwork


@dataclass(frozen=True)
class TransferResult:
    """The results of the transfer study.

    Attributes:
        models: trained networks by "trial/snapshot".
        history, outcomes: as of :func:`mixvision.training.frozen.heads.train_heads`; history has the phase, outcomes
            have the parameters of the whole network and ``trained_parameters``.
        probabilities: by "trial/snapshot", one row per view and held-out image: view, id, and one column per
            category (for networks as they are, per class of ImageNet).
    """

    models: dict[str, TrainedNetwork]
    history: pd.DataFrame
    outcomes: pd.DataFrame
    probabilities: dict[str, pd.DataFrame]


def train_transfer(
    trials: pd.DataFrame,
    pool: ImagePool,
    study: Transfer,
    augmentation: Augmentation,
    training: EpochTraining,
    features: Path,
    checkpoints: Path,
    events: TrainingListener = SILENT,
) -> TransferResult:
    """Train every trial of :func:`mixvision.studies.transfer.trials.list_trials`.

    Args:
        trials: one row per model.
        pool: training and held-out images; all that are not held out are used for training.
        study: test-time views and the fine-tunings' plans.
        augmentation: of the images that networks are fine-tuned on.
        training: how long heads are trained, and on which device everything runs.
        features: folder of the cache of features, which is kept.
        checkpoints: folder of the fine-tunings' checkpoints.
        events: notified of the trials' progress.

    Raises:
        NoResultError: no trial finished.
    """
    results = []
    for (name, weights, size), group in trials.groupby(["backbone", "weights", "input_size"], sort=False):
        backbone = Backbone(name, weights)
        loaded = load_backbone(backbone, study.seed)
        frozen = FrozenBackbone(backbone, loaded, int(size), pool, features, training)
        as_is, of_heads = group[group["method"].isin([AS_IS, RESTRICTED])], group[group["method"] == HEAD]
        results.append(_or_why_not(as_is, events, partial(_take_as_is, as_is, frozen, events)))
        heads = _or_why_not(of_heads, events, partial(_train_heads, of_heads, frozen, study, training, events))
        results.append(heads)
        names = dict(zip(of_heads["head"], of_heads["trial"], strict=True))
        for row, head in group.loc[group["method"] == FINE_TUNED, "head"].items():
            plan, start = group.loc[[row]], _start_of(names[head], heads)
            tune = partial(_fine_tune, plan, start, frozen, study, augmentation, training, checkpoints, events)
            results.append(_or_why_not(plan, events, tune))
    joined = TransferResult(
        {name: model for result in results for name, model in result.models.items()},
        pd.concat([result.history for result in results], ignore_index=True),
        pd.concat([result.outcomes for result in results], ignore_index=True),
        {name: frame for result in results for name, frame in result.probabilities.items()},
    )
    if not joined.probabilities:
        raise NoResultError(joined.outcomes)
    return joined


def all_training_sets(trials: pd.DataFrame, pool: ImagePool) -> pd.DataFrame:
    """All images of the pool that are not held out, for every trial: trial, id."""
    ids = pool.ids[pool.not_held_out]
    return pd.DataFrame({"trial": np.repeat(trials["trial"].to_numpy(), len(ids)), "id": np.tile(ids, len(trials))})


def _take_as_is(trials: pd.DataFrame, frozen: FrozenBackbone, events: TrainingListener) -> TransferResult:
    """The trials without further training, treated as trained models."""
    probabilities, outcomes = {}, []
    frames = dict(zip((AS_IS, RESTRICTED), as_is_probabilities(frozen), strict=True)) if len(trials) else {}
    parameters = count_parameters(frozen.loaded, with_classifier=True)
    for trial in trials.to_dict("records"):
        events.started(pd.DataFrame([trial]))
        events.finished(trial["trial"])
        probabilities[snapshot_name(trial["trial"], BEST_VALIDATION)] = frames[trial["method"]]
        outcomes.append(outcome(trial["trial"], parameters=parameters, **NO_EPOCHS, trained_parameters=0))
    return TransferResult({}, pd.DataFrame(), pd.DataFrame(outcomes), probabilities)


def _train_heads(
    trials: pd.DataFrame, frozen: FrozenBackbone, study: Transfer, training: EpochTraining, events: TrainingListener
) -> TransferResult:
    pool = frozen.pool
    result = train_heads(trials, frozen.features(), pool, all_training_sets(trials, pool), training, events)
    heads, probabilities = dict(zip(trials["trial"], trials["head"], strict=True)), {}
    views = {view: frozen.held_out_features(view) for view in (WHOLE, *TEST_VIEWS[study.test_views])}
    for name, tensors in _by_name(result.weights).items():
        answers = {view: head_probabilities(heads[_trial(name)], tensors, own) for view, own in views.items()}
        probabilities[name] = _all_views(pool, answers)
    models = {
        name: _head_model(frozen, heads[_trial(name)], tensors) for name, tensors in _by_name(result.weights).items()
    }
    own = result.outcomes["parameters"]
    outcomes = result.outcomes.assign(trained_parameters=own, parameters=own + count_parameters(frozen.loaded))
    return TransferResult(models, result.history, outcomes, probabilities)


@dataclass(frozen=True)
class _Start:
    """A trained head to start a fine-tuning from: its name, its tensors (None if it failed) and its history."""

    name: str
    tensors: Mapping[str, Tensor] | None
    history: list[dict]


def _start_of(head: str, heads: TransferResult) -> _Start:
    """The head at its best epoch."""
    model = heads.models.get(snapshot_name(head, BEST_VALIDATION))
    if model is None:
        return _Start(head, None, [])
    tensors = {
        name.removeprefix(HEAD_PREFIX): tensor for name, tensor in model.tensors.items() if name.startswith(HEAD_PREFIX)
    }
    history = heads.history[heads.history["trial"] == head]
    best_epoch = heads.outcomes.set_index("trial").loc[head, "best_epoch"]
    return _Start(head, tensors, history[history["epoch"] <= best_epoch].to_dict("records"))


def _fine_tune(
    trials: pd.DataFrame,
    start: _Start,
    frozen: FrozenBackbone,
    study: Transfer,
    augmentation: Augmentation,
    training: EpochTraining,
    checkpoints: Path,
    events: TrainingListener,
) -> TransferResult:
    """One fine-tuning, of a table of one trial, from the best weights of its head."""
    trial, pool = trials.iloc[0], frozen.pool
    plan = next(plan for plan in study.fine_tunings if plan.name == trial["fine_tuning"])
    if start.tensors is None:
        return _without_result(trials, f"Not started: its head, {start.name}, has no result.", FAILED, events)

    def build(_: Mapping[str, Any]) -> TransferNetwork:
        return transfer_network(frozen.loaded, frozen.input_size, plan.head, len(pool.categories), start.tensors)

    heads = TrainedHeads(build, {trial["trial"]: start.history})
    result = fine_tune(trials, plan, heads, pool, augmentation, training, checkpoints, events)
    network, probabilities = build(trial), {}
    for name, tensors in _by_name(result.weights).items():
        network.load_state_dict(tensors)
        views = (WHOLE, *TEST_VIEWS[study.test_views])
        probabilities[name] = _all_views(pool, {view: _classify(network, pool, view, training) for view in views})
    models = {name: _model(frozen, plan.head, tensors, {}) for name, tensors in _by_name(result.weights).items()}
    return TransferResult(models, result.history, result.outcomes, probabilities)


def _all_views(pool: ImagePool, answers: Mapping[str, Tensor]) -> pd.DataFrame:
    """One trial's probabilities ``(n, C)`` by view as one table."""
    frames = [probability_frame(pool, view, answer, pool.categories) for view, answer in answers.items()]
    return pd.concat(frames, ignore_index=True)


@torch.no_grad()
def _classify(network: TransferNetwork, pool: ImagePool, view: str, arithmetic: Arithmetic) -> Tensor:
    """Probabilities of the held-out images in one view, ``(n, C)`` on the CPU."""
    device = arithmetic.device
    network.to(device).eval()
    parts = [
        network(view_of(pool.gather(part).to(device), view)).softmax(1).cpu()
        for part in pool.all_held_out.split(images_at_once(network.preprocessing.size, arithmetic.on_gpu))
    ]
    return torch.cat(parts)


def _or_why_not(trials: pd.DataFrame, events: TrainingListener, train: Callable[[], TransferResult]) -> TransferResult:
    """The trials' results; if their features or predictions do not fit into memory, the outcomes say so."""
    try:
        return train()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        again = stop_using_onednn(error)
    if again:
        return _or_why_not(trials, events, train)
    reason = "Out of memory in the pretrained network: lower input_sizes, or name a smaller network in backbones."
    return _without_result(trials, reason, OUT_OF_MEMORY, events)


def _without_result(trials: pd.DataFrame, reason: str, status: str, events: TrainingListener) -> TransferResult:
    """The outcomes of trials that could not be trained or predicted."""
    events.started(trials)
    for name in trials["trial"]:
        log.warning("%s: %s", name, reason)
        events.failed(name, reason)
    ended = [outcome(name, reason, status, **NO_EPOCHS, parameters=0, trained_parameters=0) for name in trials["trial"]]
    return TransferResult({}, pd.DataFrame(), pd.DataFrame(ended), {})


def _head_model(frozen: FrozenBackbone, head: str, tensors: Mapping[str, Tensor]) -> TrainedNetwork:
    """The head's tensors alone if the backbone's come from a file; all of them if the backbone is random."""
    own = {f"{HEAD_PREFIX}{name}": tensor for name, tensor in tensors.items()}
    if frozen.backbone.weights == "random":
        network = transfer_network(frozen.loaded, frozen.input_size, head, len(frozen.pool.categories), tensors)
        return _model(frozen, head, network.state_dict() | own, {})
    return _model(frozen, head, own, {"weights": frozen.backbone.weights, "sha256": frozen.loaded.sha256})


def _model(
    frozen: FrozenBackbone, head: str, tensors: Mapping[str, Tensor], arguments: Mapping[str, str]
) -> TrainedNetwork:
    about = {"backbone": frozen.backbone.name, "input_size": frozen.input_size, "head": head}
    return TrainedNetwork(
        "transfer", frozen.pool.categories, frozen.pool.pixels.shape[1], tensors, {**about, **arguments}
    )


def _trial(name: str) -> str:
    return split_snapshot_name(name)[0]


def _by_name(weights: Mapping[str, Mapping[str, Mapping[str, Tensor]]]) -> dict[str, Mapping[str, Tensor]]:
    return {
        snapshot_name(trial, snapshot): own
        for trial, snapshots in weights.items()
        for snapshot, own in snapshots.items()
    }
