"""A frozen pretrained network: its features of a pool of images, and its predictions with its original classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from mixvision.models.backbones import Backbone, PretrainedBackbone
from mixvision.models.freezing import head_parameters
from mixvision.models.imagenet import CLASSES, class_names, imagenet_classes
from mixvision.training.config import Arithmetic
from mixvision.training.frozen.features import backbone_features
from mixvision.training.pool import ImagePool
from mixvision.vocabulary import CENTRE, WHOLE


@dataclass(frozen=True)
class FrozenBackbone:
    """A pretrained network, its input size, and its features of a pool of images.

    Attributes:
        backbone, loaded: which network, and the network with its weights.
        input_size: side in pixels of the images that the network is given.
        pool: the images.
        folder: folder of the feature cache.
        arithmetic: device and precision.
    """

    backbone: Backbone
    loaded: PretrainedBackbone
    input_size: int
    pool: ImagePool
    folder: Path
    arithmetic: Arithmetic

    def features(self, view: str = WHOLE) -> Tensor:
        """Features of all images, float32 ``(N, F)`` on the CPU, from the cache if they are in it."""
        return backbone_features(self.loaded, self.input_size, self.pool, self.folder, self.arithmetic, view)

    def held_out_features(self, view: str = WHOLE) -> Tensor:
        """Features of the held-out images, ``(n, F)`` on the CPU, in the order of the pool's ``all_held_out``.

        Views other than the whole image are computed for held-out images only.
        """
        positions = self.pool.all_held_out
        if view == WHOLE:
            return self.features()[positions]
        held_out = replace(
            self.pool,
            ids=self.pool.ids[positions.numpy()],
            pixels=self.pool.pixels[positions],
            labels=self.pool.labels[positions],
            is_real=self.pool.is_real[positions],
            held_out={},
        )
        return replace(self, pool=held_out).features(view)


@torch.no_grad()
def as_is_probabilities(frozen: FrozenBackbone) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predict the held-out images with the network's original ImageNet classifier.

    Images are cropped to the central 7/8, as is usual when such networks are evaluated on ImageNet.

    Returns:
        Two frames as of :func:`probability_frame`: probabilities of all 1000 classes, in which a class that is one of
        the study's categories has the category's name; and those of these categories alone, scaled to a sum of 1.

    Raises:
        ValueError: none of the categories is an ImageNet class, or the network does not have one classifier of the
            1000 ImageNet classes.
    """
    classes = imagenet_classes(frozen.pool.categories)
    if not classes or count_classes(frozen.loaded) != CLASSES:
        raise ValueError(
            f"{frozen.backbone.name} cannot classify these images without training: none of the categories "
            f"({', '.join(frozen.pool.categories[:3])}, ...) is an ImageNet class, or the network has other classes "
            "or two classifiers."
        )
    names = list(class_names())
    for category, number in classes.items():
        names[number] = category
    classifier = frozen.loaded.network.get_classifier()
    assert isinstance(classifier, nn.Module)  # count_classes is 0 for a pair of classifiers
    probabilities = classifier(frozen.held_out_features(CENTRE)).softmax(1)
    everything = probability_frame(frozen.pool, WHOLE, probabilities, names)
    among = probabilities[:, list(classes.values())]
    return everything, probability_frame(frozen.pool, WHOLE, among / among.sum(1, keepdim=True), list(classes))


def count_classes(backbone: PretrainedBackbone) -> int:
    """Number of classes of the network's classifier; 0 if it has two classifiers, as distilled networks do."""
    network = backbone.network
    return 0 if isinstance(network.get_classifier(), tuple) else network.num_classes


def count_parameters(backbone: PretrainedBackbone, with_classifier: bool = False) -> int:
    """Number of the network's parameters, without its original classifier unless ``with_classifier``."""
    network = backbone.network
    left_out = () if with_classifier else head_parameters(network)
    return sum(weights.numel() for name, weights in network.named_parameters() if name not in left_out)


def probability_frame(pool: ImagePool, view: str, probabilities: Tensor, names: Sequence[str]) -> pd.DataFrame:
    """Frame of the held-out images: ``view``, ``id`` and one column per name, from probabilities ``(n, C)``."""
    about = pd.DataFrame({"view": view, "id": pool.ids[pool.all_held_out.numpy()]})
    return pd.concat([about, pd.DataFrame(probabilities.float().numpy(), columns=list(names))], axis=1)
