"""A trained network on disk: a safetensors file with everything that is needed to build and use it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mixvision.files import replacing_file
from mixvision.models.baselines import BASELINES, build_baseline
from mixvision.models.resnet25 import ResNet25

CHECKSUM = "checksum"
REMEDY = "Train it again, or take another copy."
BATCH_IMAGES, BATCH_PIXELS = 256, 256 * 100**2  # maxima per batch, so that large images do not take too much memory


def _resnet25(categories: int, image_size: int) -> ResNet25:
    return ResNet25(categories, image_size, [torch.Generator().manual_seed(0)])


def _transfer(*arguments: Any, **settings: Any) -> nn.Module:
    from mixvision.models.transfer import build_transfer  # it imports timm, which takes seconds

    return build_transfer(*arguments, **settings)


# Each makes a network from (categories, image_size) and its own arguments; the first weights are always the same.
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "resnet25": _resnet25,
    **{name: partial(build_baseline, name, seed=0) for name in BASELINES},
    "transfer": _transfer,
}


@dataclass(frozen=True)
class TrainedNetwork:
    """One network, its categories and its weights.

    Attributes:
        architecture: a name in ``ARCHITECTURES``.
        categories: the categories of the outputs, in order.
        image_size: side in pixels of the square images it was trained on.
        tensors: its parameters and statistics, without the stack's first dimension. For a head on a frozen pretrained
            backbone only those of the head ("head.1.weight"): the backbone's are in the file that ``weights`` names.
        arguments: further arguments of the architecture, in values that JSON can hold; for "transfer" those of
            :func:`mixvision.models.transfer.build_transfer`.
    """

    architecture: str
    categories: tuple[str, ...]
    image_size: int
    tensors: Mapping[str, Tensor]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> nn.Module:
        """Build the network, ready to predict; ResNet25 is built as a stack of one.

        Raises:
            ValueError: the architecture is unknown, the tensors do not fit it, or the weights of its frozen backbone
                are not those of its training.
            FileNotFoundError, OSError: the backbone's weights are missing.
        """
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"architecture is {self.architecture!r}; choose one of {', '.join(ARCHITECTURES)}.")
        network = ARCHITECTURES[self.architecture](len(self.categories), self.image_size, **self.arguments)
        pretrained = getattr(network, "pretrained", ())
        expected = {name: tensor for name, tensor in network.state_dict().items() if name not in pretrained}
        if missing := sorted(expected.keys() - self.tensors.keys()):
            raise ValueError(f"{missing[0]!r} is missing from the tensors of {self._described}.")
        if foreign := sorted(self.tensors.keys() - expected.keys()):
            raise ValueError(f"{foreign[0]!r} is not a tensor of {self._described}.")
        fitting = {name: self._fit(name, tensor) for name, tensor in expected.items()}
        network.load_state_dict(fitting, strict=False)  # only the pretrained entries are missing
        return network.eval()

    @torch.no_grad()
    def classify(self, pixels: np.ndarray) -> np.ndarray:
        """Predict probabilities, float32 ``(N, categories)``, of uint8 images ``(N, S, S, 3)``; raises as ``build``."""
        network = self.build()
        side = max(self.image_size, self.arguments.get("input_size") or 0)
        batch_size = max(1, min(BATCH_IMAGES, BATCH_PIXELS // side**2))
        batches = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).split(batch_size)
        return torch.cat([network(batch.float() / 255).flatten(0, -2).softmax(-1) for batch in batches]).numpy()

    def save(self, path: Path) -> None:
        """Write the network to a safetensors file, with a checksum of everything; equal networks give equal files."""
        metadata = {
            "architecture": self.architecture,
            "categories": json.dumps(self.categories),
            "image_size": str(self.image_size),
            "arguments": json.dumps(dict(self.arguments)),
        }
        metadata[CHECKSUM] = _checksum(metadata, self.tensors)
        with replacing_file(path) as partial:
            partial.write_bytes(_with_sorted_metadata(save(dict(self.tensors), metadata)))

    @classmethod
    def load(cls, path: Path) -> TrainedNetwork:
        """Read a file written by ``save``, by this version or an earlier one; nothing in it is executed.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged, or holds no trained network. Files of versions before 0.4 have no checksum.
        """
        metadata, tensors = _read(path)
        if missing := [name for name in ("architecture", "categories", "image_size") if name not in metadata]:
            raise ValueError(f"{path} is no trained network of Mixvision: its metadata have no {missing[0]!r}.")
        expected = metadata.pop(CHECKSUM, None)
        if expected and expected != _checksum(metadata, tensors):
            raise ValueError(f"{path} is damaged: it differs from its checksum. {REMEDY}")
        tensors = {_current_name(name): tensor for name, tensor in tensors.items()}
        categories, arguments = json.loads(metadata["categories"]), json.loads(metadata.get("arguments", "{}"))
        return cls(metadata["architecture"], tuple(categories), int(metadata["image_size"]), tensors, arguments)

    @property
    def _described(self) -> str:
        names = ", ".join(str(self.arguments[name]) for name in ("backbone", "head") if name in self.arguments)
        kind = f"{self.architecture} ({names})" if names else self.architecture
        return f"{kind} with {len(self.categories)} categories and images of {self.image_size} pixels"

    def _fit(self, name: str, expected: Tensor) -> Tensor:
        """The tensor of this name in the shape that the network expects, which may have a first dimension of 1."""
        tensor = self.tensors[name]
        if expected.shape not in (tensor.shape, (1, *tensor.shape)):
            raise ValueError(
                f"{name!r} has the shape {tuple(tensor.shape)}, but {self._described} needs {tuple(expected.shape)}."
            )
        return tensor.reshape(expected.shape)


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and tensors of a safetensors file."""
    if not path.exists():
        raise FileNotFoundError(f"There is no {path}: train the network first, or correct the path.")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            return dict(file.metadata() or {}), tensors
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file ({error}). {REMEDY}") from error


def _checksum(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """BLAKE2 of the metadata and of the tensors' names, types, shapes and bytes."""
    digest = hashlib.blake2b(json.dumps(dict(metadata), sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _current_name(tensor: str) -> str:
    """The current name of a tensor: versions before 0.4 called shortcuts "bridge", and standard deviations "sd"."""
    new_names = {"bridge": "shortcut", "sd": "std"}
    return ".".join(new_names.get(part, part) for part in tensor.split("."))


def _with_sorted_metadata(content: bytes) -> bytes:
    """A safetensors file whose metadata have a fixed order; the library writes them in that of a random hash.

    The file begins with the length of its header (8 bytes) and the header in JSON, filled up with blanks.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > end - 8:  # the library writes JSON as short as possible
        raise AssertionError("the header of a safetensors file grew by sorting it")
    return content[:8] + text.ljust(end - 8) + content[end:]
