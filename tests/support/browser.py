"""A real headless Chromium for tests of pages."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class Browser:
    """Chromium over its debugging pipe: one page, what it fetched and what it complained of."""

    def __init__(self, binary: str, profile: Path) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        os.set_inheritable(to_read, True)
        os.set_inheritable(to_write, True)
        command = [
            *("bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "sh", binary, "--headless", "--no-sandbox"),
            *(
                "--disable-gpu",
                "--hide-scrollbars",
                "--remote-debugging-pipe",
                f"--user-data-dir={profile}",
                "about:blank",
            ),
        ]
        self._process = subprocess.Popen(
            command, pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        self._buffer, self._id, self._session = b"", 0, ""
        self.fetched: list[str] = []
        self.complaints: list[str] = []
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = os.read(self._read, 65536)
            assert chunk, "the browser closed its pipe"
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        told = found.get("params", {})
        if found.get("method") == "Network.requestWillBeSent":
            self.fetched.append(told["request"]["url"])
        if found.get("method") in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.complaints.append(json.dumps(told)[:300])
        return found

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends one command and gives its result."""
        self._id += 1
        message = {"id": self._id, "method": method, "params": params} | (
            {"sessionId": self._session} if self._session else {}
        )
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (found := self._next()).get("id") != self._id:
            pass
        assert "error" not in found, found
        result: dict[str, Any] = found["result"]
        return result

    def open(self, page: Path | str, width: int) -> None:
        """Loads a file or an address at a width and waits for its load event."""
        self.fetched.clear()
        self.complaints.clear()
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        self._loaded()

    def _loaded(self) -> None:
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def click(self, selector: str) -> None:
        """Scrolls to the first element that the selector names, presses the mouse on its middle and waits for the page that opens."""
        place = f"""(() => {{
          const found = document.querySelector({json.dumps(selector)});
          if (!found) return null;
          found.scrollIntoView({{block: 'center'}});
          const box = found.getClientRects()[0];
          return [box.left + box.width / 2, box.top + box.height / 2];
        }})()"""
        spot = self.evaluate(place)
        assert spot is not None, f"the page has no {selector}"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=spot[0], y=spot[1], button="left", clickCount=1)
        self._loaded()

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; the page's own policy does not bind it."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def close(self) -> None:
        """Ends the browser."""
        os.close(self._write)
        os.close(self._read)
        self._process.terminate()
        self._process.wait(20)


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """An open browser; the test is skipped where none is installed."""
    binary = next((found for name in NAMES if (found := shutil.which(name))), None)
    if binary is None:
        pytest.skip(f"needs a Chromium, none of {', '.join(NAMES)} is installed; apt-get install chromium")
    opened = Browser(binary, profile)
    try:
        yield opened
    finally:
        opened.close()
