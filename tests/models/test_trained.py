import json

import numpy as np
import pytest
import torch
from damage import flip
from safetensors import safe_open
from safetensors.torch import save_file

from mixvision.models.baselines import build_baseline
from mixvision.models.resnet25 import ResNet25
from mixvision.models.trained import ARCHITECTURES, TrainedNetwork

CATEGORIES = ("cherry", "strawberry", "tomato")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def as_floats(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels / 255).float().permute(0, 3, 1, 2)


def adapt(network: torch.nn.Module, pixels: np.ndarray, networks: int = 1) -> torch.nn.Module:
    """Fit the network's statistics to the images.

    With the statistics of a new network the maps of ResNet25 explode, and with them differences in the last digit.
    """
    with torch.no_grad():
        network.train()(as_floats(pixels).repeat(1, networks, 1, 1))
    return network.eval()


def cnn(**changes: torch.Tensor | None) -> TrainedNetwork:
    tensors = {**build_baseline("cnn", 3, 32, seed=0).state_dict(), **changes}
    return TrainedNetwork("cnn", CATEGORIES, 32, {name: value for name, value in tensors.items() if value is not None})


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES.keys() - {"transfer"}))  # that one in test_transfer
def test_a_saved_network_is_the_network_itself(architecture, pixels, tmp_path):
    network = adapt(ARCHITECTURES[architecture](3, 32), pixels)
    TrainedNetwork(architecture, CATEGORIES, 32, network.state_dict()).save(tmp_path / "network.safetensors")
    loaded = TrainedNetwork.load(tmp_path / "network.safetensors")
    assert (loaded.architecture, loaded.categories, loaded.image_size) == (architecture, CATEGORIES, 32)
    rebuilt = loaded.build()
    assert not rebuilt.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(rebuilt.state_dict()[name], tensor), name
    with torch.no_grad():
        expected = network(as_floats(pixels)).reshape(5, 3).softmax(-1).numpy()
    np.testing.assert_allclose(loaded.classify(pixels), expected, rtol=1e-3)


def test_a_network_of_a_stack_is_loaded_from_a_file_of_its_slices(pixels, tmp_path):
    """Files of the first versions have tensors without the stack's dimension, and exactly this metadata."""
    stack = adapt(ResNet25(3, 32, [torch.Generator().manual_seed(seed) for seed in (0, 1)]), pixels, networks=2)
    slices = {name: tensor[1].clone() for name, tensor in stack.state_dict().items()}
    metadata = {"architecture": "resnet25", "categories": json.dumps(CATEGORIES), "image_size": "32"}
    save_file(slices, tmp_path / "last.safetensors", metadata)
    with torch.no_grad():
        expected = stack(as_floats(pixels).repeat(1, 2, 1, 1))[1].softmax(-1).numpy()
    loaded = TrainedNetwork.load(tmp_path / "last.safetensors")
    assert loaded.arguments == {}
    np.testing.assert_allclose(loaded.classify(pixels), expected, rtol=1e-3)


def test_equal_networks_give_equal_files(tmp_path):
    """The library orders metadata by a hash that differs from call to call: 4 of them have 24 orders."""
    for number in range(12):
        cnn().save(tmp_path / f"{number}.safetensors")
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    assert len(files) == 12 and len(set(files)) == 1
    loaded = TrainedNetwork.load(tmp_path / "0.safetensors")
    assert loaded.categories == CATEGORIES and loaded.image_size == 32


def test_images_in_many_batches_are_classified_as_in_one(pixels, monkeypatch):
    network = cnn()
    together = network.classify(pixels)
    monkeypatch.setattr("mixvision.models.trained.BATCH_PIXELS", 2 * 32 * 32)
    np.testing.assert_allclose(network.classify(pixels), together, rtol=1e-3)
    monkeypatch.setattr("mixvision.models.trained.BATCH_PIXELS", 1)
    np.testing.assert_allclose(network.classify(pixels), together, rtol=1e-3)


def test_building_leaves_the_random_state_as_it_was():
    network, before = cnn(), torch.get_rng_state()
    network.build()
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ValueError, match="architecture is 'vgg'; choose one of resnet25, linear, mlp, cnn"):
        TrainedNetwork("vgg", CATEGORIES, 32, {}).build()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"9.bias": None}, "'9.bias' is missing from the tensors of cnn with 3 categories and images of 32 pixels"),
        ({"other": torch.zeros(1)}, "'other' is not a tensor of cnn with 3 categories and images of 32 pixels"),
        ({"14.bias": torch.zeros(4)}, r"'14.bias' has the shape \(4,\), but cnn with 3 .* needs \(3,\)"),
        ({"14.weight": torch.zeros(84, 3)}, r"'14.weight' has the shape \(84, 3\), .* needs \(3, 84\)"),  # transposed
    ],
)
def test_tensors_of_another_network_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        cnn(**changes).build()


def test_a_network_of_another_image_size_is_refused():
    tensors = build_baseline("linear", 3, 32, seed=0).state_dict()
    with pytest.raises(
        ValueError, match="'2.weight' has the shape .*, but linear with 3 categories and images of 16 pixels"
    ):
        TrainedNetwork("linear", CATEGORIES, 16, tensors).build()


def test_a_file_of_an_earlier_version_is_read(tmp_path):
    """Versions before 0.4 called the shortcuts of residual blocks bridges, and standard deviations sd."""
    network = ResNet25(2, 16, [torch.Generator().manual_seed(0)])
    tensors = network.state_dict() | {"head.0.std": torch.ones(1)}
    earlier = {name.replace(".shortcut.", ".bridge.").replace(".std", ".sd"): value for name, value in tensors.items()}
    assert len(earlier.keys() - tensors.keys()) > 2
    TrainedNetwork("resnet25", ("a", "b"), 16, earlier).save(tmp_path / "earlier.safetensors")
    assert TrainedNetwork.load(tmp_path / "earlier.safetensors").tensors.keys() == tensors.keys()


@pytest.mark.parametrize("position", [0.001, 0.02, 0.3, 0.5, 0.9, 0.999])
def test_a_file_with_one_flipped_byte_is_refused_by_name(tmp_path, position):
    cnn().save(tmp_path / "last.safetensors")
    flip(tmp_path / "last.safetensors", position)
    with pytest.raises(ValueError, match=r"last\.safetensors is (damaged|no trained network)"):
        TrainedNetwork.load(tmp_path / "last.safetensors")


def test_a_file_without_a_checksum_is_read(tmp_path):
    """As earlier versions wrote them."""
    network = cnn()
    network.save(tmp_path / "new.safetensors")
    with safe_open(tmp_path / "new.safetensors", framework="pt") as file:
        metadata = file.metadata()
    del metadata["checksum"]
    save_file(dict(network.tensors), tmp_path / "old.safetensors", metadata)
    assert TrainedNetwork.load(tmp_path / "old.safetensors").categories == CATEGORIES


@pytest.mark.parametrize("metadata", [None, {"architecture": "cnn"}])
def test_weights_that_are_no_trained_network_are_refused(tmp_path, metadata):
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors", metadata)
    with pytest.raises(ValueError, match=r"other\.safetensors is no trained network of Mixvision: .* no '"):
        TrainedNetwork.load(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError, match=r"There is no .*absent\.safetensors"):
        TrainedNetwork.load(tmp_path / "absent.safetensors")
