"""Headless Chromium, driven through its DevTools protocol, for tests of what a person sees on a page."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync", "--disable-extensions"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    *("--remote-debugging-port=0", "--disable-dev-shm-usage"),
)
PATIENCE = 60  # seconds, for a machine whose cores are busy


def find_browser() -> str | None:
    """The path of the environment variable BROWSER_BINARY, or of the first Chromium found; None without one."""
    return os.environ.get("BROWSER_BINARY") or next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Browser:
    """One tab of a browser: it opens a page, answers scripts, and remembers what the page said and asked for."""

    connection: ClientConnection
    session: str = ""
    answers: dict[int, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its result."""
        self.asked += 1
        command = {"id": self.asked, "method": method, "params": parameters}
        self.connection.send(json.dumps(command | ({"sessionId": self.session} if self.session else {})))
        while (answer := self._receive()).get("id") != self.asked:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, page: Path, width: int, dark: bool = False) -> None:
        """Show a page at a width, and wait until its figures are drawn."""
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._receive()
        self.resize(width, dark)

    def resize(self, width: int, dark: bool = False, media: str = "screen") -> None:
        """Show the same page at another width, like a phone below 600 pixels, in light or dark, or as on paper."""
        self.call("Emulation.setEmulatedMedia", media=media, features=[_preferring("dark" if dark else "light")])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))).then(() => true)")
        self.run("Promise.resolve(window.figuresDrawn).then(() => true)")

    def run(self, script: str) -> Any:
        """The value of an expression, awaited if it is a promise."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def screenshot(self, whole: bool = True) -> bytes:
        """What the page looks like, as a PNG; all of it or the part on the screen."""
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        return base64.b64decode(picture["data"])

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings in the console since the page was opened."""
        kinds = {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}
        return [json.dumps(event["params"]) for event in self.events if event["method"] in kinds]

    @property
    def requests(self) -> list[str]:
        """The addresses that the page asked for, without those of the data inside it."""
        sent = [event["params"]["request"]["url"] for event in self.events if "request" in event["params"]]
        return [address for address in sent if not address.startswith("data:")]

    def _receive(self) -> dict[str, Any]:
        message = json.loads(self.connection.recv(timeout=PATIENCE))
        if message.get("method") in {"Page.loadEventFired", "Runtime.exceptionThrown", "Log.entryAdded"} | {
            "Runtime.consoleAPICalled",
            "Network.requestWillBeSent",
        }:
            self.events.append(message)
        return message


@contextmanager
def start_browser(binary: str, folder: Path) -> Iterator[Browser]:
    """A browser with an empty profile in a folder; it ends with the context."""
    process = subprocess.Popen([binary, *OPTIONS, f"--user-data-dir={folder}"], stderr=subprocess.DEVNULL)
    try:
        with connect(_address(folder, process), max_size=None, proxy=None) as connection:
            browser = Browser(connection)
            target = browser.call("Target.createTarget", url="about:blank")["targetId"]
            browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                browser.call(f"{domain}.enable")
            yield browser
    finally:
        process.terminate()
        process.wait()


def _address(folder: Path, process: subprocess.Popen) -> str:
    """Where the browser listens, which it writes into its profile."""
    file, end = folder / "DevToolsActivePort", time.monotonic() + PATIENCE
    while not file.exists() or len(file.read_text().split()) < 2:
        assert process.poll() is None, f"the browser ended with {process.returncode}"
        assert time.monotonic() < end, "the browser does not listen"
        time.sleep(0.05)
    port, path = file.read_text().split()
    return f"ws://127.0.0.1:{port}{path}"


def _preferring(scheme: str) -> dict[str, str]:
    return {"name": "prefers-color-scheme", "value": scheme}
