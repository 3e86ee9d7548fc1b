import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.functional import normalize

from mixvision.models.baselines import BASELINES, CNN, MLP, BasicCNN, LinearClassifier, build_baseline
from mixvision.models.seeding import seeded

MEAN, SD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def shapes(network: nn.Sequential, images: torch.Tensor) -> list[tuple[int, ...]]:
    """Shape of each layer's output for one image."""
    found = []
    for layer in network.eval():
        images = layer(images)
        found.append(tuple(images.shape[1:]))
    return found


def images(number: int, side: int) -> torch.Tensor:
    return torch.rand(number, 3, side, side, generator=torch.Generator().manual_seed(1))


def tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    return network.state_dict()


def test_the_linear_classifier_is_one_linear_layer():
    network, pictures = LinearClassifier(4, 6), images(3, 6)
    expected = F.linear(normalize(pictures, MEAN, SD).flatten(1), network[-1].weight, network[-1].bias)
    torch.testing.assert_close(network(pictures), expected)
    assert count(network) == 3 * 6 * 6 * 4 + 4


def test_the_perceptron_is_two_dense_layers_around_a_rectifier():
    network, pictures = MLP(4, 6), images(3, 6)
    first, last = [layer for layer in network if isinstance(layer, nn.Linear)]
    hidden = F.linear(normalize(pictures, MEAN, SD).flatten(1), first.weight, first.bias).clamp(min=0)
    torch.testing.assert_close(network(pictures), F.linear(hidden, last.weight, last.bias))


def test_the_perceptron_has_the_parameters_of_the_study():
    with torch.device("meta"):
        assert count(MLP(3, 300)) == 68_851_023


def test_the_cnn_has_the_parameters_and_maps_of_the_study():
    network = CNN(3, 300)
    assert count(network) == 9_966_691
    maps = [(3, 300, 300), (6, 296, 296), (6, 296, 296), (6, 148, 148), (16, 144, 144), (16, 144, 144), (16, 72, 72)]
    dense = [(82_944,), (82_944,), (120,), (120,), (84,), (84,), (84,), (3,)]
    assert shapes(network, images(1, 300)) == maps + dense


def test_the_cnn_computes_what_its_layers_say():
    network, pictures = CNN(4, 20).eval(), images(3, 20)
    weights = [layer for layer in network if isinstance(layer, nn.Conv2d | nn.Linear)]
    maps = normalize(pictures, MEAN, SD)
    for convolution in weights[:2]:
        maps = F.max_pool2d(F.conv2d(maps, convolution.weight, convolution.bias).relu(), 2)
    features = maps.flatten(1)
    for dense in weights[2:4]:
        features = F.linear(features, dense.weight, dense.bias).relu()
    torch.testing.assert_close(network(pictures), F.linear(features, weights[4].weight, weights[4].bias))


CONVOLUTIONS = 1_792 + 73_856 + 295_168 + 1_180_160 + 2_359_808  # 9 * in * out + out, for 3, 64, 128, 256, 512, 512


@pytest.mark.parametrize(
    ("model", "head", "dense"),
    [
        ("basic_cnn", 25_088 * 5 + 5 + 2 * 5, [(5,), (5,)]),
        (
            "basic_cnn_dense",
            25_088 * 256 + 256 + 2 * 256 + 256 * 5 + 5 + 2 * 5,
            [(256,), (256,), (256,), (5,), (5,)],
        ),
    ],
)
def test_the_basic_cnn_counted_by_hand(model, head, dense):
    network = BASELINES[model](5, 224)
    assert count(network) == CONVOLUTIONS + head
    maps = [(3, 224, 224)]
    for channels, side in ((64, 224), (128, 112), (256, 56), (512, 28), (512, 14)):
        maps += [(channels, side, side)] * 2 + [(channels, side // 2, side // 2)]
    assert shapes(network, images(1, 224)) == [*maps, (25_088,), *dense]


@pytest.mark.parametrize("dense_units", [None, 7])
def test_the_basic_cnn_computes_what_its_layers_say(dense_units):
    network, pictures = BasicCNN(3, 32, dense_units=dense_units), images(6, 32)
    maps = normalize(pictures, MEAN, SD)
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            maps = F.max_pool2d(F.conv2d(maps, layer.weight, layer.bias, padding=1).relu(), 2)
    features = maps.flatten(1)
    for layer in (layer for layer in network if isinstance(layer, nn.Linear)):
        features = F.linear(features, layer.weight, layer.bias)
        features = (features - features.mean(0)) / (features.var(0, correction=0) + 1e-5).sqrt()
        features = features if layer.out_features == 3 else features.relu()
    torch.testing.assert_close(network(pictures), features, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("model", BASELINES)
def test_an_image_alone_is_classified_as_among_others(model):
    network = build_baseline(model, 3, 32, seed=0).eval()
    together = network(images(4, 32))
    assert together.shape == (4, 3)
    torch.testing.assert_close(network(images(4, 32)[2:3]), together[2:3], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("model", "smallest"), [("linear", 1), ("mlp", 1), ("cnn", 16), ("basic_cnn", 32)])
def test_the_smallest_image(model, smallest):
    assert build_baseline(model, 2, smallest, seed=0).eval()(images(1, smallest)).shape == (1, 2)
    with pytest.raises(ValueError, match=f"image_size is {smallest - 1}, .*{smallest} pixels or more"):
        build_baseline(model, 2, smallest - 1, seed=0)


def test_an_unknown_model_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="model is 'vgg'; choose one of linear, mlp, cnn, basic_cnn, basic_cnn_dense"):
        build_baseline("vgg", 2, 32, seed=0)


def test_dropout_acts_in_training_alone():
    network, pictures = build_baseline("cnn", 3, 32, seed=0), images(4, 32)
    without = build_baseline("cnn", 3, 32, seed=0, dropout=False)
    with seeded(1):
        assert not torch.equal(network(pictures), network(pictures))
    plain = without(pictures)
    assert torch.equal(without(pictures), plain)
    assert torch.equal(network.eval()(pictures), plain)


def test_dropout_of_half_comes_before_the_first_and_the_last_dense_layer():
    network = list(CNN(3, 32))
    places = [place for place, layer in enumerate(network) if isinstance(layer, nn.Dropout)]
    dense = [place for place, layer in enumerate(network) if isinstance(layer, nn.Linear)]
    assert places == [dense[0] - 1, dense[2] - 1]
    assert all(network[place].p == 0.5 for place in places)


@pytest.mark.parametrize("model", BASELINES)
def test_first_weights_follow_from_the_seed_alone(model):
    first = tensors(build_baseline(model, 3, 32, seed=5))
    torch.rand(3)
    again, without = (tensors(build_baseline(model, 3, 32, seed=5, dropout=dropout)) for dropout in (True, False))
    other = tensors(build_baseline(model, 3, 32, seed=6))
    assert first.keys() == without.keys()
    assert all(torch.equal(first[name], again[name]) and torch.equal(first[name], without[name]) for name in first)
    drawn = [name for name in first if first[name].dim() > 1]
    assert drawn and not any(torch.equal(first[name], other[name]) for name in drawn)


def test_building_leaves_the_random_state_as_it_was():
    before = torch.get_rng_state()
    build_baseline("cnn", 3, 32, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def draw(*parts: int) -> list[float]:
    with seeded(*parts):
        return torch.rand(4).tolist()


def test_numbers_drawn_follow_from_all_parts():
    assert draw(1, 2) == draw(1, 2)
    different = [(), (0,), (1,), (1, 0), (0, 1), (1, 2), (2, 1)]
    assert len({tuple(draw(*parts)) for parts in different}) == len(different)


def test_the_random_state_is_restored_even_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(KeyError), seeded(3):
        torch.rand(1)
        raise KeyError
    assert torch.equal(torch.get_rng_state(), before)


def test_seeding_draws_the_same_in_a_block_within_another():
    alone = draw(1)
    with seeded(1):
        first = torch.rand(2).tolist()
        draw(2)
        assert first + torch.rand(2).tolist() == alone


def test_many_devices_cause_no_warning(monkeypatch):
    """Only the current one is touched: by default PyTorch would warn, and copy the states of all."""
    touched = []
    states = {"is_initialized": True, "is_available": True, "device_count": 8, "current_device": 3}
    for name, value in states.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: touched.append(device) or "state")
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: touched.append((state, device)))
    monkeypatch.setattr(torch.cuda, "manual_seed", lambda seed: touched.append("seed"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(1)
    assert touched == [3, "seed", ("state", 3)]
