"""Download archives over HTTP and FTP: whole ones only, at a bearable speed, without showing passwords."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests
import urllib3
from tqdm import tqdm

from mixvision.images.archive_kinds import require_archive

WAIT = 60  # seconds without an answer
MOST = 1_000_000_000_000  # bytes
# What some servers say of .tar.gz, which is kept as it is.
NO_ENCODING = {"", "identity", "gzip", "x-gzip", "none", "binary", "utf-8"}
WINDOW, SLOWEST = 120.0, 10_000  # seconds, and bytes a second that must arrive in them


def download(address: str, file: str | Path, mirror: Any) -> None:
    """Download an archive, as pooch asks for; what is not a whole archive is not kept.

    Raises:
        OSError, ValueError: it cannot be had, arrives too slowly, ends early, or is no archive.
    """
    if urlsplit(address).scheme in ("http", "https"):
        try:
            _download_by_http(address, Path(file))
        except urllib3.exceptions.HTTPError as error:  # neither kind of the two
            raise OSError(str(error)) from error
    else:
        pooch.core.choose_downloader(address, progressbar=True)(address, file, mirror)
    try:
        require_archive(Path(file))
    except ValueError as error:
        raise ValueError(str(error).replace(str(file), "what arrived")) from None


def _download_by_http(address: str, file: Path) -> None:
    name = Path(urlsplit(address).path).name
    with requests.get(address, stream=True, timeout=WAIT, headers={"Accept-Encoding": "identity"}) as answer:
        answer.raise_for_status()
        encoding = answer.headers.get("Content-Encoding", "").strip().lower()
        announced = answer.headers.get("Content-Length", "")
        expected = int(announced) if announced.isdigit() else None
        began, since, received = time.monotonic(), 0, 0
        with (
            file.open("wb") as target,
            tqdm(desc=f"downloading {name}", total=expected, unit="B", unit_scale=True) as bar,
        ):
            while block := answer.raw.read1(2**16):  # what has arrived; read would wait for all of it
                target.write(block)
                received += len(block)
                bar.update(len(block))
                if received > MOST:
                    raise OSError(f"over {MOST} bytes arrived")
                if time.monotonic() - began > WINDOW:
                    if received - since < SLOWEST * WINDOW:
                        raise OSError(f"only {received - since} bytes arrived in {WINDOW:.0f} seconds")
                    began, since = time.monotonic(), received
    if encoding not in NO_ENCODING:  # it was asked for none
        raise OSError(f"it was sent compressed ({encoding}), which is not supported")
    if expected is not None and received != expected:
        raise OSError(f"{received} of {expected} bytes arrived")
