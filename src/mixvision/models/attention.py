"""Where a network looks: class activation maps of a transferred network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from captum.attr import LayerGradCam
from torch import Tensor
from torch.nn import functional as F

from mixvision.models.trained import TrainedNetwork
from mixvision.models.transfer import TransferNetwork


class NoMapsError(ValueError):
    """A network's features are not maps (a transformer's are not), so there are no places to point at."""


def where_it_looks(model: TrainedNetwork, pixels: np.ndarray, categories: Sequence[str]) -> np.ndarray:
    """What in each image speaks for a category, to a trained network of the architecture "transfer".

    Args:
        model: a network from disk; it is built anew.
        pixels: uint8 ``(N, S, S, 3)``.
        categories: one an image, of those the network knows.

    Returns:
        float32 ``(N, S, S)`` in [0, 1], as of :func:`class_activations`.

    Raises:
        NoMapsError: the network's features are not maps.
        ValueError: the network is of another architecture, or knows no such category.
    """
    network = model.build()
    if not isinstance(network, TransferNetwork):
        raise ValueError(f"architecture is {model.architecture!r}, but the maps of 'transfer' alone are known.")
    images = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 255
    classes = torch.tensor([model.categories.index(category) for category in categories])
    return class_activations(network, images, classes).numpy()


def class_activations(network: TransferNetwork, images: Tensor, classes: Tensor) -> Tensor:
    """Grad-CAM (Selvaraju et al., 2017, section 3) on the last feature maps: what speaks for a class, and where.

    Args:
        network: in evaluation mode.
        images: floats ``(B, 3, S, S)`` in [0, 1].
        classes: int64 ``(B,)``, the output explained of each image.

    Returns:
        ``(B, S, S)`` in [0, 1]: 0 where nothing speaks for the class, 1 where most does in this image.

    Raises:
        NoMapsError: the network's features are not maps.
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
