import math

import pytest
import torch
from torch.nn import functional as F

from mixvision.models.stacked import ELU, MovingNorm, StackedConv2d, StackedLinear, truncated_normal


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (3, 1), (3, 2), (1, 2)])
def test_a_stacked_convolution_is_the_plain_convolution_of_each_network(kernel, stride):
    layer = StackedConv2d(3, 4, kernel, generators(0, 1), stride).eval()
    images = torch.rand(2, 6, 10, 10, generator=torch.Generator().manual_seed(2))
    stacked = layer(images)
    for k in range(2):
        own = images[:, 3 * k : 3 * k + 3] / math.sqrt(1 + MovingNorm.epsilon)
        if stride == 2 and kernel == 3:
            own = F.pad(own, (1, 0, 1, 0))
        plain = F.conv2d(own, layer.weight[k], layer.bias[k], stride, kernel // 2 if stride == 1 else 0)
        torch.testing.assert_close(stacked[:, 4 * k : 4 * k + 4], plain)


@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (3, 1), (3, 2), (1, 2)])
def test_normalising_through_the_weights_equals_normalising_the_maps(kernel, stride):
    """Output and gradients in float32 compared with the written-out form in float64, with means far from zero."""
    layer = StackedConv2d(3, 4, kernel, generators(0, 1), stride)
    layer.normalise.mean.copy_(torch.linspace(-5, 5, 6).view(2, 3))
    layer.normalise.variance.copy_(torch.linspace(0.01, 4, 6).view(2, 3))
    images = torch.rand(2, 6, 10, 10, generator=torch.Generator().manual_seed(2)) - 5
    images = images.to(memory_format=torch.channels_last).requires_grad_()
    layer.normalise.momentum = 0.25
    stacked = layer(images)
    target = torch.rand(stacked.shape, generator=torch.Generator().manual_seed(3))
    gradients = torch.autograd.grad((stacked * target).sum(), (images, layer.weight, layer.bias))

    precise, weight, bias = (t.detach().double().requires_grad_() for t in (images, layer.weight, layer.bias))
    mean, variance = (t.double().view(1, -1, 1, 1) for t in (layer.normalise.mean, layer.normalise.variance))
    normalised = (precise - mean) / (variance + MovingNorm.epsilon).sqrt()
    if stride == 2 and kernel == 3:
        normalised = F.pad(normalised, (1, 0, 1, 0))
    padding = kernel // 2 if stride == 1 else 0
    plain = F.conv2d(normalised, weight.flatten(0, 1), bias.flatten(), stride, padding, groups=2)
    expected = torch.autograd.grad((plain * target).sum(), (precise, weight, bias))
    torch.testing.assert_close(stacked.double(), plain, rtol=1e-5, atol=1e-4)
    for gradient, plain_gradient in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient.double(), plain_gradient, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(("size", "halved"), [(50, 25), (25, 12), (16, 8), (7, 3)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_stride_2_halves_and_rounds_down(size, halved, kernel):
    layer = StackedConv2d(2, 2, kernel, generators(0), stride=2)
    assert layer(torch.rand(1, 2, size, size)).shape == (1, 2, halved, halved)


def test_a_stacked_linear_layer_is_the_plain_layer_of_each_network():
    layer = StackedLinear(5, 3, generators(0, 1)).eval()
    features = torch.rand(2, 4, 5)
    for k in range(2):
        plain = features[k] / math.sqrt(1 + MovingNorm.epsilon) @ layer.weight[k] + layer.bias[k]
        torch.testing.assert_close(layer(features)[k], plain)


def test_norm_follows_the_batch_at_its_rate():
    norm = MovingNorm(1, 1)
    x = torch.tensor([1.0, 3.0]).view(2, 1, 1, 1)  # mean 2, variance 1
    norm.momentum = 1.0
    torch.testing.assert_close(norm(x).flatten(), torch.tensor([-1.0, 1.0]), atol=1e-4, rtol=0)
    norm.momentum = 0.25
    norm(x + 4)  # batch mean 6, so the moving mean becomes 2 + 0.25 * 4
    assert norm.mean.item() == pytest.approx(3.0)
    assert norm.variance.item() == pytest.approx(1.0, abs=1e-5)


def test_norm_computes_the_variance_of_channels_far_from_zero():
    norm = MovingNorm(1, 2)
    x = torch.randn(8, 2, 40, 40, generator=torch.Generator().manual_seed(0)) * 0.2 + torch.tensor([5, -3]).view(
        2, 1, 1
    )
    norm(x)
    torch.testing.assert_close(norm.mean[0], x.double().mean((0, 2, 3)).float(), rtol=1e-5, atol=0)
    torch.testing.assert_close(norm.variance[0], x.double().var((0, 2, 3), correction=0).float(), rtol=1e-3, atol=0)


def test_norm_uses_the_same_statistics_in_testing():
    norm = MovingNorm(1, 1)
    norm.momentum = 0.5
    x = torch.rand(4, 1, 3, 3)
    trained = norm(x)
    torch.testing.assert_close(norm.eval()(x), trained)


def test_norm_in_its_printed_form_divides_by_the_variance():
    x = torch.tensor([0.0, 4.0]).view(1, 2, 1)  # mean 2, variance 4
    printed, ours = MovingNorm(1, 1, power=1.0), MovingNorm(1, 1)
    torch.testing.assert_close(printed(x).flatten(), torch.tensor([-0.5, 0.5]), atol=1e-4, rtol=0)
    torch.testing.assert_close(ours(x).flatten(), torch.tensor([-1.0, 1.0]), atol=1e-4, rtol=0)


def test_no_gradient_flows_through_the_statistics():
    norm = MovingNorm(1, 1)
    x = torch.tensor([1.0, 3.0]).view(1, 2, 1).requires_grad_()
    norm(x).sum().backward()
    torch.testing.assert_close(x.grad.flatten(), torch.ones(2), atol=1e-4, rtol=0)  # 1 / sd, not 0


def test_elu_and_its_gradient_equal_the_library():
    x = torch.linspace(-6, 6, 101, dtype=torch.float64).requires_grad_()
    ours, library = ELU()(x), F.elu(x)
    torch.testing.assert_close(ours, library)
    weights = torch.arange(101, dtype=torch.float64)
    (own_gradient,) = torch.autograd.grad(ours @ weights, x)
    (library_gradient,) = torch.autograd.grad(library @ weights, x)
    torch.testing.assert_close(own_gradient, library_gradient)


def test_gradients_of_the_elu_keep_the_layout_of_the_maps():
    x = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(ELU()(x), x, torch.ones(2, 3, 4, 4))  # another layout would slow the convolutions
    assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_first_weights_are_a_truncated_normal_and_biases_a_tenth():
    weights = truncated_normal((200, 200), 0.5, generators(3))
    assert weights.abs().max() <= 1.0
    assert weights.mean().item() == pytest.approx(0, abs=0.01)
    assert weights.std().item() == pytest.approx(0.5 * 0.8796, rel=0.01)  # a normal cut at two sd keeps 0.88 of its sd
    convolution, dense = StackedConv2d(16, 32, 3, generators(0)), StackedLinear(400, 100, generators(0))
    assert convolution.weight.abs().max().item() == pytest.approx(2 / math.sqrt(16), rel=0.01)
    assert dense.weight.abs().max().item() == pytest.approx(2 / math.sqrt(400), rel=0.01)
    assert (convolution.bias == 0.1).all() and (dense.bias == 0.1).all()


def test_equal_seeds_give_equal_first_weights_in_any_stack():
    alone, stacked = StackedConv2d(3, 8, 5, generators(7)), StackedConv2d(3, 8, 5, generators(1, 7))
    assert torch.equal(alone.weight[0], stacked.weight[1])
    assert not torch.equal(stacked.weight[0], stacked.weight[1])
