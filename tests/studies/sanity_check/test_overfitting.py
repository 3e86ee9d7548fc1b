import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mixvision.models.baselines import build_baseline
from mixvision.models.stacked import MovingNorm
from mixvision.models.trained import ARCHITECTURES
from mixvision.studies.sanity_check.overfitting import Overfitting, choose_images, overfit
from mixvision.training.config import Arithmetic

pytestmark = pytest.mark.slow

CPU = Arithmetic("cpu")


@pytest.fixture(scope="module")
def images(small_pixels) -> Tensor:
    """4 noughts and 4 ones, 32x32."""
    pixels = np.concatenate([small_pixels["real"][:4], small_pixels["real"][40:44]])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().repeat_interleave(2, 2).repeat_interleave(2, 3) / 255


@pytest.fixture(scope="module")
def labels() -> Tensor:
    return torch.tensor([0, 1]).repeat_interleave(4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_overfits(architecture, images, labels):
    network = ARCHITECTURES[architecture](2, 32)
    result = overfit(network, images, labels, Overfitting(), CPU)
    assert result["accuracy"] == 1
    assert result["steps"] % 10 == 0 and result["steps"] < 300
    assert not any(module.training for module in network.modules())
    with torch.no_grad():
        logits = network(images).reshape(8, 2)
    assert (logits.argmax(1) == labels).all()
    chosen = logits.double().log_softmax(1)[torch.arange(8), labels]
    assert result["cross_entropy"] == pytest.approx(-chosen.mean().item(), rel=1e-4, abs=1e-6)


def test_labels_without_any_rule_are_overfitted_too(images, labels):
    shuffled = labels[torch.randperm(8, generator=torch.Generator().manual_seed(0))]
    result = overfit(build_baseline("cnn", 2, 32, seed=0), images, shuffled, Overfitting(), CPU)
    assert result["accuracy"] == 1


def test_images_that_do_not_differ_cannot_be_overfitted(images, labels):
    network = build_baseline("cnn", 2, 32, seed=0)
    result = overfit(network, images[:1].expand(8, -1, -1, -1), labels, Overfitting(steps=25), CPU)
    assert result["accuracy"] == 0.5
    assert result["steps"] == 25  # evaluated at the end though 25 is no multiple of 10
    assert result["cross_entropy"] == pytest.approx(math.log(2), abs=0.1)  # no better than guessing


def test_a_network_whose_first_layer_outputs_zeros_cannot_overfit(images, labels):
    network = build_baseline("mlp", 2, 32, seed=0)
    for parameter in network[2].parameters():
        parameter.requires_grad_(False).zero_()
    assert overfit(network, images, labels, Overfitting(steps=30), CPU)["accuracy"] == 0.5


def test_training_stops_when_the_loss_is_not_a_number(images):
    network = build_baseline("linear", 2, 32, seed=0)
    with torch.no_grad():
        network[-1].weight[:] = math.nan
    labels = torch.zeros(8, dtype=torch.long)  # the first category, which the largest of NaNs is taken for
    result = overfit(network, images, labels, Overfitting(), CPU)
    assert result["steps"] == 10 and result["accuracy"] == 0 and math.isnan(result["cross_entropy"])


def test_dropout_is_off(images, labels):
    overfitting = Overfitting(steps=10)
    with_dropout, without = (build_baseline("cnn", 2, 32, seed=0, dropout=dropout) for dropout in (True, False))
    expected = overfit(without, images, labels, overfitting, CPU)
    assert overfit(with_dropout, images, labels, overfitting, CPU) == pytest.approx(expected, rel=1e-3)


def test_normalisation_follows_the_images_however_it_was_left(images, labels):
    fresh, left = (ARCHITECTURES["resnet25"](2, 32) for _ in range(2))
    for module in left.modules():
        if isinstance(module, MovingNorm):
            module.momentum = 0.0
    overfitting = Overfitting(steps=10)
    expected = overfit(fresh, images, labels, overfitting, CPU)
    assert overfit(left, images, labels, overfitting, CPU) == pytest.approx(expected, rel=1e-3)


def test_one_step_is_the_step_of_plain_adam(images, labels):
    network, plain = (build_baseline("linear", 2, 32, seed=0) for _ in range(2))
    overfit(network, images, labels, Overfitting(steps=1, learning_rate=0.01), CPU)
    optimizer = torch.optim.Adam(plain.parameters(), lr=0.01)
    nn.CrossEntropyLoss()(plain(images), labels).backward()
    optimizer.step()
    for own, expected in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own, expected)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("images", 1, "images is 1; give a whole number of 2 or more"),
        ("steps", 0, "steps is 0; give a whole number of 1 or more"),
        ("steps", 10.0, "steps is 10.0; give a whole number"),
        ("seed", -1, "seed is -1; give a whole number of 0 or more"),
        ("seed", True, "seed is True; give a whole number"),
        ("learning_rate", 0, "learning_rate is 0; give a number above 0"),
        ("learning_rate", math.nan, "learning_rate is nan; give a number above 0"),
        ("learning_rate", "1e-3", "learning_rate is '1e-3'; give a number above 0"),
    ],
)
def test_invalid_parameters_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        Overfitting(**{name: value})


def test_images_are_chosen_from_two_categories_of_the_training_set(small_manifest):
    chosen = choose_images(small_manifest, Overfitting(images=7))
    assert sorted(chosen["category"].value_counts()) == [3, 4] and set(chosen["split"]) == {"train"}
    again = choose_images(small_manifest.sample(frac=1, random_state=1), Overfitting(images=7))
    assert set(again["id"]) == set(chosen["id"])  # whatever the order of the rows
    assert set(choose_images(small_manifest, Overfitting(images=7, seed=1))["id"]) != set(chosen["id"])


def test_too_few_images_or_categories_are_refused(small_manifest):
    with pytest.raises(ValueError, match=r"overfitting.images is 100.*only 40 training images of the 50"):
        choose_images(small_manifest, Overfitting(images=100))
    with pytest.raises(ValueError, match="only one"):
        choose_images(small_manifest[small_manifest["category"] == "0"], Overfitting())


def test_the_requested_precision_is_used(images, labels):
    network = build_baseline("linear", 2, 32, seed=0)
    overfit(network, images, labels, Overfitting(steps=1), Arithmetic("cpu", "64-true"))
    assert {weights.dtype for weights in network.parameters()} == {torch.float64}
