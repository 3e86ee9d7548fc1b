"""The image store: one domain's inventory and pixels in a folder, made in bounded memory and reused."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from mixvision.files import checksum_of, replacing_folder
from mixvision.images.arrays import new_array
from mixvision.images.decoding import Decoding, ImageRecord, decode_files
from mixvision.images.groups import group_images
from mixvision.images.hashing import THUMBNAIL_SIDE
from mixvision.images.parts import backend_for
from mixvision.images.sources import RawImages
from mixvision.progress import progress

logger = logging.getLogger(__name__)

PIXELS, THUMBNAILS = "pixels.npy", "thumbnails.npy"
INVENTORY, SETTINGS = "inventory.parquet", "settings.json"
OUTSIDE = "outside the layout"
VERSION = 4  # raise it when decoding changes, so that older stores are made again
REMEDY = "Run the ingestion pipeline: it decodes again what is damaged."
CHECKED = (INVENTORY, THUMBNAILS)  # by one checksum each; every square has its own in the inventory
FILES_AT_ONCE, SQUARES_AT_ONCE = 64, 256
FILES_FOR_PROCESSES = 2000
# A file that was replaced by one of the same size and time has another inode, or at least another time of change.
STAMP = ["path", "bytes", "mtime_ns", "ctime_ns", "inode"]
FILE_COLUMNS = {
    "domain": str,
    "category": str,
    "path": str,
    "bytes": np.int64,
    "mtime_ns": np.int64,
    "ctime_ns": np.int64,
    "inode": np.uint64,
}
COLUMNS = {
    **FILE_COLUMNS,
    "format": str,
    "width": np.int64,
    "height": np.int64,
    "mode": str,
    "sha256": str,
    "pixels_sha256": str,
    "square_sha256": str,
    "phash": np.uint64,
    "camera": str,
    "taken": str,
    "assumed": str,
    "reason": str,
    "pixel_row": np.int64,
    "group": str,
    "published": str,
}


@dataclass(frozen=True)
class ImageStore:
    """The decoded images of one domain.

    Args:
        inventory: one row per file found, sorted by path: columns domain, category, path (posix, relative to
            the root), bytes, mtime_ns, ctime_ns, inode, format, width, height, mode, sha256, pixels_sha256,
            square_sha256, phash (uint64), camera, taken, assumed (see `ImageRecord`), reason ("" if decoded), pixel_row
            (-1 if not decoded), group (see `groups`), published (see `published`).
        pixels: uint8 (files, size, size, 3), memory-mapped read-only; rows of undecoded files are black.
        unmapped: folders that the mapping leaves out, with their numbers of files; they are not in the inventory.
        thumbnails: uint8 (files, 16, 16, 3) of the whole pictures, memory-mapped read-only.
    """

    inventory: pd.DataFrame
    pixels: np.ndarray
    unmapped: dict[str, int]
    thumbnails: np.ndarray


@dataclass(frozen=True)
class PendingImages:
    """Images still to be decoded, from which a store is made. They are decoded while the store is written."""

    raw: RawImages
    decoding: Decoding


def pixels_by_domain(nice: ImageStore, real: ImageStore) -> dict[str, np.ndarray]:
    """Both stores' pixels, ``(n, S, S, 3)`` uint8 each, by the name of the domain."""
    return {"nice": nice.pixels, "real": real.pixels}


def read_store(folder: Path) -> ImageStore:
    """Open a store; its pixels stay on disk until used.

    Raises:
        FileNotFoundError: the folder holds no complete store.
        ValueError: a file of it cannot be read.
    """
    if not (folder / SETTINGS).exists():
        raise FileNotFoundError(f"There are no decoded images in {folder}: run the ingestion pipeline first.")
    try:
        return _open_store(folder)
    except ValueError as error:
        raise ValueError(f"{error} {REMEDY}") from error


def require_whole(folder: Path, store: ImageStore) -> None:
    """Raise ValueError if a file of a store differs from its checksum; takes about a second for 400 MB of pixels."""
    if fault := _fault_of_a_file(folder):
        raise ValueError(f"{fault}. {REMEDY}")
    if flawed := int(_damaged_squares(store).sum()):
        raise ValueError(f"{folder / PIXELS} is damaged: {flawed} images differ from their checksums. {REMEDY}")


def write_store(pending: PendingImages, folder: Path) -> None:
    """Write the store of these images to the folder.

    A store already there is reused: files with the same path, size, times and inode keep their record and
    pixels, and if nothing changed, nothing is written. What was damaged on the disk since is decoded again. The new
    store replaces the old one only when it is complete.

    Raises:
        FileNotFoundError, ValueError: the rule by which images are grouped cannot be used.
    """
    raw = pending.raw
    settings = {"version": VERSION, "root": str(raw.root), **asdict(pending.decoding)}
    files = _list_files(raw)
    by_exif = raw.groups is not None and raw.groups.exif
    groups = None if by_exif else _groups_of(files, raw)  # a rule that cannot be used is refused before decoding
    before = _read_matching(folder, settings)
    if before is not None and _is_current(before, files, raw, groups):
        logger.info("%s images: nothing changed, %d decoded files reused.", raw.domain, len(files))
        return
    with replacing_folder(folder) as new:
        records = _decode_all(files, before, pending, (new / PIXELS, new / THUMBNAILS))
        inventory = _described(pd.DataFrame(records, columns=list(COLUMNS)), raw, groups)
        inventory.astype(COLUMNS).to_parquet(new / INVENTORY)
        checksums = {name: checksum_of(new / name) for name in CHECKED}
        (new / SETTINGS).write_text(json.dumps({**settings, "unmapped": raw.unmapped, "checksums": checksums}))
        del before  # closes its pixels: Windows does not rename folders with open files


def _is_current(before: ImageStore, files: pd.DataFrame, raw: RawImages, groups: pd.Series | None) -> bool:
    """Whether the store has just these files, with the groups and published splits that they have now."""
    inventory = before.inventory
    if before.unmapped != raw.unmapped or not files.equals(inventory[list(files.columns)]):
        return False
    names = ["group", "published"]
    return _described(inventory, raw, groups)[names].equals(inventory.reindex(columns=names))


def _described(inventory: pd.DataFrame, raw: RawImages, groups: pd.Series | None) -> pd.DataFrame:
    """The inventory with what the source's settings say of each file; groups by EXIF are still to be found (None)."""
    if groups is None:
        groups = _groups_of(inventory, raw)
    published = pd.Series([raw.published.get(path, "") for path in inventory["path"]], inventory.index, dtype=str)
    return inventory.assign(group=groups, published=published)


def _groups_of(inventory: pd.DataFrame, raw: RawImages) -> pd.Series:
    return group_images(inventory, raw.groups, raw.root, raw.domain)


def _list_files(raw: RawImages) -> pd.DataFrame:
    """The columns of `FILE_COLUMNS`, sorted by path."""
    rows = []
    for category, path in raw.files:
        try:
            status = (raw.root / path).stat()
            stamp = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
        except OSError:  # such as a file that is gone: decoding it will record that it is unreadable
            stamp = 0, 0, 0, 0
        rows.append((raw.domain, category, path, *stamp))
    table = pd.DataFrame(rows, columns=list(FILE_COLUMNS)).astype(FILE_COLUMNS)
    return table.sort_values("path", ignore_index=True)


def _open_store(folder: Path) -> ImageStore:
    unmapped = _read(folder / SETTINGS, _read_json).get("unmapped", {})
    pixels, thumbnails = (_read(folder / name, partial(np.load, mmap_mode="r")) for name in (PIXELS, THUMBNAILS))
    return ImageStore(_read(folder / INVENTORY, pd.read_parquet), pixels, unmapped, thumbnails)


def _read(file: Path, read: Callable[[Path], Any]) -> Any:
    """What a function reads from a file; raises ValueError that names the file if it cannot."""
    try:
        return read(file)
    except (OSError, ValueError, AttributeError, EOFError) as error:  # pyarrow's errors are of the first two kinds
        raise ValueError(f"{file} is damaged ({error}).") from error


def _read_json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())


def _read_matching(folder: Path, settings: dict) -> ImageStore | None:
    """The folder's store, if it was made with the same settings, without unreadable files: these are tried again."""
    if not (folder / SETTINGS).exists():
        return None
    try:
        kept = _read(folder / SETTINGS, _read_json)
        if not settings.items() <= kept.items():
            return None
        if fault := _fault_of_a_file(folder):
            logger.warning("%s: the images are decoded again.", fault)
            return None
        store = _open_store(folder)
    except ValueError as error:
        logger.warning("%s The images are decoded again.", error)
        return None
    flawed = _damaged_squares(store)
    if flawed.any():
        logger.warning("%s is damaged: %d images are decoded again.", folder / PIXELS, flawed.sum())
    unreadable = store.inventory["reason"].str.startswith("unreadable")
    return replace(store, inventory=store.inventory[~unreadable & ~flawed])


def _fault_of_a_file(folder: Path) -> str | None:
    """Which of the files with one checksum each is missing or damaged, in words; None if they are as written."""
    known = _read(folder / SETTINGS, _read_json).get("checksums", {})  # earlier versions wrote none
    for file in (folder / name for name in CHECKED):
        if not file.exists():
            return f"{file} is missing"
        if file.name in known and checksum_of(file) != known[file.name]:
            return f"{file} is damaged"
    return None


def _damaged_squares(store: ImageStore) -> np.ndarray:
    """Which rows of the inventory have pixels that are not those that were decoded, bool (N,)."""
    rows, hashes = store.inventory["pixel_row"].to_numpy(), store.inventory["square_sha256"].to_numpy()

    def compare(block: slice) -> list[bool]:
        pairs = zip(rows[block], hashes[block], strict=True)
        return [row >= 0 and hashlib.sha256(store.pixels[row].tobytes()).hexdigest() != known for row, known in pairs]

    blocks = [slice(start, start + SQUARES_AT_ONCE) for start in range(0, len(rows), SQUARES_AT_ONCE)]
    found = Parallel(n_jobs=-1, backend="threading")(delayed(compare)(block) for block in blocks)
    return np.array([flawed for part in found for flawed in part], bool)


def _decode_all(
    files: pd.DataFrame, before: ImageStore | None, pending: PendingImages, arrays: tuple[Path, Path]
) -> list[dict]:
    """Decode every file into the arrays, or copy it from the old store; return the inventory rows, in order."""
    pixels, thumbnails = (
        new_array(array, (len(files), side, side, 3))
        for array, side in zip(arrays, (pending.decoding.size, THUMBNAIL_SIDE), strict=True)
    )
    inventory = files.to_dict("records")
    known = _known_records(before)
    outside = {**vars(ImageRecord(reason=OUTSIDE)), "pixel_row": -1}
    refused = pending.raw.refused
    fresh: list[int] = []
    for row, file in enumerate(inventory):
        record = known.get(_stamp(file)) if file["category"] else outside
        if file["path"] in refused:
            record = {**vars(ImageRecord(reason=refused[file["path"]])), "pixel_row": -1}
        if record is None:
            fresh.append(row)
        else:
            inventory[row] = {**record, **file}
            old = record["pixel_row"]
            if before is not None and old >= 0:
                pixels[row], thumbnails[row] = before.pixels[old], before.thumbnails[old]
    pixels.flush()
    thumbnails.flush()
    for row, decoded in zip(fresh, _decode_rows(fresh, inventory, pending, arrays), strict=True):
        inventory[row] = {**vars(decoded), **inventory[row]}
    for row, file in enumerate(inventory):
        file["pixel_row"] = -1 if file["reason"] else row
    return inventory


def _decode_rows(
    rows: list[int], files: list[dict], pending: PendingImages, arrays: tuple[Path, Path]
) -> Iterator[ImageRecord]:
    """Decode some of the files on all cores; yield their records, in order."""
    blocks = [rows[start : start + FILES_AT_ONCE] for start in range(0, len(rows), FILES_AT_ONCE)]
    tasks = (
        delayed(decode_files)(pending.raw.root, pending.decoding, arrays, block, [files[row]["path"] for row in block])
        for block in blocks
    )
    # Measured on two cores: threads decode 100-pixel JPEGs no faster than one thread does (2,800 per second, as much
    # of that work holds the interpreter lock) and 240-pixel photos 1.5 times as fast; processes 2.0 and 2.1 times
    # as fast, but take a second to start, too long for a few files.
    backend = backend_for(len(rows) >= FILES_FOR_PROCESSES)
    description = f"decoding {pending.raw.domain} images"
    with progress(desc=description, total=len(rows), unit="image", disable=not rows) as bar:
        for records in Parallel(n_jobs=-1, backend=backend, return_as="generator")(tasks):
            bar.update(len(records))
            yield from records


def _known_records(before: ImageStore | None) -> dict[tuple, dict]:
    records = [] if before is None else before.inventory.to_dict("records")
    return {_stamp(record): record for record in records if record["category"]}


def _stamp(file: dict) -> tuple:
    return tuple(file[name] for name in STAMP)
