"""Headless Chromium over the pipe of its own DevTools protocol: no port, no driver, no library.

Messages are JSON ended by a zero byte; Chromium reads them from descriptor 3 and writes them to descriptor 4.
"""

from __future__ import annotations

import base64
import io
import json
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update",
    "--disable-background-networking", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE_S = 60.0


def program() -> str | None:
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Page:
    """One tab. `events` are all messages that weren't answers, in order."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._poll = selectors.DefaultSelector()
        self._poll.register(read, selectors.EVENT_READ)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its answer. Raises RuntimeError where Chromium refuses it."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE_S
        while True:
            answer = self._next(until)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self.events.append(answer)

    def open(self, url: str, width: int, dark: bool) -> None:
        """Show a page and wait until it has loaded; `events` then are those of this page."""
        self.events.clear()
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media="screen", features=[scheme])
        self.ask("Page.navigate", url=url)
        until = time.monotonic() + PATIENCE_S
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next(until))
        self.ask("Runtime.evaluate", expression="document.fonts.ready.then(() => true)", awaitPromise=True)

    def scripts(self, run: bool) -> None:
        """Whether the scripts of pages that are opened from now on run."""
        self.ask("Emulation.setScriptExecutionDisabled", value=not run)

    def move(self, x: float, y: float) -> None:
        """Move the mouse to a place of the window."""
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def until(self, expression: str) -> Any:
        """The first value of an expression that isn't false. Raises TimeoutError."""
        end = time.monotonic() + PATIENCE_S
        while not (value := self.value(expression)):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {expression}")
        return value

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives; of a promise, what it comes to."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pixel(self, x: float, y: float) -> tuple[int, int, int]:
        """The colour that is painted at a place of the page."""
        clip = {"x": x, "y": y, "width": 1, "height": 1, "scale": 1}
        shot = self.ask("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as image:
            red, green, blue = image.convert("RGB").tobytes()[:3]
        return red, green, blue

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not self._poll.select(max(0.0, until - time.monotonic())):
                raise TimeoutError("Chromium doesn't answer")
            got = os.read(self._read, 1 << 20)
            if not got:
                raise RuntimeError("Chromium has ended")
            self._buffer += got
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browser(path: str, profile: Path) -> Iterator[Page]:
    """A fresh Chromium with one tab; it is ended, with all its processes, at the end."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()

    def wire() -> None:  # between fork and exec: the descriptors that Chromium expects
        for fd, wanted in ((os.dup(to_read), 3), (os.dup(from_write), 4)):
            os.dup2(fd, wanted)

    process = subprocess.Popen(
        [path, *FLAGS, f"--user-data-dir={profile}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=wire,
        close_fds=False,
        start_new_session=True,
    )
    os.close(to_read)
    os.close(from_write)
    try:
        yield Page(to_write, from_read)
    finally:
        os.killpg(process.pid, 15)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait(10)
        os.close(to_write)
        os.close(from_read)
