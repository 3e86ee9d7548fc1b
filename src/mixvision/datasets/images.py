"""Kedro datasets for image sources and for stores of decoded images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from mixvision.images.sources import RawImages, open_source
from mixvision.images.store import SETTINGS, ImageStore, PendingImages, read_store, write_store


class ImageSourceDataset(AbstractDataset[None, RawImages]):
    """The image files of one domain, fetched and unpacked when loaded; see `images.sources.open_source`.

    ```yaml
    nice_source:
      type: mixvision.datasets.images.ImageSourceDataset
      domain: nice
      source: fruits.tar          # or a folder, an address, package:mnist
      filepath: data/01_raw/fruits/nice
    ```
    """

    def __init__(
        self,
        *,
        domain: str,
        source: str,
        filepath: str,
        sha256: str | None = None,
        layout: str | list[str] | None = None,
        mapping: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._domain, self._source, self._folder = domain, source, Path(filepath)
        self._sha256, self._layout, self._mapping = sha256, layout, mapping
        self.metadata = metadata

    def load(self) -> RawImages:
        try:
            return open_source(self._source, self._domain, self._folder, self._sha256, self._layout, self._mapping)
        except (
            OSError,
            ValueError,
        ) as error:  # the sentence alone, without Kedro's description of the dataset
            raise DatasetError(str(error)) from error

    def save(self, data: None) -> None:
        raise DatasetError("An image source is only read.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"domain": self._domain, "source": self._source}


class ImageStoreDataset(AbstractDataset[PendingImages, ImageStore]):
    """A folder with pixels.npy, inventory.parquet and settings.json.

    Saving decodes the images it is given, so that they never are in memory together, and keeps what an
    earlier save decoded of unchanged files.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> ImageStore:
        return read_store(self._folder)

    def save(self, data: PendingImages) -> None:
        write_store(data, self._folder)

    def _exists(self) -> bool:
        return (self._folder / SETTINGS).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
