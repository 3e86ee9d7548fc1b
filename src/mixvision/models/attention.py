"""Class activation maps: which parts of an image a transferred network's prediction is based on."""

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
    """The network's features are not maps, as in a transformer, so they cannot be located in the image."""


def where_it_looks(model: TrainedNetwork, pixels: np.ndarray, categories: Sequence[str]) -> np.ndarray:
    """Compute class activation maps of images for a trained network of the architecture "transfer".

    Args:
        model: a network from disk; it is built for this call.
        pixels: uint8 ``(N, S, S, 3)``.
        categories: the category to explain for each image, N of those that the network knows.

    Returns:
        float32 ``(N, S, S)`` in [0, 1], as of :func:`class_activations`.

    Raises:
        NoMapsError: the network's features are not maps.
        ValueError: the network has another architecture, or does not know a category.
    """
    if unknown := sorted(set(categories) - set(model.categories)):
        raise ValueError(
            f"category {unknown[0]!r} is not one of the {len(model.categories)} categories that the network knows."
        )
    network = model.build()
    if not isinstance(network, TransferNetwork):
        raise ValueError(f"architecture is {model.architecture!r}, but class activation maps need 'transfer'.")
    images = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 255
    classes = torch.tensor([model.categories.index(category) for category in categories])
    return class_activations(network, images, classes).numpy()


def class_activations(network: TransferNetwork, images: Tensor, classes: Tensor) -> Tensor:
    """Compute Grad-CAM (Selvaraju et al., 2017, section 3) on the last feature maps.

    Args:
        network: in evaluation mode.
        images: floats ``(B, 3, S, S)`` in [0, 1].
        classes: int64 ``(B,)``, the output to explain for each image.

    Returns:
        ``(B, S, S)`` in [0, 1]: 0 where there is no evidence for the class, 1 where the image has most.

    Raises:
        NoMapsError: the network's features are not maps.
    """
    with torch.no_grad():
        shape = network.backbone.forward_features(network.preprocessing(images[:1])).shape
    if len(shape) != 4 or shape[1] != network.backbone.num_features:  # some transformers have the channels last
        raise NoMapsError(
            f"The network's last features have the shape {tuple(shape)}, but maps (B, F, H, W) are needed."
        )
    maps = LayerGradCam(network, network.maps).attribute(images, target=classes, relu_attributions=True).detach()
    maps = F.interpolate(maps, images.shape[-2:], mode="bilinear")[:, 0]
    highest = maps.amax((1, 2), keepdim=True)
    return maps / highest.where(highest > 0, 1)
