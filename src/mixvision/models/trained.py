"""A trained network on disk: safetensors with everything that is needed to build and use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mixvision.models.resnet25 import ResNet25

ARCHITECTURES = {"resnet25": ResNet25}


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
        """The network itself, a stack of one, ready to predict."""
        network = ARCHITECTURES[self.architecture](len(self.categories), self.image_size, [torch.Generator()])
        network.load_state_dict({name: tensor[None] for name, tensor in self.tensors.items()})
        return network.eval()

    @torch.no_grad()
    def classify(self, pixels: np.ndarray) -> np.ndarray:
        """Probabilities ``(N, categories)`` for uint8 images ``(N, S, S, 3)``."""
        network = self.build()
        batches = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).split(256)
        return torch.cat([network(batch.float() / 255)[0].softmax(-1) for batch in batches]).numpy()

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
