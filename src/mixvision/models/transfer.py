"""A pretrained backbone with a head for the study's categories, as one network from images to logits."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from torch import Tensor, nn

from mixvision.models.backbones import Backbone, Preprocessing, PretrainedBackbone, load_backbone
from mixvision.models.heads import plain_head, trained_head
from mixvision.models.timm_network import TimmNetwork


class TransferNetwork(nn.Module):
    """Preprocessing, backbone and head: images ``(B, 3, S, S)``, floats in [0, 1], to logits ``(B, categories)``.

    Its logits are those of the head on :func:`mixvision.models.backbones.embed` of preprocessed images.

    Args:
        preprocessing: resizes and normalises.
        backbone: a timm network without its classifier.
        head: a stack of one, with PyTorch's own dropout.

    Attributes:
        pretrained: names of the entries that come from a file of pretrained weights, and need not be saved again.
    """

    def __init__(self, preprocessing: Preprocessing, backbone: TimmNetwork, head: nn.Module) -> None:
        super().__init__()
        self.preprocessing, self.backbone, self.head = preprocessing, backbone, head
        self.maps = nn.Identity()  # passes on the last feature maps, so that class activation maps can hook into it
        self.pretrained: frozenset[str] = frozenset()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.maps(self.backbone.forward_features(self.preprocessing(images)))
        return self.head(self.backbone.forward_head(maps, pre_logits=True)[None])[0]


def transfer_network(
    backbone: PretrainedBackbone,
    input_size: int,
    head: str,
    categories: int,
    tensors: Mapping[str, Tensor] | None = None,
) -> TransferNetwork:
    """Make a network in evaluation mode; the backbone is copied, so training does not change the original.

    Args:
        backbone: the pretrained network.
        input_size: side in pixels of the squares that images are resized to.
        head: a name in ``mixvision.models.heads.HEADS``.
        categories: number of outputs.
        tensors: weights of a head trained on this backbone's features, without the stack's first dimension, or None
            for a new head, whose first weights are always the same.

    Raises:
        ValueError: the head is unknown, or the size is below 1.
    """
    network = copy.deepcopy(backbone.network)
    network.reset_classifier(0)
    plain = trained_head(head, tensors) if tensors else plain_head(head, network.head_hidden_size, categories)
    plain.to(next(network.parameters()).dtype)
    return TransferNetwork(Preprocessing(input_size, backbone.mean, backbone.std), network, plain).eval()


def build_transfer(
    categories: int,
    image_size: int,
    *,
    backbone: str = "tf_efficientnet_lite0",
    input_size: int | None = None,
    head: str = "linear",
    weights: str | None = None,
    sha256: str = "",
) -> TransferNetwork:
    """Build the network that the tensors of a file are loaded into.

    Args:
        categories: number of outputs.
        image_size: side of the images in pixels.
        backbone: timm's name of it.
        input_size: side in pixels of the squares that the backbone is given, or None for the images' own side.
        head: a name in ``mixvision.models.heads.HEADS``.
        weights: where the backbone's weights come from if the file has none: "package", "download", or a path.
        sha256: the hash that these weights must have.

    Raises:
        FileNotFoundError, OSError: the backbone's weights are missing.
        ValueError: the weights have another hash, or an argument is wrong.
    """
    if weights == "random":
        raise ValueError("weights is 'random', but random weights cannot be loaded again: save the whole network.")
    loaded = load_backbone(Backbone(backbone, weights or "random"))
    if weights and loaded.sha256 != sha256:
        raise ValueError(
            f"The head was trained on features of {backbone} with the SHA-256 {sha256 or '(none given)'}, but the "
            f"weights of {loaded.source} have {loaded.sha256}: set weights to those that it was trained on."
        )
    network = transfer_network(loaded, input_size or image_size, head, categories)
    if weights:
        network.pretrained = frozenset(f"backbone.{name}" for name in network.backbone.state_dict())
    return network
