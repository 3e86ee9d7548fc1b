"""The Kedro dataset for published numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from mixvision.datasets.previews import Described
from mixvision.files import digest_of
from mixvision.reporting.published import Published, read_published


class PublishedDataset(Described, AbstractDataset[None, Published]):
    """The published numbers of a study, from a YAML file; see `reporting.published`.

    ```yaml
    published:
      type: mixvision.datasets.published.PublishedDataset
      filepath: conf/fruits/published.yml
    ```
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Published:
        try:
            return read_published(self._filepath)
        except (OSError, ValueError) as error:
            raise DatasetError(str(error)) from error

    def check(self) -> None:
        """Refuse a file that cannot be used (raises DatasetError)."""
        self.load()

    def settings(self) -> dict[str, str]:
        """Which numbers these are, wherever the project is."""
        return {"published": f"{self._filepath.name} ({digest_of(self._filepath)})"}

    def save(self, _: None) -> None:
        raise DatasetError(f"The published numbers in {self._filepath} are read-only.")

    def _exists(self) -> bool:
        return self._filepath.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
