"""A headless Chromium to look at pages with, driven through the DevTools protocol.

`PIPELINE_TEST_BROWSER` names a browser of one's own; otherwise the one of `chromium_packages` is used.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from websockets.sync.client import ClientConnection, connect

from pipeline_tests.servers import chromium_packages
from pipeline_tests.servers.places import ServerUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_SECONDS: Final = 60.0
_FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
    *("--disable-default-apps", "--no-default-browser-check", "--remote-debugging-port=0"),
)


class Page:
    """One tab.

    Parameters
    ----------
    socket : websockets.sync.client.ClientConnection
        To the browser.
    session : str
        Of the tab.

    """

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self._socket = socket
        self._session = session
        self._number = 0
        self.errors: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser for something, and note what it tells meanwhile."""
        self._number += 1
        message = {"id": self._number, "sessionId": self._session, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        while True:
            told = json.loads(self._socket.recv(timeout=PATIENCE_SECONDS))
            if told.get("id") == self._number:
                if "error" in told:
                    raise AssertionError(f"{method}: {told['error']}")
                return dict(told["result"])
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        parameters = told.get("params", {})
        match told.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in {"error", "warning", "assert"}:
                self.errors.append(json.dumps(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] in {"error", "warning"}:
                self.errors.append(parameters["entry"]["text"])

    def size(self, width: int, height: int) -> None:
        """Make the window so many pixels large."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        """Have the person prefer a light or a dark page."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url: str) -> None:
        """Go to an address, and wait until the page is there."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def evaluate(self, expression: str) -> Any:
        """Run a script in the page and give its value, as JSON has it."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise AssertionError(f"{expression}: {told['exceptionDetails']}")
        return told["result"].get("value")

    def wait(self, expression: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until something is so in the page."""
        deadline = time.monotonic() + seconds
        while not self.evaluate(expression):
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds:.0f} s it is not so: {expression}")
            time.sleep(0.1)

    def screenshot(self) -> bytes:
        """Give a picture of the window, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


def find_browser() -> tuple[Path, dict[str, str]]:
    """Give a browser and the environment it needs, after fetching it the first time.

    Raises
    ------
    ServerUnavailableError
        If this machine cannot have one.

    """
    if named := os.environ.get("PIPELINE_TEST_BROWSER"):
        return Path(named), dict(os.environ)
    root = chromium_packages.installed()
    return chromium_packages.program(root), chromium_packages.environment(root)


@contextmanager
def running_browser() -> Iterator[Callable[[], Page]]:
    """Run a browser; gives what opens a new tab.

    Raises
    ------
    ServerUnavailableError
        If there is none, or it does not start.

    """
    program, environment = find_browser()
    with tempfile.TemporaryDirectory(prefix="pipeline-browser-") as profile:
        command = [str(program), *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        log = Path(profile) / "log"
        with log.open("w") as said:
            process = subprocess.Popen(
                command, env={**environment, "HOME": profile}, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        try:
            address = _address(process, log)
            with connect(address, max_size=None, proxy=None, open_timeout=PATIENCE_SECONDS) as socket:
                yield lambda: _new_page(socket)
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        said = log.read_text(errors="replace")
        if found := re.search(r"DevTools listening on (ws://\S+)", said):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise ServerUnavailableError(f"the browser does not start: {log.read_text(errors='replace')[-500:]}")


def _new_page(socket: ClientConnection) -> Page:
    asked = {"id": 0, "method": "Target.createTarget", "params": {"url": "about:blank"}}
    target = _answer(socket, asked)["targetId"]
    asked = {"id": 0, "method": "Target.attachToTarget", "params": {"targetId": target, "flatten": True}}
    return Page(socket, _answer(socket, asked)["sessionId"])


def _answer(socket: ClientConnection, asked: dict[str, Any]) -> dict[str, Any]:
    socket.send(json.dumps(asked))
    while (told := json.loads(socket.recv(timeout=PATIENCE_SECONDS))).get("id") != 0:
        pass
    return dict(told["result"])
