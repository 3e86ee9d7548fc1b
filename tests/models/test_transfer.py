"""A backbone with a head as one network: compared with a head on features; saved whole, and as a head alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from mixvision.models.backbones import Backbone, Preprocessing, PretrainedBackbone, embed, load_backbone
from mixvision.models.heads import HEADS, StackedDropout, StackedHeads
from mixvision.models.trained import TrainedNetwork
from mixvision.models.transfer import transfer_network

CATEGORIES = ("daisy", "rose", "tulip")


def random_backbone(name: str) -> PretrainedBackbone:
    return load_backbone(Backbone(name, "random"))


@pytest.fixture(scope="module")
def backbone() -> PretrainedBackbone:
    return random_backbone("resnet10t")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), dtype=np.uint8)


def as_floats(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels / 255).float().permute(0, 3, 1, 2)


def trained_stack(head: str, features: int) -> StackedHeads:
    """Two heads whose statistics are not the initial ones."""
    generator = torch.Generator().manual_seed(3)
    stack = StackedHeads(head, features, len(CATEGORIES), [torch.Generator().manual_seed(seed) for seed in (1, 2)])
    stack[0].fit(1, torch.rand(30, features, generator=generator) * 4)
    stack(torch.rand(2, 30, features, generator=generator) * 4)
    return stack.eval()


def second(stack: StackedHeads) -> dict[str, torch.Tensor]:
    return {name: tensor[1].clone() for name, tensor in stack.state_dict().items()}


@pytest.mark.parametrize(
    ("name", "head"),
    [
        *(("resnet10t", head) for head in HEADS),
        ("vgg11", "linear"),
        ("densenet121", "linear"),
        ("inception_v3", "dense"),
    ],
)
@torch.no_grad()
def test_logits_are_those_of_the_head_on_the_features(name, head):
    backbone = random_backbone(name)
    size = 96 if name == "inception_v3" else 48
    images = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    features = embed(backbone.network, Preprocessing(size, backbone.mean, backbone.std)(images))
    stack = trained_stack(head, features.shape[1])
    network = transfer_network(backbone, size, head, len(CATEGORIES), second(stack))
    assert not network.training
    torch.testing.assert_close(network(images), stack(features.expand(2, -1, -1))[1])
    assert backbone.network.num_classes == 1000  # the original is unchanged


def test_dropout_follows_pytorchs_random_state(backbone):
    network = transfer_network(backbone, 32, "dense2", 3)
    assert not any(isinstance(module, StackedDropout) for module in network.modules())
    assert [module.p for module in network.head.modules() if isinstance(module, nn.Dropout)] == [0.6, 0.25]
    network.head.train()
    images = torch.rand(3, 3, 32, 32)
    with torch.random.fork_rng():
        logits = []
        for seed in (1, 2, 1):
            torch.manual_seed(seed)
            logits.append(network(images))
    assert torch.equal(logits[0], logits[2]) and not torch.allclose(logits[0], logits[1])


def test_first_weights_are_always_the_same_and_leave_the_random_state_alone(backbone):
    before = torch.get_rng_state()
    first, again = (transfer_network(backbone, 32, "dense", 3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_it_leaves_the_backbone_alone(backbone):
    before = {name: tensor.clone() for name, tensor in backbone.network.state_dict().items()}
    network = transfer_network(backbone, 32, "linear", 3).train()
    network(torch.rand(4, 3, 32, 32)).sum().backward()
    torch.optim.SGD(network.parameters(), lr=1.0).step()
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.network.state_dict().items())


def test_an_unknown_head_and_a_wrong_size_are_refused(backbone):
    with pytest.raises(ValueError, match="head is 'deep'"):
        transfer_network(backbone, 32, "deep", 3)
    with pytest.raises(ValueError, match="size is 0 pixels"):
        transfer_network(backbone, 0, "linear", 3)


# Networks in files


@pytest.fixture
def weights(backbone, tmp_path) -> str:
    save_file(backbone.network.state_dict(), tmp_path / "weights.safetensors")
    return str(tmp_path / "weights.safetensors")


def head_alone(weights: str, head: str = "dense") -> TrainedNetwork:
    tensors = second(trained_stack(head, 512))
    arguments = {"backbone": "resnet10t", "input_size": 48, "head": head, "weights": weights}
    arguments["sha256"] = load_backbone(Backbone("resnet10t", weights)).sha256
    return TrainedNetwork("transfer", CATEGORIES, 40, {f"head.{n}": t for n, t in tensors.items()}, arguments)


@pytest.mark.parametrize("head", HEADS)
def test_a_head_on_a_frozen_backbone_is_saved_alone(weights, head, pixels, tmp_path):
    alone = head_alone(weights, head)
    alone.save(tmp_path / "head.safetensors")
    with safe_open(tmp_path / "head.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(alone.tensors)
        assert json.loads(file.metadata()["arguments"]) == alone.arguments
    loaded = TrainedNetwork.load(tmp_path / "head.safetensors")
    backbone = load_backbone(Backbone("resnet10t", weights))
    tensors = {name.removeprefix("head."): tensor for name, tensor in alone.tensors.items()}
    network = transfer_network(backbone, 48, head, 3, tensors)
    with torch.no_grad():
        expected = network(as_floats(pixels)).softmax(1).numpy()
    np.testing.assert_allclose(loaded.classify(pixels), expected, rtol=1e-4)


def test_a_whole_network_needs_no_weights_file(backbone, pixels, tmp_path):
    network = transfer_network(backbone, 48, "dense", 3).train()
    network(as_floats(pixels))  # changes the statistics, so that no file of weights has them
    arguments = {"backbone": "resnet10t", "input_size": 48, "head": "dense"}
    whole = TrainedNetwork("transfer", CATEGORIES, 40, network.eval().state_dict(), arguments)
    whole.save(tmp_path / "network.safetensors")
    with torch.no_grad():
        expected = network(as_floats(pixels)).softmax(1).numpy()
    loaded = TrainedNetwork.load(tmp_path / "network.safetensors")
    np.testing.assert_allclose(loaded.classify(pixels), expected, rtol=1e-4)
    missing = {name: tensor for name, tensor in whole.tensors.items() if name != "backbone.layer1.0.conv1.weight"}
    with pytest.raises(
        ValueError,
        match=r"'backbone.layer1.0.conv1.weight' is missing from the tensors of transfer \(resnet10t, dense\) with 3",
    ):
        TrainedNetwork("transfer", CATEGORIES, 40, missing, arguments).build()


def test_large_inputs_are_classified_in_small_batches(weights, pixels, monkeypatch):
    """The batch size depends on the backbone's input of 48 pixels, not on the image's 40."""
    alone, batches = head_alone(weights), []
    monkeypatch.setattr("mixvision.models.trained.BATCH_PIXELS", 2 * 40 * 40)
    forward = Preprocessing.forward
    monkeypatch.setattr(
        Preprocessing, "forward", lambda module, images: batches.append(len(images)) or forward(module, images)
    )
    alone.classify(pixels)
    assert batches == [1, 1, 1, 1]


def test_other_weights_of_the_backbone_are_refused(weights, tmp_path):
    alone = head_alone(weights)
    save_file(load_backbone(Backbone("resnet10t", "random"), seed=1).network.state_dict(), weights)
    found = hashlib.sha256(Path(weights).read_bytes()).hexdigest()
    assert found != alone.arguments["sha256"]
    sentence = rf"SHA-256 {alone.arguments['sha256']}, but the weights of file {weights} have {found}: set weights"
    with pytest.raises(ValueError, match=sentence):
        alone.build()
    Path(weights).unlink()
    with pytest.raises(FileNotFoundError, match=f"The weights file {weights} does not exist"):
        alone.build()
    arguments = {**alone.arguments, "weights": "random"}
    with pytest.raises(ValueError, match="weights is 'random'.*save the whole network"):
        TrainedNetwork("transfer", CATEGORIES, 40, alone.tensors, arguments).build()


def test_tensors_of_another_head_are_refused(weights):
    alone = head_alone(weights)
    arguments = {**alone.arguments, "head": "linear"}
    first = min(name for name in alone.tensors if not name.startswith(("head.0.", "head.1.")))
    with pytest.raises(ValueError, match=rf"'{first}' is not a tensor of transfer \(resnet10t, linear\) with 3 categ"):
        TrainedNetwork("transfer", CATEGORIES, 40, alone.tensors, arguments).build()
    whole = {**alone.tensors, "backbone.conv1.0.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"'backbone.conv1.0.weight' is not a tensor of transfer \(resnet10t, dense\)"):
        TrainedNetwork("transfer", CATEGORIES, 40, whole, alone.arguments).build()
