import pytest
import torch
from torch import nn

from mixvision.models.resnet25 import ResidualBlock, ResNet25
from mixvision.models.stacked import StackedConv2d, StackedLinear


@pytest.fixture(scope="module")
def network() -> ResNet25:
    return ResNet25(26, 100, [torch.Generator().manual_seed(0)])


def test_every_stage_has_the_size_of_table_1(network):
    stages = [
        (8, 100),  # convolution 5x5
        (8, 50),  # max pool
        (8, 50),
        *[(8, 50)] * 3,
        (16, 25),
        *[(16, 25)] * 3,
        (32, 12),
        *[(32, 12)] * 3,
        (32, 6),  # average pool
    ]
    maps = torch.rand(2, 3, 100, 100)
    for layer, (channels, side) in zip(network.features, stages, strict=True):
        maps = layer(maps)
        assert maps.shape == (2, channels, side, side)
    features = maps.flatten(1)[None]
    assert features.shape == (1, 2, 1152)
    sizes = [200, 200, 26]
    for layer, size in zip(network.head, sizes, strict=True):
        features = layer(features)
        assert features.shape == (1, 2, size)


def test_parameter_counts_follow_table_1(network):
    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    same = {c: 2 * (9 * c * c + c) for c in (8, 16, 32)}
    change = {c: 9 * c * 2 * c + 2 * c + 9 * 4 * c * c + 2 * c + c * 2 * c + 2 * c for c in (8, 16)}
    first = 5 * 5 * 3 * 8 + 8
    stages = [first, 0, 0, *[same[8]] * 3, change[8], *[same[16]] * 3, change[16], *[same[32]] * 3, 0]
    assert [count(layer) for layer in network.features] == stages
    assert [count(layer) for layer in network.head] == [1152 * 200 + 200, 0, 200 * 26 + 26]
    assert count(network) == 327_410


def test_there_are_25_weight_layers_and_two_shortcuts(network):
    layers = [m for m in network.modules() if isinstance(m, StackedConv2d | StackedLinear)]
    shortcuts = [m.shortcut for m in network.modules() if isinstance(m, ResidualBlock) and m.first.stride == 2]
    assert len(layers) - len(shortcuts) == 25
    assert len(shortcuts) == 2 and all(shortcut.weight.shape[-1] == 1 for shortcut in shortcuts)


def test_a_block_activates_after_the_addition():
    block = ResidualBlock(2, 2, [torch.Generator().manual_seed(0)]).eval()
    with torch.no_grad():
        block.second.weight.zero_()
        block.second.bias.zero_()
    x = torch.tensor([[-1.0, 2.0]]).view(1, 2, 1, 1)
    torch.testing.assert_close(block(x).flatten(), torch.nn.functional.elu(x).flatten())


def test_activation_after_pooling_equals_activation_before_it(network):
    maps = torch.randn(2, 8, 10, 10)
    _, pool, activation = network.features[:3]
    torch.testing.assert_close(activation(pool(maps)), pool(activation(maps)))


def test_networks_of_a_stack_do_not_affect_each_other():
    seeds = (3, 4, 5)
    stack = ResNet25(5, 32, [torch.Generator().manual_seed(seed) for seed in seeds])
    images = torch.rand(4, 9, 32, 32, generator=torch.Generator().manual_seed(1))
    logits = stack(images)
    for k, seed in enumerate(seeds):
        alone = ResNet25(5, 32, [torch.Generator().manual_seed(seed)])
        torch.testing.assert_close(logits[k], alone(images[:, 3 * k : 3 * k + 3])[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [16, 17, 31, 32, 64, 99])
def test_other_sizes_adapt(size):
    network = ResNet25(4, size, [torch.Generator().manual_seed(0)])
    assert network(torch.rand(2, 3, size, size)).shape == (1, 2, 4)


def test_a_size_that_cannot_be_halved_four_times_is_refused():
    with pytest.raises(ValueError, match="image_size is 15.*16 pixels or more"):
        ResNet25(4, 15, [torch.Generator()])


def test_gradients_flow_channels_last(network):
    images = torch.rand(2, 3, 100, 100).to(memory_format=torch.channels_last)
    network(images).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_head_on_the_embedding_equals_the_network():
    stack = ResNet25(5, 32, [torch.Generator().manual_seed(seed) for seed in (0, 1)]).eval()
    images = torch.rand(4, 6, 32, 32)
    embedding = stack.embed(images)
    assert embedding.shape == (2, 4, 32 * 2 * 2)
    torch.testing.assert_close(stack.head(embedding), stack(images))


def test_a_stack_reduced_to_some_networks_computes_what_they_did():
    stack = ResNet25(5, 32, [torch.Generator().manual_seed(seed) for seed in (0, 1, 2)])
    images = torch.rand(4, 9, 32, 32, generator=torch.Generator().manual_seed(2))
    stack.train()(images)  # with fresh statistics the maps are large, and so are their rounding errors
    whole = stack.eval()(images)
    for tensor in (*stack.parameters(), *stack.buffers()):
        tensor.data = tensor.data[1:]
    torch.testing.assert_close(stack(images[:, 3:]), whole[1:], atol=1e-3, rtol=1e-3)
