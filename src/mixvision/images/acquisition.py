"""Fetch a source's files, once: unpack archives, download URLs, write samples."""

from __future__ import annotations

import hashlib
import json
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pooch
from tqdm import tqdm

from mixvision.images.folders import replacing
from mixvision.images.layout import is_ignored, root_of
from mixvision.images.samples import SAMPLES

STAMP = ".source.json"
SAMPLE_PREFIX = "package:"
ARCHIVE_SUFFIXES = {"tar", "tgz", "tbz", "tbz2", "txz", "zip"}
DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError)


def acquire(source: str, folder: Path, downloads: Path, sha256: str | None, domain: str) -> Path:
    """Return the folder with the source's files, after downloading or unpacking them if needed.

    Args:
        source: a folder (used in place), a tar or zip archive, a URL (http, https, ftp), or
            "package:<sample>".
        folder: where an archive is unpacked or a sample is written; replaced when the source changes.
        downloads: where downloaded archives are kept.
        sha256: checksum of the archive, in hexadecimal; None accepts any.
        domain: if an archive holds a folder of this name, only that folder is unpacked.

    Raises:
        FileNotFoundError, ValueError, OSError: the source is missing or unusable; the message says what to do.
    """
    require_source(source, domain)
    if source.startswith(SAMPLE_PREFIX):
        return _write_sample(source.removeprefix(SAMPLE_PREFIX), folder)
    path = _download(source, downloads, sha256) if "://" in source else Path(source).expanduser()
    if path.is_dir():
        return path
    _require_checksum(path, sha256)
    return _unpack(path, folder, domain)


def require_source(source: str, domain: str) -> None:
    """Refuse a folder or archive that does not exist; URLs and samples are checked only when fetched.

    Raises:
        FileNotFoundError: with the path that was looked for, and what to do.
    """
    path = Path(source).expanduser()
    if not (source.startswith(SAMPLE_PREFIX) or "://" in source or path.exists()):
        raise FileNotFoundError(
            f"The source of {domain!r} images, {source!r}, does not exist: looked for {path.absolute()}. "
            f"Put the images there or give another source: --params={domain}=<folder, archive or URL>."
        )


def _write_sample(name: str, folder: Path) -> Path:
    if name not in SAMPLES:
        raise ValueError(f"The source is 'package:{name}', but the bundled samples are {', '.join(SAMPLES)}.")
    write, distribution = SAMPLES[name]
    _install(folder, {"package": distribution, "version": version(distribution), "sample": name}, write)
    return folder


def _download(address: str, downloads: Path, sha256: str | None) -> Path:
    """The downloaded archive; pooch writes to a temporary file first, so an existing one is complete."""
    name = PurePosixPath(urlsplit(address).path).name or "archive"
    name = f"{hashlib.sha256(address.encode()).hexdigest()[:8]}-{name}"
    try:
        known_hash = f"sha256:{sha256}" if sha256 else None
        return Path(pooch.retrieve(address, known_hash, fname=name, path=downloads, progressbar=True))
    except (OSError, ValueError) as error:
        raise OSError(
            f"Could not download {address}: {error}. Check the URL, the checksum and the connection, "
            f"then run again; or download the archive yourself and give its path as the source."
        ) from error


def _require_checksum(path: Path, sha256: str | None) -> None:
    if sha256 and (found := pooch.file_hash(str(path))) != sha256.lower():
        raise ValueError(
            f"The archive {path} has the sha256 checksum {found}, but {sha256} is expected: "
            "get the archive again, or correct the checksum in the study's configuration."
        )


def _unpack(archive: Path, folder: Path, domain: str) -> Path:
    status = archive.stat()
    stamp = {"archive": str(archive.absolute()), "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    if tarfile.is_tarfile(archive):
        unpack = _unpack_tar
    elif zipfile.is_zipfile(archive):
        unpack = _unpack_zip
    elif ARCHIVE_SUFFIXES.intersection(archive.name.lower().split(".")):
        raise ValueError(f"The archive {archive} is damaged: download or copy it again.")
    else:
        raise ValueError(f"{archive} is neither a folder nor a tar or zip archive: give one of these as the source.")

    def fill(target: Path) -> None:
        try:
            unpack(archive, target, domain)
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno:  # a full disk, say
                raise
            raise ValueError(
                f"The archive {archive} is damaged, encrypted or unsafe ({error}): download or copy it again."
            ) from error

    _install(folder, stamp, fill)
    return folder


def _install(folder: Path, stamp: dict, fill: Callable[[Path], None]) -> None:
    """Fill the folder unless its stamp says that this was done; an interrupted attempt does not count."""
    if (folder / STAMP).exists() and json.loads((folder / STAMP).read_text()) == stamp:
        return
    if folder.exists() and any(folder.iterdir()) and not (folder / STAMP).exists():
        raise ValueError(
            f"{folder} holds files that were not unpacked from a source: "
            "move them away, or give the folder itself as the source."
        )
    with replacing(folder) as partial:
        fill(partial)
        (partial / STAMP).write_text(json.dumps(stamp))


def _unpack_tar(archive: Path, target: Path, domain: str) -> None:
    with tarfile.open(archive) as tar:
        members = [member for member in _all_members(tar) if not member.isdir()]
        root = root_of([_member_path(member.name) for member in members], domain)
        wanted = [member for member in members if _is_wanted(_member_path(member.name), root)]
        for member in tqdm(wanted, desc=f"unpacking {archive.name}", unit="file"):
            # Many archives have one modification time for all files; the time of unpacking tells versions apart.
            tar.extract(member.replace(mtime=None, deep=False), target, filter="data")


def _all_members(tar: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """The members of an undamaged archive; tarfile itself would take a damaged header for the archive's end."""
    members = tar.getmembers()
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError("a header in it is damaged")
    while tar.fileobj.read(2**20):  # a compressed archive's checksum is at its end
        pass
    return members


def _unpack_zip(archive: Path, target: Path, domain: str) -> None:
    with zipfile.ZipFile(archive) as packed:
        members = [member for member in packed.infolist() if not member.is_dir()]
        root = root_of([_member_path(member.filename) for member in members], domain)
        wanted = [member for member in members if _is_wanted(_member_path(member.filename), root)]
        for member in tqdm(wanted, desc=f"unpacking {archive.name}", unit="file"):
            packed.extract(member, target)  # zipfile itself keeps names inside the target


def _member_path(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} would lie outside the folder it is unpacked to")
    return path


def _is_wanted(path: PurePosixPath, root: PurePosixPath) -> bool:
    return path.is_relative_to(root) and not is_ignored(path)
