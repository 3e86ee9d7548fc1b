"""Kedro datasets around training: trained networks as safetensors files, folders of files, and working folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset
from kedro_datasets.partitions import PartitionedDataset

from mixvision.datasets.previews import Described
from mixvision.models.trained import TrainedNetwork


class TrainedNetworkDataset(AbstractDataset[TrainedNetwork, TrainedNetwork]):
    """One trained network in one safetensors file."""

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> TrainedNetwork:
        return TrainedNetwork.load(self._filepath)

    def save(self, data: TrainedNetwork) -> None:
        self._filepath.parent.mkdir(parents=True, exist_ok=True)
        data.save(self._filepath)

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}


class FilesDataset(Described, PartitionedDataset):
    """Kedro's PartitionedDataset with a preview for kedro-viz."""


class FolderDataset(Described, AbstractDataset[None, Path]):
    """A folder that a node may work in, such as one for checkpoints; loading makes it if needed and gives its path."""

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        self._filepath.mkdir(parents=True, exist_ok=True)
        return self._filepath

    def save(self, data: None) -> None:
        raise NotImplementedError("A folder cannot be saved: the node that loads it writes into it.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
