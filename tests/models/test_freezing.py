"""Which blocks of a network are trained, what frozen blocks keep, and learning rates that fall block by block."""

import copy
from itertools import chain

import pytest
import torch
from torch import nn

from mixvision.models.backbones import Backbone, Preprocessing, load_backbone
from mixvision.models.freezing import blocks, freeze, head_parameters, layer_decay_groups, trainable_parameters

LITE0 = "tf_efficientnet_lite0"


def random_network(name: str) -> nn.Module:
    return load_backbone(Backbone(name, "random")).network


def trained(network: nn.Module) -> set[str]:
    """The first two parts of the names of trained parameters: "layer4.1"."""
    return {".".join(name.split(".")[:2]) for name, p in network.named_parameters() if p.requires_grad}


def test_the_blocks_of_a_residual_network_are_its_residual_blocks():
    network = random_network("resnet18")
    found = blocks(network)
    firsts = [next(name for name in block if "conv1" in name) for block in found]
    assert firsts == ["conv1.weight"] + [f"layer{n}.{k}.conv1.weight" for n in (1, 2, 3, 4) for k in (0, 1)]
    assert sorted(chain(*found)) == sorted(n for n, _ in network.named_parameters() if not n.startswith("fc."))


@pytest.mark.parametrize("name", ["pit_ti_distilled_224", "densenet121", "mobilevit_xxs"])
def test_blocks_and_head_hold_every_parameter_once(name):
    """The first of these networks has two heads, and no grouping of its own."""
    network = random_network(name)
    names = list(chain(*blocks(network)))
    freeze(network, "head")
    head = [name for name, p in network.named_parameters() if p.requires_grad]
    assert head and set(head) == head_parameters(network)
    assert len(names) == len(set(names))
    assert set(names).isdisjoint(head)
    assert {*names, *head} == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize(
    ("name", "trainable_blocks", "expected"),
    [
        ("resnet18", "head", {"fc.weight", "fc.bias"}),
        ("resnet18", 1, {"layer4.1", "fc.weight", "fc.bias"}),
        ("resnet18", 3, {"layer3.1", "layer4.0", "layer4.1", "fc.weight", "fc.bias"}),
        (LITE0, 1, {"blocks.6", "conv_head.weight", "bn2.weight", "bn2.bias", "classifier.weight", "classifier.bias"}),
        ("vgg11", 2, {"features.18", "pre_logits.fc1", "pre_logits.fc2", "head.fc"}),
    ],
)
def test_the_last_blocks_are_trained_with_the_head(name, trainable_blocks, expected):
    network = random_network(name)
    freeze(network, trainable_blocks)
    assert trained(network) == expected


def test_all_blocks_can_be_trained_and_frozen_again():
    network = random_network("resnet18")
    everything = [parameter for parameter in network.parameters()]
    freeze(network, "head")
    assert sum(p.numel() for p in trainable_parameters(network)) == 512 * 1000 + 1000
    freeze(network, "all")
    assert list(map(id, trainable_parameters(network))) == list(map(id, everything))
    freeze(network, len(blocks(network)))
    assert len(trainable_parameters(network)) == len(everything)
    freeze(network, "head")
    assert len(trainable_parameters(network)) == 2


@pytest.mark.parametrize("trainable_blocks", [0, -1, 10, True, 1.0, "last"])
def test_other_numbers_of_blocks_are_refused(trainable_blocks):
    with pytest.raises(
        ValueError, match=rf"trainable_blocks is {trainable_blocks!r}, but must be .* from 1 to 9, as many as this"
    ):
        freeze(random_network("resnet18"), trainable_blocks)


def statistics(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.named_buffers() if "running" in name}


def changed(before: dict[str, torch.Tensor], network: nn.Module) -> set[str]:
    now = dict(network.named_buffers())
    return {".".join(name.split(".")[:2]) for name, value in before.items() if not torch.equal(value, now[name])}


def test_frozen_batch_norm_keeps_its_statistics():
    network = random_network("resnet18")
    whole = nn.Sequential(Preprocessing(32, (0.5,) * 3, (0.5,) * 3), network)  # train() is called on the outer module
    images, before = torch.rand(4, 3, 32, 32), statistics(network)
    freeze(network, 1)
    for _ in range(2):
        whole.eval()
        whole.train()(images)
    assert changed(before, network) == {"layer4.1"}
    freeze(network, "all")
    network.train()(images)
    assert changed(before, network) == {".".join(name.split(".")[:2]) for name in before}


def test_all_batch_norm_can_keep_its_statistics():
    network = random_network("resnet18")
    images, before = torch.rand(4, 3, 32, 32), statistics(network)
    expected = network(images)
    freeze(network, "all", batch_statistics=False)
    assert torch.equal(network.train()(images), expected)
    assert not changed(before, network)
    assert len(trainable_parameters(network)) == len(list(network.parameters()))
    freeze(network, 1)
    network.train()(images)
    assert changed(before, network) == {"layer4.1"}


@torch.no_grad()
def test_below_a_trained_head_the_network_is_as_in_evaluation():
    network = random_network("resnet18")
    images = torch.rand(4, 3, 32, 32)
    expected = network(images)
    assert not torch.allclose(network.train()(images), expected)
    network = random_network("resnet18").train()
    freeze(network, "head")  # of a network in training mode already
    assert network.training
    assert torch.equal(network(images), expected)


def test_a_copy_stays_frozen_independently():
    network = random_network("resnet18")
    freeze(network, "head")
    twin = copy.deepcopy(network)  # as for moving averages of weights
    freeze(network, "all")
    before = statistics(twin)
    twin.train()(torch.rand(4, 3, 32, 32))
    assert not changed(before, twin)
    assert len(trainable_parameters(twin)) == 2
    assert not network.training


def test_a_training_step_changes_only_what_is_not_frozen():
    network = random_network(LITE0)
    freeze(network, 1)
    network.train()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = torch.optim.SGD(trainable_parameters(network), lr=0.1)
    nn.functional.cross_entropy(network(torch.rand(4, 3, 64, 64)), torch.tensor([0, 1, 2, 3])).backward()
    optimizer.step()
    moved = {
        ".".join(name.split(".")[:2]) for name, p in network.named_parameters() if not torch.equal(before[name], p)
    }
    assert (
        moved
        == trained(network)
        == {
            *("blocks.6", "conv_head.weight", "bn2.weight", "bn2.bias", "classifier.weight", "classifier.bias"),
        }
    )


# Learning rates that fall from the head to the input


def test_learning_rates_fall_block_by_block():
    network = random_network("resnet18")
    groups = layer_decay_groups(network, 0.01, layer_decay=0.5, weight_decay=0.1)
    rates = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(rates) == len(list(network.parameters()))
    assert rates[id(network.fc.weight)] == (0.01, 0.1)
    assert rates[id(network.fc.bias)] == (0.01, 0.0)
    assert rates[id(network.layer4[1].conv1.weight)] == (0.005, 0.1)
    assert rates[id(network.layer4[0].bn1.weight)] == (0.0025, 0.0)
    assert rates[id(network.conv1.weight)] == pytest.approx((0.01 * 0.5**9, 0.1))
    optimizer = torch.optim.SGD(groups, lr=1.0)
    assert {group["lr"] for group in optimizer.param_groups} == {rate for rate, _ in rates.values()}


def test_frozen_parameters_get_no_learning_rate():
    network = random_network("resnet18")
    freeze(network, 1)
    groups = layer_decay_groups(network, 0.01)
    given = {id(p) for group in groups for p in group["params"]}
    assert given == {id(p) for p in trainable_parameters(network)}


@pytest.mark.parametrize("layer_decay", [0, 1.5])
def test_a_layer_decay_out_of_range_is_refused(layer_decay):
    with pytest.raises(ValueError, match=f"layer_decay is {layer_decay}, but must be above 0 and at most 1"):
        layer_decay_groups(random_network("resnet10t"), 0.01, layer_decay)
