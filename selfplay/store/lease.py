"""A lease by which only one process at a time may write to a run folder. It is renewed while the run lives.

A lease whose process on this machine has died is taken over at once. A lease of another machine (of a job that was requeued here)
is taken over once its last renewal is older than STALE_SECONDS.
"""

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from selfplay.errors import StoreError
from selfplay.store.files import unwritable, write_json

RENEW_SECONDS = 5.0
STALE_SECONDS = 60.0


class Lease:
    """Context manager that holds `lease.json` of a run folder. Raises StoreError if another process holds it."""

    def __init__(self, folder: Path, stale_seconds: float = STALE_SECONDS) -> None:
        self.path = folder / "lease.json"
        self.stale_seconds = stale_seconds
        self.nonce = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True, name="selfplay-lease")

    def __enter__(self) -> "Lease":
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._take()
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._thread.start()
        return self

    def _take(self) -> None:
        holder = _read(self.path)
        if holder is not None:
            if not _is_dead(holder, self.stale_seconds):
                raise StoreError(
                    f"{self.path.parent}: is in use by process {holder.get('pid')} on {holder.get('host')}, seen "
                    f"{time.time() - holder.get('renewed', 0):.0f} s ago; wait for it, or start under another --name"
                )
            self._clear(holder)
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            raise StoreError(
                f"{self.path.parent}: another process has just started to use it; wait for that process, or use another --name"
            ) from None
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(self._content(), file)
        except OSError:  # a full disk: a lease of nobody must not stay
            self.path.unlink(missing_ok=True)
            raise

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self.held():
            self.path.unlink(missing_ok=True)

    def held(self) -> bool:
        """Whether the file still names this lease; False once another process has taken over."""
        holder = _read(self.path)
        return holder is not None and holder.get("nonce") == self.nonce

    def _content(self) -> dict[str, Any]:
        pid = os.getpid()
        return {
            "nonce": self.nonce,
            "host": socket.gethostname(),
            "pid": pid,
            "started": _start_time(pid),
            "renewed": time.time(),
        }

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            if not self.held():
                return
            with suppress(StoreError):  # a full disk: the next write of the run itself says so
                write_json(self.path, self._content())

    def _clear(self, holder: dict[str, Any]) -> None:
        """Removes the file of a dead holder. It is renamed first: if several processes try, the rename succeeds for one."""
        aside = self.path.with_name(f".lease.{holder.get('nonce', 'unknown')}.dead")
        try:
            self.path.rename(aside)
        except FileNotFoundError:
            return
        aside.unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """Whether a living process holds the lease of a run folder, as far as this machine can tell."""
    holder = _read(folder / "lease.json")
    return holder is not None and not _is_dead(holder, STALE_SECONDS)


def _is_dead(holder: dict[str, Any], stale_seconds: float) -> bool:
    if holder.get("host") == socket.gethostname():
        return _start_time(int(holder.get("pid", -1))) != holder.get("started")
    return time.time() - float(holder.get("renewed", 0)) > stale_seconds


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a lease file; an unreadable one, whose writer was killed, counts as that of a dead process."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {"host": socket.gethostname(), "pid": -1, "started": "never"}
    return value if isinstance(value, dict) else {}


def _start_time(pid: int) -> str:
    """The start time of a process on this machine, which tells it from a later one with the same id; "" if it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    try:  # without /proc the process id must suffice
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return ""
    return "alive"
