"""Fetch a source's files, once: unpack archives, download URLs, write samples."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pooch

from mixvision.addresses import shown, without_secrets
from mixvision.files import digest_of, replacing_folder
from mixvision.images import downloads
from mixvision.images.archive_kinds import require_archive
from mixvision.images.archives import Unpacking, unpack
from mixvision.images.litter import litter_in
from mixvision.images.samples import SAMPLES
from mixvision.vocabulary import DOMAINS

STAMP, REFUSED = ".source.json", ".refused.json"
VERSION = 4  # raise it when unpacking changes, so that archives are unpacked again
SAMPLE_PREFIX = "package:"


@dataclass(frozen=True)
class Acquired:
    """A source's files.

    Args:
        folder: where they are.
        refused: files of an archive that were not unpacked, by path below the folder, with reasons.
    """

    folder: Path
    refused: Mapping[str, str] = field(default_factory=dict)


def acquire(
    source: str, folder: Path, store: Path, sha256: str | None, domain: str, limits: Unpacking | None = None
) -> Acquired:
    """Return the folder with the source's files, after downloading or unpacking them if needed.

    Args:
        source: a folder (used in place), a tar or zip archive, a URL (http, https, ftp), or
            "package:<sample>".
        folder: where an archive is unpacked or a sample is written; replaced when the source changes.
        store: where downloaded archives are kept.
        sha256: checksum of the archive, in hexadecimal; None accepts any.
        domain: if an archive holds folders of both domains, only this one's is unpacked.
        limits: of what is unpacked; None: the usual ones.

    Raises:
        FileNotFoundError, ValueError, OSError: the source is missing or unusable; the message says what to do.
    """
    require_source(source, domain)
    if source.startswith(SAMPLE_PREFIX):
        return _write_sample(source.removeprefix(SAMPLE_PREFIX), folder)
    is_remote = "://" in source
    path = _download(source, store, sha256) if is_remote else Path(source).expanduser()
    if path.is_dir():
        return Acquired(path)
    _require_checksum(path, sha256)
    try:
        return _unpack(path, folder, domain, limits or Unpacking(), strict=is_remote and not sha256)
    except ValueError:
        if is_remote:  # it would be used for ever, even when the server has a better one
            path.unlink(missing_ok=True)
        raise


def require_source(source: str, domain: str) -> None:
    """Refuse a folder, an archive or a sample that does not exist; a URL is checked only when it is fetched.

    Raises:
        FileNotFoundError, ValueError: with the path that was looked for, and what to do.
    """
    if source.startswith("{"):  # --params=nice.source=... makes a mapping of it
        raise ValueError(
            f"The source of {domain!r} images is {source}: give --params={domain}=<folder, archive or URL>."
        )
    if source.startswith(SAMPLE_PREFIX):
        if source.removeprefix(SAMPLE_PREFIX) not in SAMPLES:
            known = " and ".join(f"{SAMPLE_PREFIX}{name}" for name in SAMPLES)
            raise ValueError(
                f"The source of {domain!r} images is {source!r}, but the bundled samples are {known}: give one of "
                "these, or a folder, archive or URL."
            )
        return
    path = Path(source).expanduser()
    if "://" in source or path.is_dir() or path.is_file():
        return
    if path.exists():  # opening a pipe would wait for ever
        raise ValueError(
            f"The source of {domain!r} images, {path.absolute()}, is a pipe or a device: write it into a file first."
        )
    raise FileNotFoundError(
        f"The source of {domain!r} images, {source!r}, does not exist: looked for {path.absolute()}. "
        f"Put the images there or give another source: --params={domain}=<folder, archive or URL>."
    )


def may_serve_both(source: str) -> bool:
    """Whether a source may hold the images of both domains, in folders of their names.

    It is not known of an archive or a URL before it is unpacked.
    """
    path = Path(source).expanduser()
    if source.startswith(SAMPLE_PREFIX) or not path.is_dir():
        return not source.startswith(SAMPLE_PREFIX)
    return set(DOMAINS) <= {folder.name.casefold() for folder in (*path.glob("*"), *path.glob("*/*"))}


def files_of(source: str) -> str:
    """A text that changes when files are added to a source, removed or renamed, or when its archive is another one.

    No image is opened, which would take minutes. "" where the files cannot be seen: of a URL, or if they are gone.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        start = len(str(path)) + 1
        names = sorted(f"{top}/{file}"[start:] for top, _, files in os.walk(path) for file in files)
        names = [name for name in names if not litter_in(PurePosixPath(name))]
        digest = hashlib.blake2b("\n".join(names).encode("utf-8", "surrogateescape"), digest_size=4)
        return f"{len(names):,} files ({digest.hexdigest()})"
    return f"{path.stat().st_size:,} bytes ({digest_of(path)})" if path.is_file() else ""


def _write_sample(name: str, folder: Path) -> Acquired:
    write, distribution = SAMPLES[name]
    _install(folder, {"package": distribution, "version": version(distribution), "sample": name}, write)
    return Acquired(folder)


def _download(address: str, store: Path, sha256: str | None) -> Path:
    """The downloaded archive; pooch writes to a temporary file first, so an existing one is complete."""
    name = PurePosixPath(urlsplit(address).path).name or "archive"
    name = f"{hashlib.sha256(address.encode()).hexdigest()[:8]}-{name}"
    known_hash = f"sha256:{sha256}" if sha256 else None
    pooch.get_logger().setLevel("WARNING")  # its messages have the whole address, with passwords
    try:
        return Path(pooch.retrieve(address, known_hash, fname=name, path=store, downloader=downloads.download))
    except (OSError, ValueError) as error:
        raise OSError(
            f"Could not download {shown(address)}: {without_secrets(str(error).rstrip('.'), address)}. "
            "Check the URL, the checksum and the connection, then run again; or download the archive yourself and "
            "give its path as the source."
        ) from None  # the error itself has the whole address, with passwords


def _require_checksum(path: Path, sha256: str | None) -> None:
    if sha256 and (found := pooch.file_hash(str(path))) != sha256.lower():
        raise ValueError(
            f"The archive {path} has the sha256 checksum {found}, but {sha256} is expected: "
            "get the archive again, or correct the checksum in the study's configuration."
        )


def _unpack(archive: Path, folder: Path, domain: str, limits: Unpacking, strict: bool) -> Acquired:
    status = archive.stat()
    stamp = {
        "archive": str(archive.absolute()),
        "bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
        "version": VERSION,
        **asdict(limits),
    }
    require_archive(archive)

    def fill(target: Path) -> None:
        refused = unpack(archive, target, domain, limits, strict)
        (target / REFUSED).write_text(json.dumps(refused))

    _install(folder, stamp, fill)
    return Acquired(folder, json.loads((folder / REFUSED).read_text()))


def _install(folder: Path, stamp: dict, fill: Callable[[Path], None]) -> None:
    """Fill the folder unless its stamp says that this was done; an interrupted attempt does not count."""
    if (folder / STAMP).exists() and json.loads((folder / STAMP).read_text()) == stamp:
        return
    if folder.exists() and any(folder.iterdir()) and not (folder / STAMP).exists():
        raise ValueError(
            f"{folder} holds files that were not unpacked from a source: "
            "move them away, or give the folder itself as the source."
        )
    with replacing_folder(folder) as partial:
        fill(partial)
        (partial / STAMP).write_text(json.dumps(stamp))
