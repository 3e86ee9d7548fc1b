"""Class activation maps: compared with Grad-CAM by hand, on an object in one corner, and refused without maps."""

from __future__ import annotations

import re
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchvision.transforms.functional import pil_to_tensor

from mixvision.models.attention import NoMapsError, class_activations, where_it_looks
from mixvision.models.backbones import Backbone, Preprocessing, PretrainedBackbone, load_backbone
from mixvision.models.baselines import build_baseline
from mixvision.models.trained import TrainedNetwork
from mixvision.models.transfer import TransferNetwork, transfer_network

CLASSES = torch.tensor([2, 0, 4])


@pytest.fixture(scope="module")
def lite0() -> PretrainedBackbone:
    return load_backbone(Backbone())


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, 48, 48, generator=torch.Generator().manual_seed(0))


def by_hand(network: TransferNetwork, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Equations 1 and 2 of the paper, image by image, resized to the image and divided by the maximum."""
    backbone, shown = network.backbone, []
    for image, number in zip(images, classes, strict=True):
        maps = backbone.forward_features(network.preprocessing(image[None])).detach().requires_grad_()
        logits = network.head(backbone.forward_head(maps, pre_logits=True)[None])[0, 0]
        (gradients,) = torch.autograd.grad(logits[number], maps)
        importance = gradients[0].mean((1, 2))
        activation = (importance[:, None, None] * maps[0]).sum(0).clamp(min=0).detach()
        large = F.interpolate(activation[None, None], image.shape[-2:], mode="bilinear")[0, 0]
        shown.append(large / large.max() if large.max() > 0 else large)
    return torch.stack(shown)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("tf_efficientnet_lite0", "linear"),
        ("tf_efficientnet_lite0", "dense"),
        ("densenet121", "linear"),
        ("mobilenetv3_small_050", "linear"),  # has more features than channels in its last maps
    ],
)
def test_maps_are_those_of_the_paper(name, head, images, lite0):
    backbone = lite0 if name == "tf_efficientnet_lite0" else load_backbone(Backbone(name, "random"))
    network = transfer_network(backbone, 96, head, 5)
    found = class_activations(network, images, CLASSES)
    assert found.shape == (3, 48, 48) and not found.requires_grad
    assert found.min() >= 0 and found.max() <= 1
    torch.testing.assert_close(found, by_hand(network, images, CLASSES), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(found, class_activations(network, images, (CLASSES + 1) % 5), atol=0.01)


def test_it_leaves_the_network_as_it_was(lite0, images):
    network = transfer_network(lite0, 64, "linear", 5)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    class_activations(network, images, CLASSES)
    assert not network.training and all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


class Brightness(nn.Module):
    """A transparent backbone: its two maps are red and blue in fields of 8 pixels, its features their means."""

    num_features = 2

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(images[:, ::2], 8)

    def forward_head(self, maps: torch.Tensor, pre_logits: bool) -> torch.Tensor:
        return maps.mean((2, 3))


def test_evidence_against_a_class_is_dark():
    """Red is evidence for the first category and against the second; an image without red has no evidence at all."""
    head = transfer_network(load_backbone(Backbone("test_resnet", "random")), 32, "linear", 2).head[1]
    head.weight.data, head.bias.data = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]]), torch.zeros(1, 2)
    network = TransferNetwork(Preprocessing(32, (0.0,) * 3, (1.0,) * 3), Brightness(), nn.Sequential(head)).eval()
    red = torch.zeros(3, 3, 32, 32)
    red[:2, 0, :8, 24:] = 0.5
    found = class_activations(network, red.requires_grad_(), torch.tensor([0, 1, 0]))
    assert found[0].max() == 1 and (found[0, 16:] == 0).all() and (found[0, :, :16] == 0).all()
    assert (found[0] == 1).nonzero().tolist() == [
        [row, column] for row in range(32) for column in range(32) if row < 4 and column >= 28
    ]
    assert (found[1:] == 0).all()


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_the_goldfish_is_where_it_was_put(shared_data, lite0, corner):
    with tarfile.open(shared_data("imagenet-samples.tar")) as archive:
        photo = Image.open(archive.extractfile("001_n01443537_goldfish.jpg")).convert("RGB").resize((96, 96))
    image = torch.full((1, 3, 224, 224), 0.5)
    top, left = (128 * place for place in corner)
    image[0, :, top : top + 96, left : left + 96] = pil_to_tensor(photo) / 255
    classifier = lite0.network.get_classifier()
    tensors = {"0.mean": torch.zeros(1280), "0.std": torch.ones(1280)}
    tensors |= {f"1.{name}": tensor for name, tensor in classifier.state_dict().items()}
    network = transfer_network(lite0, 224, "linear", 1000, tensors)
    with torch.no_grad():
        assert network(image).argmax() == 1
    found = class_activations(network, image, torch.tensor([1]))[0]
    rows, columns = (found.sum(axis) / found.sum() @ torch.arange(224.0) for axis in (1, 0))
    assert top <= rows < top + 96 and left <= columns < left + 96


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_transformers_have_no_maps(name):
    network = transfer_network(load_backbone(Backbone(name, "random")), 224, "linear", 3)
    with torch.no_grad():
        shape = tuple(network.backbone.forward_features(torch.zeros(1, 3, 224, 224)).shape)
    sentence = f"features have the shape {shape}, but maps (B, F, H, W) are needed"
    with pytest.raises(NoMapsError, match=re.escape(sentence)):
        class_activations(network, torch.rand(2, 3, 40, 40), torch.tensor([0, 1]))


def test_a_trained_network_takes_pixels_and_categories(small_pixels):
    network = transfer_network(load_backbone(Backbone("test_resnet", "random")), 16, "linear", 3)
    arguments = {"backbone": "test_resnet", "input_size": 16, "head": "linear"}
    model = TrainedNetwork("transfer", ("one", "two", "zero"), 16, network.state_dict(), arguments)
    pixels = small_pixels["nice"][[3, 90]]
    found = where_it_looks(model, pixels, ["two", "one"])
    floats = torch.from_numpy(pixels.transpose(0, 3, 1, 2) / 255).float()
    np.testing.assert_allclose(found, class_activations(network, floats, torch.tensor([1, 0])), atol=1e-5)
    with pytest.raises(ValueError, match="category 'three' is not one of the 3 categories that the network knows"):
        where_it_looks(model, pixels, ["two", "three"])


def test_a_network_of_another_architecture_is_refused(small_pixels):
    model = TrainedNetwork("linear", ("one", "two"), 16, build_baseline("linear", 2, 16, seed=0).state_dict())
    with pytest.raises(ValueError, match="architecture is 'linear', but class activation maps need 'transfer'"):
        where_it_looks(model, small_pixels["nice"][:1], ["one"])
