"""Where a network looks: class activation maps of a transferred network."""

from __future__ import annotations

import torch
from captum.attr import LayerGradCam
from torch import Tensor
from torch.nn import functional as F

from mixvision.models.transfer import TransferNetwork


class NoMapsError(ValueError):
    """A network's features are no maps, as those of transformers, so it has no places to point at."""


def class_activations(network: TransferNetwork, images: Tensor, classes: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al., 2017, section 3) on the last feature maps: what speaks for a class, and where.

    Args:
        network: in evaluation mode.
        images: floats ``(B, 3, S, S)`` in [0, 1].
        classes: int64 ``(B,)``, the output explained of each image.

    Returns:
        ``(B, S, S)`` in [0, 1]: 0 where nothing speaks for the class, 1 where most does in this image.

    Raises:
        NoMapsError: the network's features are no maps.
    """
    with torch.no_grad():
        shape = network.backbone.forward_features(network.preprocessing(images[:1])).shape
    if len(shape) != 4 or shape[1] != network.backbone.num_features:  # some transformers have the features last
        raise NoMapsError(
            f"The network's last features have the shape {tuple(shape)}, but maps (B, F, H, W) are needed."
        )
    maps = LayerGradCam(network, network.maps).attribute(images, target=classes, relu_attributions=True).detach()
    maps = F.interpolate(maps, images.shape[-2:], mode="bilinear")[:, 0]
    highest = maps.amax((1, 2), keepdim=True)
    return maps / highest.where(highest > 0, 1)
