"""Headless Chromium, driven over a pipe by its DevTools protocol: no package, no port.

https://chromedevtools.github.io/devtools-protocol/, ``--remote-debugging-pipe``: JSON messages that
end in a zero byte, read from descriptor 3 and written to descriptor 4.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

REPOSITORY = Path(__file__).parent.parent
UNPACKED = REPOSITORY / "build" / "browser"
"""Where ``.ci/browser`` puts one."""
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
_TIMEOUT_S = 60.0


def find_browser() -> list[str] | None:
    """The command of a Chromium: the unpacked one, else one that is installed."""
    unpacked = UNPACKED / "usr/lib/chromium/chromium-headless-shell"
    if unpacked.is_file():
        return [str(unpacked)]
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    return None if found is None else [found]


@dataclass
class Seen:
    """What a page did while it was open."""

    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


class Browser:
    """One page at a time; made by ``browser``."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._number = 0
        self._buffer = b""
        self._events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session: str | None = None
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command and its answer; events that come meanwhile are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if getattr(self, "_session", None) is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                result: dict[str, Any] = answer["result"]
                return result
            self._events.append(answer)

    def open(
        self, page: Path, *, width: int, height: int, scheme: Literal["light", "dark"]
    ) -> Seen:
        """Load a file as a screen of that width (CSS pixels) and colour scheme shows it."""
        phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self._events.clear()
        url = page.absolute().as_uri()
        self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            self._events.append(self._next())
        self.call("Runtime.evaluate", expression="0")  # what is under way comes before its answer
        seen = Seen()
        for event in self._events:
            found = event["params"]
            match event["method"]:
                case "Network.requestWillBeSent":
                    asked = found["request"]["url"]
                    if asked != url and not asked.startswith("data:"):
                        seen.requests.append(asked)
                case "Log.entryAdded":
                    seen.errors.append(found["entry"]["text"])
                case "Runtime.exceptionThrown" | "Runtime.consoleAPICalled":
                    seen.errors.append(json.dumps(found))
        return seen

    def value(self, expression: str) -> Any:
        """Of a JavaScript expression, as JSON."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self, file: Path) -> None:
        """The whole page as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._from, 1 << 20)
            assert piece, "the browser has ended"
            self._buffer += piece
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message


@contextmanager
def browser(command: list[str], profile: Path) -> Iterator[Browser]:
    """A running browser that keeps its files in ``profile``; it is ended with the block."""
    to_browser, from_browser = os.pipe(), os.pipe()

    def as_3_and_4() -> None:
        reading, writing = os.dup(to_browser[0]), os.dup(from_browser[1])
        os.dup2(reading, 3)
        os.dup2(writing, 4)

    libraries = [*UNPACKED.glob("usr/lib/*-linux-gnu"), *UNPACKED.glob("usr/lib/*/pulseaudio")]
    options = [
        "--headless",
        "--remote-debugging-pipe",
        "--no-sandbox",  # as root there is none
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        f"--user-data-dir={profile}",
    ]
    process = subprocess.Popen(
        [*command, *options],
        env={**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries)), "HOME": str(profile)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=as_3_and_4,
        pass_fds=(3, 4),
    )
    os.close(to_browser[0])
    os.close(from_browser[1])
    try:
        yield Browser(to_browser[1], from_browser[0])
    finally:
        os.close(to_browser[1])
        os.close(from_browser[0])
        process.terminate()
        process.wait(timeout=_TIMEOUT_S)
