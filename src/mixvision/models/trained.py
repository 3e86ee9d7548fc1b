"""A trained network on disk: safetensors with everything that is needed to build and use it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mixvision.models.baselines import BASELINES, build_baseline
from mixvision.models.resnet25 import ResNet25

BATCH_IMAGES, BATCH_PIXELS = 256, 256 * 100**2  # the most of one batch: larger images would take too much memory


def _resnet25(categories: int, image_size: int) -> ResNet25:
    return ResNet25(categories, image_size, [torch.Generator().manual_seed(0)])


# Each makes a network from (categories, image_size), with first weights that are always the same.
ARCHITECTURES: dict[str, Callable[[int, int], nn.Module]] = {
    "resnet25": _resnet25,
    **{name: partial(build_baseline, name, seed=0) for name in BASELINES},
}


@dataclass(frozen=True)
class TrainedNetwork:
    """One network, its categories and its weights.

    Attributes:
        architecture: a name in ``ARCHITECTURES``.
        categories: what the outputs mean, in order.
        image_size: side of the square images it was trained on, in pixels.
        tensors: its parameters and statistics, without the stack's first dimension.
    """

    architecture: str
    categories: tuple[str, ...]
    image_size: int
    tensors: Mapping[str, Tensor]

    def build(self) -> nn.Module:
        """The network itself, ready to predict; ResNet25 as a stack of one.

        Raises:
            ValueError: the architecture is unknown, or the tensors are not those of such a network.
        """
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"architecture is {self.architecture!r}; choose one of {', '.join(ARCHITECTURES)}.")
        network = ARCHITECTURES[self.architecture](len(self.categories), self.image_size)
        expected = network.state_dict()
        if missing := sorted(expected.keys() - self.tensors.keys()):
            raise ValueError(f"{missing[0]!r} is missing from the tensors of {self._described}.")
        if foreign := sorted(self.tensors.keys() - expected.keys()):
            raise ValueError(f"{foreign[0]!r} is none of the tensors of {self._described}.")
        network.load_state_dict({name: self._fit(name, tensor) for name, tensor in expected.items()})
        return network.eval()

    @torch.no_grad()
    def classify(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities ``(N, categories)`` for uint8 images ``(N, S, S, 3)``."""
        network = self.build()
        batch_size = max(1, min(BATCH_IMAGES, BATCH_PIXELS // self.image_size**2))
        batches = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).split(batch_size)
        return torch.cat([network(batch.float() / 255).flatten(0, -2).softmax(-1) for batch in batches]).numpy()

    def save(self, path: Path) -> None:
        metadata = {
            "architecture": self.architecture,
            "categories": json.dumps(self.categories),
            "image_size": str(self.image_size),
        }
        save_file(dict(self.tensors), path, metadata)

    @classmethod
    def load(cls, path: Path) -> TrainedNetwork:
        """Read a file written by ``save``; nothing in it is executed."""
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        categories = tuple(json.loads(metadata["categories"]))
        return cls(metadata["architecture"], categories, int(metadata["image_size"]), tensors)

    @property
    def _described(self) -> str:
        return f"{self.architecture} with {len(self.categories)} categories and {self.image_size} pixels a side"

    def _fit(self, name: str, expected: Tensor) -> Tensor:
        """The tensor of this name in the shape that the network expects, which may begin with a stack of one."""
        tensor = self.tensors[name]
        if expected.shape not in (tensor.shape, (1, *tensor.shape)):
            raise ValueError(
                f"{name!r} has the shape {tuple(tensor.shape)}, but {self._described} needs {tuple(expected.shape)}."
            )
        return tensor.reshape(expected.shape)
