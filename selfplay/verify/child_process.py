"""A fresh interpreter that is asked over two pipes, one line of JSON each way, with a deadline.

It is for code that may hang or crash but is not hostile: it keeps the user's environment and is not isolated, and it can be killed
with everything that it started. It is never a fork of ours (threads, locks, CUDA), and it ends when we do: at the end of its pipe
where it is idle, by the kernel's signal where it is busy (`follow_parent`).
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MAX_REPLY = 2**20
"""Bytes of one reply; a longer one counts as no reply."""
_SET_PARENT_DEATH_SIGNAL = 1


class Late(Exception):
    """No reply came by the deadline."""


class Ended(Exception):
    """The process ended, or wrote something else than a reply, and has been killed; the message says how it ended."""


class Lines:
    """Lines that a process writes to a pipe, read with a deadline."""

    def __init__(self, stream: int) -> None:
        self._stream, self._buffer = stream, b""

    def read(self, end: float) -> bytes:
        """The next line. Raises Late at `end` (monotonic seconds), EOFError where the pipe ends or a line is too long."""
        while b"\n" not in self._buffer:
            wait_for(self._stream, select.POLLIN, end)
            piece = os.read(self._stream, 65536)
            if not piece or len(self._buffer) > MAX_REPLY:
                raise EOFError
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


def wait_for(stream: int, event: int, end: float) -> None:
    """Waits until a pipe can be read or written. Raises Late at `end` (monotonic seconds)."""
    poll = select.poll()
    poll.register(stream, event)
    if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
        raise Late


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills a process that leads its session, with everything that it started there."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class ChildProcess:
    """One process. Not thread-safe. It imports `module` and calls its `serve(source, sink, parent)`: two pipes, our process id.

    Each question has a `number`, which its reply repeats.
    """

    def __init__(self, module: str) -> None:
        self.owner = os.getpid()
        theirs, self._out = os.pipe()
        self._in, answers = os.pipe()
        begin = f"import sys; sys.path.append({str(ROOT)!r}); from {module} import serve; serve({theirs}, {answers}, {self.owner})"
        try:
            # -P: what lies in the working folder is not imported instead of a library
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", begin],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs, answers),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._out)
            os.close(self._in)
            raise
        finally:
            os.close(theirs)
            os.close(answers)
        os.set_blocking(self._out, False)
        self._lines, self._number = Lines(self._in), 0
        self._end = weakref.finalize(self, _ended, self.process, self._out, self._in, self.owner)

    @property
    def alive(self) -> bool:
        """Whether it can be asked by this process."""
        return self._end.alive and self.owner == os.getpid() and self.process.poll() is None

    def ask(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Its reply. Raises Late and Ended; it is killed then."""
        end = time.monotonic() + seconds
        self._number += 1
        try:
            self._send(json.dumps({"number": self._number, **message}).encode() + b"\n", end)
            reply = json.loads(self._lines.read(end))
        except Late:
            self.close()
            raise
        except (OSError, ValueError, EOFError, RecursionError):
            self.close()
            raise Ended(_how(self.process.returncode)) from None
        if not isinstance(reply, dict) or reply.get("number") != self._number:
            self.close()
            raise Ended("its process wrote what is no reply to the question")
        return reply

    def close(self) -> None:
        """Kills it and what it started; safe to call twice."""
        self._end()

    def _send(self, data: bytes, end: float) -> None:
        rest = memoryview(data)
        while rest:
            wait_for(self._out, select.POLLOUT, end)
            rest = rest[os.write(self._out, rest) :]


def _ended(process: subprocess.Popen[bytes], out: int, answers: int, owner: int) -> None:
    """Kills the process with its group, and closes the pipes; in a fork of the owner only the latter."""
    os.close(out)
    os.close(answers)
    if owner != os.getpid():
        process.returncode = process.returncode or 0  # not ours to wait for
        return
    kill_group(process)


def _how(code: int | None) -> str:
    """How a process ended, in words. A kill of our own (it had closed its pipe and was still there) is no news."""
    if code is None or code == -signal.SIGKILL:
        return "its process was killed, or closed its pipe"
    if code < 0:
        return f"its process was ended by {signal.Signals(-code).name}"
    return f"its process ended with exit code {code}"


# ---- the other end ----


def follow_parent(parent: int) -> None:
    """Has this process killed when the thread that started it ends, however that ends; at once where that is over already.

    Where that thread is not the whole parent, the parent finds the process gone and starts another.
    """
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
