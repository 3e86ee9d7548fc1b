"""Simple networks as baselines: a linear layer, a multilayer perceptron and small convolutional networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from torch import nn

from mixvision.models.normalisation import Normalise
from mixvision.models.seeding import seeded
from mixvision.parameter_types import require_choice

MLP_UNITS = 255
BASIC_CNN_CHANNELS = (64, 128, 256, 512, 512)  # the widths of the five stages of VGG


def build_baseline(model: str, categories: int, image_size: int, seed: int, dropout: bool = True) -> nn.Module:
    """Build a baseline. Its first weights depend only on the architecture and the seed, not on ``dropout``.

    Args:
        model: a name in ``BASELINES``.
        categories: number of outputs.
        image_size: side of the square input in pixels.
        seed: 0 or more.
        dropout: False leaves out the dropout layers; only the CNN has any.

    Raises:
        ValueError: the model is unknown, or the image is too small for it.
    """
    require_choice("model", model, BASELINES)
    with seeded(seed):
        build = BASELINES[model] if dropout or not has_dropout(model) else WITHOUT_DROPOUT[model]
        return build(categories, image_size)


def has_dropout(model: str) -> bool:
    """Whether a model has dropout layers."""
    return model in WITHOUT_DROPOUT


class LinearClassifier(nn.Sequential):
    """Multinomial logistic regression on the pixels.

    Shapes, here and below: images ``(B, 3, S, S)``, floats in [0, 1]; logits ``(B, categories)``.
    """

    def __init__(self, categories: int, image_size: int) -> None:
        _require_side(image_size, 1, "an image has at least one pixel")
        super().__init__(Normalise(), nn.Flatten(), nn.Linear(3 * image_size**2, categories))


class MLP(nn.Sequential):
    """A perceptron with one hidden layer of 255 units."""

    def __init__(self, categories: int, image_size: int) -> None:
        _require_side(image_size, 1, "an image has at least one pixel")
        super().__init__(
            Normalise(),
            nn.Flatten(),
            nn.Linear(3 * image_size**2, MLP_UNITS),
            nn.ReLU(),
            nn.Linear(MLP_UNITS, categories),
        )


class CNN(nn.Sequential):
    """Two 5x5 convolutions without padding, each followed by 2x2 max pooling, and three dense layers (after LeNet-5).

    A 300x300 image goes through maps of 296, 148, 144 and 72 pixels on each side. Dropout before the first and the
    last dense layer drops half of the units, PyTorch's default, as the study does not give a rate.
    """

    def __init__(self, categories: int, image_size: int, dropout: bool = True) -> None:
        _require_side(
            image_size, 16, "two 5x5 convolutions, each followed by 2x2 pooling, leave nothing of such a small image"
        )
        side = ((image_size - 4) // 2 - 4) // 2
        drop = nn.Dropout if dropout else nn.Identity
        super().__init__(
            Normalise(),
            nn.Conv2d(3, 6, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            drop(),
            nn.Linear(16 * side * side, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            drop(),
            nn.Linear(84, categories),
        )


class BasicCNN(nn.Sequential):
    """Five 3x3 convolutions, each followed by 2x2 max pooling, and one or two dense layers with batch normalisation.

    The study of flowers and dogs gives no widths; these are VGG's. Batch normalisation cannot train on a batch of one
    image.

    Args:
        dense_units: size of the dense layer before the outputs, or None for none.
    """

    def __init__(self, categories: int, image_size: int, dense_units: int | None = None) -> None:
        halvings = len(BASIC_CNN_CHANNELS)
        _require_side(image_size, 2**halvings, f"this network halves the image {halvings} times")
        layers: list[nn.Module] = [Normalise()]
        for channels_in, channels_out in pairwise((3, *BASIC_CNN_CHANNELS)):
            layers += [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        layers.append(nn.Flatten())
        features = BASIC_CNN_CHANNELS[-1] * (image_size // 2**halvings) ** 2
        if dense_units is not None:
            layers += [nn.Linear(features, dense_units), nn.BatchNorm1d(dense_units), nn.ReLU()]
            features = dense_units
        super().__init__(*layers, nn.Linear(features, categories), nn.BatchNorm1d(categories))


BASELINES: dict[str, Callable[..., nn.Module]] = {
    "linear": LinearClassifier,
    "mlp": MLP,
    "cnn": CNN,
    "basic_cnn": BasicCNN,
    "basic_cnn_dense": partial(BasicCNN, dense_units=256),
}
WITHOUT_DROPOUT: dict[str, Callable[..., nn.Module]] = {"cnn": partial(CNN, dropout=False)}  # of models that have it


def _require_side(image_size: int, smallest: int, reason: str) -> None:
    if image_size < smallest:
        raise ValueError(f"image_size is {image_size}, but {reason}: use {smallest} pixels or more.")
