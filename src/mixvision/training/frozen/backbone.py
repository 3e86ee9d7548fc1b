"""A pretrained network that is not trained: its features of a pool of images, and what it says of them as it is."""

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
    """A pretrained network, the size of the images it is given, and its features of a pool.

    Attributes:
        backbone, loaded: what it is, and the network with its weights.
        input_size: pixels a side.
        pool: the images.
        folder: of the cache of features.
        arithmetic: where and how precisely it computes.
    """

    backbone: Backbone
    loaded: PretrainedBackbone
    input_size: int
    pool: ImagePool
    folder: Path
    arithmetic: Arithmetic

    def features(self, view: str = WHOLE) -> Tensor:
        """Of all images, ``(N, F)`` on the CPU."""
        return backbone_features(self.loaded, self.input_size, self.pool, self.folder, self.arithmetic, view)

    def held_out_features(self, view: str = WHOLE) -> Tensor:
        """Of the held-out images alone, in the order of the pool's ``all_held_out``; other views have no others."""
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
    """What the network says of the held-out images with the classifier it was trained with.

    Images are cut to the central seven eighths, as when such networks are judged on ImageNet.

    Returns:
        Probabilities of all thousand classes, those of the study's categories under their names; and of these alone.

    Raises:
        ValueError: none of the categories is one of ImageNet's, or the network does not have its classes, in one layer.
    """
    classes = imagenet_classes(frozen.pool.categories)
    if not classes or count_classes(frozen.loaded) != CLASSES:
        raise ValueError(
            f"{frozen.backbone.name} cannot classify these images as it is: none of the categories "
            f"({', '.join(frozen.pool.categories[:3])}, ...) is one of ImageNet's, or the network has other classes "
            "or two classifiers."
        )
    names = list(class_names())
    for category, number in classes.items():
        names[number] = category
    classifier = frozen.loaded.network.get_classifier()
    assert isinstance(classifier, nn.Module)  # of two, count_classes is 0
    probabilities = classifier(frozen.held_out_features(CENTRE)).softmax(1)
    everything = probability_frame(frozen.pool, WHOLE, probabilities, names)
    among = probabilities[:, list(classes.values())]
    return everything, probability_frame(frozen.pool, WHOLE, among / among.sum(1, keepdim=True), list(classes))


def count_classes(backbone: PretrainedBackbone) -> int:
    """How many classes the network tells apart by its features; 0 where it has two classifiers, as distilled ones."""
    network = backbone.network
    return 0 if isinstance(network.get_classifier(), tuple) else network.num_classes


def count_parameters(backbone: PretrainedBackbone, with_classifier: bool = False) -> int:
    """Of the network, without the last layer (or two) that it was trained with unless asked for."""
    network = backbone.network
    left_out = () if with_classifier else head_parameters(network)
    return sum(weights.numel() for name, weights in network.named_parameters() if name not in left_out)


def probability_frame(pool: ImagePool, view: str, probabilities: Tensor, names: Sequence[str]) -> pd.DataFrame:
    """Probabilities of the held-out images, ``(n, C)``, beside the view and the ids."""
    about = pd.DataFrame({"view": view, "id": pool.ids[pool.all_held_out.numpy()]})
    return pd.concat([about, pd.DataFrame(probabilities.float().numpy(), columns=list(names))], axis=1)
