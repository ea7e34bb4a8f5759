"""The worker's end of the socket to the caller: chunks of jobs come in, rows of results go out."""

import json
import marshal
import socket
import time
from typing import Any

from selfplay.sandbox import judge
from selfplay.sandbox.judge import Verdict
from selfplay.sandbox.zygote import CallerGone

_FLUSH_SECONDS = 0.02


def row_of(index: int, verdict: Verdict, attempts: int) -> list[Any]:
    """A verdict as the caller reads it (`Batch.done`)."""
    end = verdict.end
    figures = [round(end.cpu, 6), round(end.wall, 6), end.peak] if end else [0.0, 0.0, 0]
    output = judge.tail(end) if end else ""
    statuses = [status.value for status in verdict.tests]
    return [index, verdict.status.value, statuses, verdict.error, output, *figures, verdict.trust, attempts]


class Channel:
    """The socket to the caller: chunks of jobs come in, results go out in small bundles."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._rows, self._since = sock, list[Any](), 0.0

    def chunk(self) -> Any:
        """The next chunk of jobs. Raises `CallerGone` when the caller has ended."""
        head = self._exactly(4)
        return marshal.loads(self._exactly(int.from_bytes(head, "little")))

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._sock.recv(min(size - len(data), 1 << 20))
            if not more:
                raise CallerGone
            data += more
        return data

    def put(self, row: list[Any], now: bool) -> None:
        """Send a result: at once if `now`, else together with the next ones."""
        if not self._rows:
            self._since = time.monotonic()
        self._rows.append(row)
        if now or time.monotonic() - self._since > _FLUSH_SECONDS:
            data = json.dumps(self._rows).encode()
            self._rows = []
            try:
                self._sock.sendall(len(data).to_bytes(4, "little") + data)
            except OSError:
                raise CallerGone from None
