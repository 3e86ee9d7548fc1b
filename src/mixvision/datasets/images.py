"""Kedro datasets for image sources and for stores of decoded images."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import HTMLPreview

from mixvision.addresses import shown
from mixvision.datasets.errors import errors_as_sentences
from mixvision.datasets.previews import Described, described, tiled
from mixvision.files import digest_of
from mixvision.images.acquisition import files_of, may_serve_both
from mixvision.images.archives import read_unpacking
from mixvision.images.sources import RawImages, check_source, open_source
from mixvision.images.store import SETTINGS, ImageStore, PendingImages, read_store, require_whole, write_store

SHOWN = 48  # images in the preview of a store
CONTENT = ["path", "category", "square_sha256", "reason", "group", "published"]  # columns of an inventory without times


class ImageSourceDataset(Described, AbstractDataset[None, RawImages]):
    """The image files of one domain, fetched and unpacked when loaded; see `images.sources.open_source`.

    ```yaml
    nice_source:
      type: mixvision.datasets.images.ImageSourceDataset
      domain: nice
      source: fruits.tar          # or a folder, a URL, package:mnist; null: the study does not have this domain
      sha256: 0a1b...
      sha256_of: fruits.tar       # the checksum does not apply to another source, such as one from the command line
      layout: "{category}/*"
      mapping: varieties.yml      # which folders are which category
      labels: null                # a file or folder with categories, where the layout has none; see `images.labels`
      group: fruits-360 series    # which images must stay in one split
      split: null                 # a table of published splits, where the layout has no {split}
      unpacking: {max_ratio: 200} # limits of what is unpacked from an archive; see `images.archives.Unpacking`
      filepath: data/01_raw/fruits/.unpacked/nice
    ```

    When the source changes, the whole folder `filepath` is replaced.
    """

    def __init__(  # noqa: PLR0913 (by keyword only, as in a catalog entry)
        self,
        *,
        domain: str,
        source: str | None,
        filepath: str,
        sha256: str | None = None,
        sha256_of: str | None = None,
        layout: str | list[str] | None = None,
        mapping: str | None = None,
        labels: str | Mapping[str, object] | None = None,
        group: str | Mapping[str, object] | None = None,
        split: Mapping[str, object] | None = None,
        unpacking: Mapping[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._given = source, mapping
        self.domain, self._folder = domain, Path(filepath)
        self._source = None if source is None else str(source)  # a folder called 2024 arrives as a number
        self._sha256 = sha256 if sha256_of in (None, source) else None
        self._layout, self._mapping, self._labels = layout, mapping, labels
        self._group, self._split = group, split
        with errors_as_sentences():
            self._unpacking = read_unpacking(unpacking)
        self.metadata = metadata

    def load(self) -> RawImages:
        with errors_as_sentences():
            return open_source(
                self._source,
                self.domain,
                self._folder,
                self._sha256,
                self._layout,
                self._mapping,
                self._labels,
                self._group,
                self._split,
                self._unpacking,
            )

    def check(self) -> None:
        """Refuse settings that cannot be used, without fetching anything (raises DatasetError); see `check_source`."""
        with errors_as_sentences():
            self._require_checksum()
            check_source(self._source, self.domain, self._mapping, self._group, self._split, self._labels, self._layout)

    def require_paths(self) -> None:
        """Refuse a list as the source, and anything but a path as the mapping (raises ValueError)."""
        source, mapping = self._given
        if isinstance(source, list | tuple):
            raise ValueError(f"{self.domain}.source is {list(source)}; give one folder, archive, URL or sample.")
        if mapping is not None and not isinstance(mapping, str):
            raise ValueError(
                f"{self.domain}.mapping is {mapping!r}; give the path of a YAML file that lists for each category the "
                "names of its folders."
            )

    def _require_checksum(self) -> None:
        if self._sha256 is None or self._source is None:
            return
        if not re.fullmatch("[0-9a-fA-F]{64}", str(self._sha256)):
            raise ValueError(
                f"{self.domain}.sha256 is {self._sha256!r}, but a SHA-256 has 64 digits from 0 to 9 and a to f."
            )
        if Path(self._source).expanduser().is_dir():
            raise ValueError(
                f"{self.domain}.sha256 is set, but the source, {self.shown_source}, is a folder, which has no "
                "checksum: give an archive or a URL, or set it to null."
            )

    @property
    def is_absent(self) -> bool:
        """Whether the study does not have this domain."""
        return self._source is None

    @property
    def may_serve_both(self) -> bool:
        """Whether these files may be those of both domains, each in a folder of its name."""
        return self._source is not None and self._layout is None and may_serve_both(self._source)

    @property
    def shown_source(self) -> str:
        """The source as it may be shown: without passwords."""
        return str(shown(self._source))

    @property
    def files(self) -> tuple[object, ...]:
        """What tells these files from those of another source: where they are, and which of them are meant."""
        place = self._source and Path(self._source).expanduser().resolve()  # of a URL it is still one of a kind
        return place, str(self._layout), str(self._labels), self._mapping

    def settings(self) -> dict[str, str]:
        """What decides which images these are, as texts by the names of `globals.yml`, wherever the project is."""
        texts = {"source": self._place(), "layout": str(self._layout)}
        texts["mapping"] = str(self._mapping and Path(self._mapping).name)
        files: dict[str, object] = {"mapping": self._mapping}
        for name in ("labels", "group", "split"):
            given = getattr(self, f"_{name}")
            texts[name] = str(dict(sorted(given.items())) if isinstance(given, Mapping) else given)
            files[name] = given.get("table") if isinstance(given, Mapping) else given
        for name, file in files.items():
            if content := self._content(file):
                texts[f"{name}, the content of {Path(str(file)).name},"] = content
        if self._source is not None and (found := files_of(self._source)):
            texts["files"] = found
        return {f"{self.domain}.{name}": text for name, text in texts.items()}

    def _place(self) -> str:
        """The source in one way of writing, from the project's folder where it is inside."""
        path, here = Path(self._source or "").expanduser(), Path.cwd()
        if self._source is None or not path.exists():  # such as a URL
            return self.shown_source
        path = path.resolve()
        return (path.relative_to(here) if path.is_relative_to(here) else path).as_posix()

    def _content(self, file: object) -> str:
        """A digest of what a file of the project or of the source folder holds; "" if it is none."""
        places = [Path(str(file)), Path(self._source or "") / str(file)] if file else []
        return next((digest_of(place) for place in places if place.is_file()), "")

    def save(self, _: None) -> None:
        raise DatasetError(f"The source of {self.domain!r} images is read-only.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"domain": self.domain, "source": shown(self._source)}


class ImageStoreDataset(AbstractDataset[PendingImages, ImageStore]):
    """A folder with pixels.npy, inventory.parquet and settings.json.

    Saving decodes the images file by file, so that they are never in memory together, and reuses what an
    earlier save decoded of unchanged files. Files that another process wrote are compared with their checksums when
    they are first loaded.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata
        self._checked: list[tuple[int, int]] = []  # the stamps of the files when they were checked

    def load(self) -> ImageStore:
        with errors_as_sentences():
            store, stamps = read_store(self._folder), self._stamps()
            if stamps != self._checked:
                require_whole(self._folder, store)
                self._checked = stamps
            return store

    def save(self, data: PendingImages) -> None:
        write_store(data, self._folder)
        self._checked = self._stamps()  # writing has checked what it reused

    def content_digest(self) -> str:
        """The same for the same images with the same categories and groups, whenever their files were copied."""
        inventory = read_store(self._folder).inventory[CONTENT]
        return hashlib.blake2b(pd.util.hash_pandas_object(inventory, index=False).to_numpy(), digest_size=8).hexdigest()

    def preview(self) -> HTMLPreview:
        """The description, how many images there are, and some of them, evenly from the first to the last."""
        if not self._exists():
            return HTMLPreview(described(self.metadata))
        store = read_store(self._folder)
        decoded = store.inventory[store.inventory["pixel_row"] >= 0]
        count = f"<p>{len(decoded):,} images of {decoded['category'].nunique()} categories</p>"
        if decoded.empty:
            return HTMLPreview(described(self.metadata, count))
        rows = decoded["pixel_row"].iloc[np.linspace(0, len(decoded) - 1, min(SHOWN, len(decoded))).astype(int)]
        return HTMLPreview(described(self.metadata, count + tiled([store.pixels[row] for row in rows])))

    def _stamps(self) -> list[tuple[int, int]]:
        found = [path.stat() for path in sorted(self._folder.iterdir())]
        return [(status.st_mtime_ns, status.st_size) for status in found]

    def _exists(self) -> bool:
        return (self._folder / SETTINGS).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
