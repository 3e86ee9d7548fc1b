import pytest
import torch
from torch import nn

from mixvision.models.baselines import CNN, BasicCNN
from mixvision.models.resnet25 import ResNet25
from mixvision.models.summary import layer_table
from mixvision.models.trained import ARCHITECTURES


def test_the_table_of_the_cnn_by_hand():
    table = layer_table(CNN(3, 300), 300)
    rows = list(table.itertuples(index=False, name=None))
    assert list(table.columns) == ["layer", "type", "output", "parameters", "megabytes"]
    assert rows[:4] == [
        ("0", "Normalise", "3 x 300 x 300", 0, pytest.approx(1.08)),
        ("1", "Conv2d", "6 x 296 x 296", 456, pytest.approx(2.102784)),  # 6 * 296 * 296 * 4 bytes
        ("2", "ReLU", "6 x 296 x 296", 0, pytest.approx(2.102784)),
        ("3", "MaxPool2d", "6 x 148 x 148", 0, pytest.approx(0.525696)),
    ]
    assert rows[9] == ("9", "Linear", "120", 82_944 * 120 + 120, pytest.approx(0.00048))
    assert rows[-1] == ("14", "Linear", "3", 84 * 3 + 3, pytest.approx(0.000012))
    assert len(rows) == 15


def test_the_table_of_a_stack_of_one():
    table = layer_table(ResNet25(26, 100, [torch.Generator()]), 100)
    assert table["parameters"].sum() == 327_410
    rows = table.set_index("layer")
    assert rows.loc["features.0", ["type", "output"]].tolist() == ["StackedConv2d", "8 x 100 x 100"]
    assert rows.loc["features.7.first", "output"] == "16 x 25 x 25"
    assert rows.loc["head.0", ["output", "parameters"]].tolist() == ["200", 1152 * 200 + 200]
    assert rows.loc["head.2", "output"] == "26"
    assert "MovingNorm" not in set(table["type"])  # a part of its layer


def test_layers_are_listed_in_the_order_in_which_they_run():
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.Linear(7, 2), nn.Sequential(nn.Flatten(), nn.Linear(12, 7))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(images))

    table = layer_table(Backwards(), 2)
    assert table["layer"].tolist() == ["first.0", "first.1", "last"]
    assert table["output"].tolist() == ["12", "7", "2"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_add_up_to_those_of_the_network(architecture):
    network = ARCHITECTURES[architecture](4, 32)
    assert layer_table(network, 32)["parameters"].sum() == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_network_stays_as_it_was(architecture):
    network = ARCHITECTURES[architecture](4, 32).train()
    frozen = next(module for module in network.modules() if next(module.children(), None) is None).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    layer_table(network, 32)
    assert [module for module in network.modules() if not module.training] == [frozen]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_that_cannot_run_is_left_as_it_was():
    network = BasicCNN(4, 32)
    with pytest.raises(RuntimeError):
        layer_table(network, 64)
    assert all(module.training and not module._forward_hooks for module in network.modules())
