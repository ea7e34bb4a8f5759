"""Runs a server for its owner and ends it with the owner: `python -I keeper.py COMMAND...`; standard library only.

The owner holds the other end of stdin. When that closes, or the owner is gone, the whole process group of the server is ended, so that
no engine keeps a GPU after its run was killed.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

GRACE_SECONDS = 10.0
"""How long a server may take to end when it is asked to."""
_PR_SET_PDEATHSIG = 1


def _die_with_the_keeper() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _told_to_end(owner: int) -> bool:
    """Waits half a second; whether the owner closed stdin or is gone (a fork of it may still hold the other end)."""
    readable, _, _ = select.select([0], [], [], 0.5)
    return os.getppid() != owner or (bool(readable) and not os.read(0, 1))


def _end(server: "subprocess.Popen[bytes]") -> int:
    """Ends the server's process group; returns the exit code of the server."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
        late = time.monotonic() + GRACE_SECONDS
        while server.poll() is None and time.monotonic() < late:
            time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    return server.wait()


def _stop(number: int, frame: object) -> None:
    sys.exit(128 + number)


def main(command: list[str]) -> int:
    """Runs the command until it ends or the owner does; returns its exit code."""
    owner = os.getppid()
    signal.signal(signal.SIGTERM, _stop)
    server = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_die_with_the_keeper
    )
    code = None
    try:
        while code is None and not _told_to_end(owner):
            code = server.poll()
    finally:
        ended = _end(server)
    return ended if code is None else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) % 256)
