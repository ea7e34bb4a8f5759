"""A thread that follows a growing file of training rows."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from selfplay.tracking.sent import parse


class Follower:
    """Tails one curve file from a thread and hands its new rows to `send`; made by `Tracker.follow`.

    `send` must not raise. Only whole lines are taken; a file that shrank (its phase started again) is read from its
    start, and the receiver's mark keeps rows from being sent twice.
    """

    def __init__(self, curve: Path, send: Callable[[list[dict[str, Any]]], None], every: float = 0.5) -> None:
        self._curve, self._send, self._every = curve, send, every
        self._offset = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._tail, name="tracking", daemon=True)
        self._thread.start()

    def _tail(self) -> None:
        while not self._stopped.wait(self._every):
            self._drain()

    def _drain(self) -> None:
        try:
            with self._curve.open("rb") as file:
                if file.seek(0, os.SEEK_END) < self._offset:
                    self._offset = 0
                file.seek(self._offset)
                added = file.read()
        except OSError:  # not written yet, or out of reach for now: the next look has it
            return
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        if whole:
            self._send(parse(whole))

    def stop(self) -> None:
        """Sends what is left and ends the thread; a second call does nothing."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._thread.join()
            self._drain()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
