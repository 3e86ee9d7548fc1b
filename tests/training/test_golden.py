"""What each engine computes in a few small steps, as digests that stand beside the engines' versions.

Where such a test fails, a step computes something else than it did, and a checkpoint of before fits no more. Is
that as it should be, then raise the version of the engine in ``mixvision.training.fingerprints.ENGINES`` and store the
digest that the failure names. Is it not, then the test has found a mistake.

Everything is computed in float64 and rounded to six digits, so the digests hold on any processor. First weights come
from NumPy, as PyTorch draws other numbers where a processor has other instructions.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from mixvision.models.backbones import Backbone, PretrainedBackbone, load_backbone
from mixvision.models.baselines import build_baseline
from mixvision.models.resnet25 import ResNet25
from mixvision.models.transfer import transfer_network
from mixvision.training.config import EpochTraining, Training
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
NOISE = 1e-9  # what is smaller is rounding


@pytest.fixture
def pool() -> ImagePool:
    """Forty training images, four validation and four test images, 16 pixels a side, of three categories."""
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
    """Give the network first weights that do not depend on PyTorch's random numbers: about as large as usual ones."""
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
    """How far the last weights of every trial have moved from the first ones of one trial."""
    return [weights[trial]["last"][name].double() - first[name].double() for trial in weights for name in first]


def digest(tensors: Iterable[Tensor], history: pd.DataFrame) -> str:
    """Of the size of each tensor and of one sum over it, with weights, and of all numbers of the history."""
    numbers = []
    for tensor in tensors:
        values = tensor.detach().double().flatten().numpy()
        norm = float(np.linalg.norm(values))
        numbers += [norm, float(values @ np.cos(np.arange(len(values)))) / norm] if norm > NOISE else [0.0, 0.0]
    columns = history.drop(columns=["seconds"], errors="ignore").select_dtypes("number")
    numbers += columns.fillna(-1).to_numpy("float64").flatten().tolist()
    rounded = [f"{number:.5e}" if abs(number) > NOISE else "0" for number in numbers]
    return hashlib.sha256(" ".join(rounded).encode()).hexdigest()[:16]


def require_golden(engine: str, found: str) -> None:
    assert found == ENGINES[engine].golden, (
        f"The engine {engine} computes something else than it did, digest {found}. If that is meant, raise its version "
        "in mixvision.training.fingerprints.ENGINES and store this digest there; the top of this file says why."
    )


def plateau_factors() -> Tensor:
    """Of a loss that never falls and of one that falls once: the learning rate is halved later than any test trains."""
    plateau = Plateau(2)
    return torch.stack([plateau(torch.tensor([1.0, 1.0 if step < 300 else 0.5])) for step in range(1100)])


def test_a_step_of_the_sweep(pool, tmp_path):
    first = {}

    def build(generators) -> ResNet25:
        network = ResNet25(3, 16, generators)
        fill(network)
        first.update({name: tensor[0].clone() for name, tensor in network.state_dict().items()})
        return network

    trials = pd.DataFrame({"trial": ["one", "other"], "seed": [0, 1], "learning_rate": [0.02, 0.01], "l2": [0.1, 0.5]})
    training = Training(iterations=3, evaluate_every=2, accelerator="cpu", precision="64-true")
    result = train_sweep(build, trials, training_sets(trials["trial"], pool), pool, training, tmp_path)
    moved = changes(result.weights, first)
    require_golden("sweep", digest([plateau_factors(), *moved], result.history))


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
    def build(_=None) -> nn.Module:
        network = transfer_network(backbone, 16, "dense", 3)
        fill(network.head)
        return network

    plan = FineTuning(
        head="dense",
        phases=(Phase("head", 1, 1e-2), Phase(2, 1, 1e-3), Phase("all", 1, 1e-3)),
        batch_size=16,
        weight_decay=0.01,
        layer_decay=0.7,
        warmup_steps=2,
        schedule="cosine",
        ema_decay=0.9,
    )
    trials = pd.DataFrame([{"trial": "tuned", "seed": 0}])
    views = Augmentation(colour=0.2)
    result = fine_tune(trials, plan, TrainedHeads(build, {"tuned": []}), pool, views, EXACT, tmp_path)
    require_golden("fine_tuning", digest(changes(result.weights, build().state_dict()), result.history))


def test_features_and_a_step_of_the_heads_on_them(pool, backbone, tmp_path):
    backbone.network.double()
    torch.set_default_dtype(torch.float64)
    try:
        features = backbone_features(backbone, 24, pool, tmp_path, EXACT)
    finally:
        torch.set_default_dtype(torch.float32)
    trials = pd.DataFrame(
        {
            "trial": ["adam", "sgd"],
            "head": "linear",
            "seed": 0,
            "optimizer": ["adam", "sgd"],
            "learning_rate": 0.01,
            "weight_decay": 0.01,
            "batch_size": 16,
        }
    )
    result = train_heads(trials, features, pool, training_sets(trials["trial"], pool), EXACT)
    weights = [tensor for trial in result.weights.values() for tensor in trial["last"].values()]
    require_golden("frozen", digest([features, *weights], result.history))
