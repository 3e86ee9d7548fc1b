"""Download archives over HTTP and FTP: whole ones only, at a bearable speed, without showing passwords."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import pooch
import requests
import urllib3

from mixvision.images.archive_kinds import require_archive
from mixvision.progress import progress

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
        _watched(lambda given_up: _download_by_http(address, Path(file), given_up), Path(file))
    else:
        by_ftp = pooch.core.choose_downloader(address, progressbar=True)
        _watched(lambda _: by_ftp(address, file, mirror), Path(file))
    try:
        require_archive(Path(file))
    except ValueError as error:
        raise ValueError(str(error).replace(str(file), "what arrived")) from None


def _watched(fetch: Callable[[Event], None], file: Path) -> None:
    """Fetch a file in a thread, which is given up if too little arrives: headers may come byte by byte for ever.

    Args:
        fetch: writes the file; ends soon after it is given up, if it can.
        file: whose size is looked at.

    Raises:
        OSError: it arrives too slowly, is too large, or cannot be had.
    """
    errors: list[Exception] = []
    given_up = Event()

    def run() -> None:
        try:
            fetch(given_up)
        except Exception as error:
            errors.append(error)

    def received() -> int:
        return file.stat().st_size if file.exists() else 0

    thread = Thread(target=run, daemon=True)
    thread.start()
    before = 0
    try:
        while thread.is_alive():
            thread.join(WINDOW)
            now = received()
            if thread.is_alive() and now - before < SLOWEST * WINDOW:
                raise OSError(f"only {now - before} bytes arrived in {WINDOW:.0f} seconds")
            if now > MOST:
                raise OSError(f"over {MOST} bytes arrived")
            before = now
    finally:
        given_up.set()
    for error in errors:
        if isinstance(error, urllib3.exceptions.HTTPError):  # neither an OSError nor a ValueError
            raise OSError(str(error)) from error
        raise error


def _download_by_http(address: str, file: Path, given_up: Event) -> None:
    name = Path(urlsplit(address).path).name
    with requests.get(address, stream=True, timeout=WAIT, headers={"Accept-Encoding": "identity"}) as answer:
        answer.raise_for_status()
        encoding = answer.headers.get("Content-Encoding", "").strip().lower()
        announced = answer.headers.get("Content-Length", "")
        expected = int(announced) if announced.isdigit() else None
        received = 0
        with (
            file.open("wb") as target,
            progress(desc=f"downloading {name}", total=expected, unit="B", unit_scale=True) as bar,
        ):
            while block := answer.raw.read1(2**16):  # what has arrived; read would wait for all of it
                if given_up.is_set():
                    return
                target.write(block)
                received += len(block)
                bar.update(len(block))
    if encoding not in NO_ENCODING:  # it was asked for none
        raise OSError(f"it was sent compressed ({encoding}), which is not supported")
    if expected is not None and received != expected:
        raise OSError(f"{received} of {expected} bytes arrived")
