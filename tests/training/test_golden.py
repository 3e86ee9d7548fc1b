"""Golden digests: each engine computes a few small steps, whose digest must be the one stored with its version.

A digest also covers what an ordinary run reaches late or not at all: a learning rate that is halved, a trial that is
pruned, a head that continues from trained networks, an optimiser that is reset.

If a test fails, a step no longer computes what it did, and older checkpoints must not be continued. If the change is
intended, raise the engine's version in ``mixvision.training.fingerprints.ENGINES`` and store the digest that the
failure names. If not, the test has found a bug.

Everything is computed in float64 and rounded to six digits, so the digests hold on any processor. First weights come
from NumPy, as PyTorch draws different numbers on processors with different instructions.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from mixvision.models.backbones import Backbone, PretrainedBackbone, load_backbone
from mixvision.models.baselines import build_baseline
from mixvision.models.resnet25 import ResNet25
from mixvision.models.transfer import transfer_network
from mixvision.training.config import Continuation, Course, EpochTraining, Start, Training
from mixvision.training.epochs.engine import train_by_epochs
from mixvision.training.epochs.examples import Examples, TrainingData
from mixvision.training.fine_tuning.config import FineTuning, Phase
from mixvision.training.fine_tuning.tuner import TrainedHeads, fine_tune
from mixvision.training.fingerprints import ENGINES
from mixvision.training.frozen.features import backbone_features
from mixvision.training.frozen.heads import train_heads
from mixvision.training.pool import ImagePool
from mixvision.training.sweep.engine import train_sweep
from mixvision.training.sweep.schedules import Plateau
from mixvision.transforms.augmentation import Augmentation

EXACT = EpochTraining(epochs=2, accelerator="cpu", precision="64-true")
NOISE = 1e-9  # anything smaller is rounding


@pytest.fixture
def pool() -> ImagePool:
    """Forty training images, four validation and four test images of 16 pixels, of three categories."""
    generator = np.random.default_rng(0)
    domains = np.repeat(["nice", "real"], 24)
    return ImagePool(
        ids=np.array([f"{domain}/{place:02d}.png" for place, domain in enumerate(domains)]),
        categories=("a", "b", "c"),
        pixels=torch.from_numpy(generator.integers(0, 256, (48, 16, 16, 3), dtype=np.uint8)),
        labels=torch.from_numpy(generator.integers(0, 3, 48)),
        is_real=torch.from_numpy(domains == "real"),
        held_out={"validation": torch.tensor([0, 1, 24, 25]), "test": torch.tensor([2, 3, 26, 27])},
    )


@pytest.fixture
def backbone() -> PretrainedBackbone:
    backbone = load_backbone(Backbone("test_resnet", "random"))
    fill(backbone.network)
    return backbone


def fill(network: nn.Module) -> None:
    """Give the network first weights of the usual size that do not depend on PyTorch's random numbers."""
    generator = np.random.default_rng(1)
    with torch.no_grad():
        for parameter in network.parameters():
            bound = math.sqrt(3 / max(1, parameter[0].numel()))
            drawn = generator.uniform(-bound, bound, tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(drawn if parameter.dim() > 1 else 1 + 0.1 * drawn))


def training_sets(trials: Iterable[str], pool: ImagePool) -> pd.DataFrame:
    ids = pool.ids[pool.not_held_out]
    return pd.concat([pd.DataFrame({"trial": trial, "id": ids}) for trial in trials], ignore_index=True)


def changes(weights: Mapping[str, Mapping[str, Mapping[str, Tensor]]], first: Mapping[str, Tensor]) -> list[Tensor]:
    """How far the weights of every trial and snapshot have moved from the first ones of one trial."""
    kept = [snapshots[name] for snapshots in weights.values() for name in sorted(snapshots)]
    return [tensors[name].double() - first[name].double() for tensors in kept for name in first]


def digest(tensors: Iterable[Tensor], *tables: pd.DataFrame) -> str:
    """Hash the norm and one weighted sum of each tensor, and all numbers of the tables."""
    numbers = []
    for tensor in tensors:
        values = tensor.detach().double().flatten().numpy()
        norm = float(np.linalg.norm(values))
        numbers += [norm, float(values @ np.cos(np.arange(len(values)))) / norm] if norm > NOISE else [0.0, 0.0]
    for table in tables:
        columns = table.drop(columns=["seconds", "stack_seconds"], errors="ignore").select_dtypes("number")
        numbers += columns.fillna(-1).to_numpy("float64").flatten().tolist()
    rounded = [f"{number:.5e}" if abs(number) > NOISE else "0" for number in numbers]
    return hashlib.sha256(" ".join(rounded).encode()).hexdigest()[:16]


def require_golden(engine: str, found: str) -> None:
    assert found == ENGINES[engine].golden, (
        f"The engine {engine} no longer computes what it did; its digest is {found}. If that is intended, raise its "
        "version in mixvision.training.fingerprints.ENGINES and store this digest there; the top of this file says why."
    )


def plateau_factors() -> Tensor:
    """Factors for a loss that never falls and for one that falls once, until the first rate is halved twice."""
    plateau = Plateau(2)
    return torch.stack([plateau(torch.tensor([1.0, 1.0 if step < 300 else 0.5])) for step in range(1100)])


def test_a_step_of_the_sweep(pool, tmp_path, monkeypatch):
    """Three trials, one of which is pruned; then the heads of the other two, with continued schedules."""
    factors, first = plateau_factors(), {}

    def build(generators) -> ResNet25:
        network = ResNet25(3, 16, generators)
        fill(network)
        first.update({name: tensor[0].clone() for name, tensor in network.state_dict().items()})
        return network

    def prune(rows: list[dict]) -> set[str]:
        return {"pruned"} & {row["trial"] for row in rows}

    monkeypatch.setattr("mixvision.training.sweep.schedules.Plateau", partial(Plateau, patience=1))
    names, rates, l2 = ["one", "pruned", "other"], [0.002, 0.003, 0.001], [0.1, 0.3, 0.5]
    trials = pd.DataFrame({"trial": names, "seed": [0, 1, 2], "learning_rate": rates, "l2": l2})
    training = Training(iterations=4, evaluate_every=2, accelerator="cpu", precision="64-true")
    sets = training_sets(names, pool)
    whole = train_sweep(build, trials, sets, pool, training, tmp_path, Course(keep=[3], prune=prune))

    rows = whole.history.groupby("trial")
    starts = {
        name: Start(whole.weights[name]["last"], rows.get_group(name).to_dict("records")) for name in whole.weights
    }
    course = Course(Continuation(starts, trainable="head", schedules="continue"), keep=[101])
    later = trials[trials["trial"].isin(starts)].assign(begin=100, iterations=2)
    head = train_sweep(build, later, sets, pool, training, tmp_path, course)

    moved = changes(whole.weights, first) + changes(head.weights, first)
    tables = [whole.history, whole.outcomes, head.history, head.outcomes]
    require_golden("sweep", digest([factors, *moved], *tables))


def test_a_step_by_epochs(pool, tmp_path):
    def build(_=None) -> nn.Module:
        network = build_baseline("cnn", 3, 16, seed=0)
        fill(network)
        return network

    trials = pd.DataFrame([{"trial": "cnn", "seed": 0, "learning_rate": 1e-2, "batch_size": 16}])
    validation = Examples(pool.held_out["validation"].numpy())
    data = TrainingData(Examples(pool.not_held_out), validation, Augmentation(colour=0.2))
    result = train_by_epochs(build, lambda _: data, trials, pool, EXACT, tmp_path)
    require_golden("epochs", digest(changes(result.weights, build().state_dict()), result.history))


def test_a_step_of_fine_tuning(pool, backbone, tmp_path):
    """First Adam with all its options; then SGD, with the batch's statistics and a reset between phases."""

    def build(_=None) -> nn.Module:
        network = transfer_network(backbone, 16, "dense", 3)
        fill(network.head)
        return network

    usual = FineTuning(
        head="dense",
        phases=(Phase("head", 1, 1e-2), Phase(2, 1, 1e-3), Phase("all", 1, 1e-3)),
        batch_size=16,
        weight_decay=0.01,
        layer_decay=0.7,
        warmup_steps=2,
        schedule="cosine",
        ema_decay=0.9,
    )
    other = FineTuning(
        head="dense",
        phases=(Phase(2, 1, 1e-2), Phase("all", 1, 1e-2, reset_optimizer=True)),
        optimizer="sgd",
        batch_size=16,
        batch_statistics=True,
    )
    trials, views = pd.DataFrame([{"trial": "tuned", "seed": 0}]), Augmentation(colour=0.2)
    heads = TrainedHeads(build, {"tuned": []})
    results = [fine_tune(trials, plan, heads, pool, views, EXACT, tmp_path) for plan in (usual, other)]
    first = build().state_dict()
    moved = [change for result in results for change in changes(result.weights, first)]
    require_golden("fine_tuning", digest(moved, *[result.history for result in results]))


def uniform(shape: tuple[int, ...], bound: float, generators: Iterable[torch.Generator]) -> Tensor:
    """First weights of stacked heads, the same on any processor."""
    seeds = [generator.initial_seed() for generator in generators]
    return torch.from_numpy(np.stack([np.random.default_rng(seed).uniform(-bound, bound, shape) for seed in seeds]))


def test_features_and_a_step_of_the_heads_on_them(pool, backbone, tmp_path, monkeypatch):
    """Heads of each kind, on exact features; one of these hardly varies, so its standard deviation is raised."""
    monkeypatch.setattr("mixvision.models.heads._uniform", uniform)
    backbone.network.double()
    torch.set_default_dtype(torch.float64)
    try:
        features = backbone_features(backbone, 24, pool, tmp_path, EXACT)
    finally:
        torch.set_default_dtype(torch.float32)
    kinds = ["linear", "linear", "dropout", "dense", "dense2"]
    trials = pd.DataFrame(
        {
            "trial": ["sgd", *kinds[1:]],
            "head": kinds,
            "seed": 0,
            "optimizer": ["sgd", *["adam"] * 4],
            "learning_rate": 0.01,
            "weight_decay": 0.01,
            "batch_size": 16,
        }
    )
    given = np.random.default_rng(2).normal(size=(48, 20)) * np.append(np.ones(19), 0.01)
    result = train_heads(trials, torch.from_numpy(given), pool, training_sets(trials["trial"], pool), EXACT)
    weights = [
        tensor for snapshots in result.weights.values() for kept in snapshots.values() for tensor in kept.values()
    ]
    probabilities = torch.tensor(result.predictions.filter(like="probability").to_numpy())
    require_golden("frozen", digest([features, *weights, probabilities], result.history))
