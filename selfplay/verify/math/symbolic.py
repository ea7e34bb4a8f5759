"""Compares symbolically in long-lived worker processes, which are asked over a pipe and killed at the deadline.

A worker is a fresh interpreter, never a fork of ours, and inherits nothing (no environment, no descriptor but its pipes). Each
caller's thread borrows one; a killed one is replaced at once.
"""

import atexit
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from selfplay.errors import OutageError
from selfplay.verify.child_process import Late, Lines, kill_group

START_SECONDS = 60.0
"""Seconds until a worker that is not ready counts as an outage; it imports sympy, which takes about two CPU seconds."""
RETRY_SECONDS = 60.0
"""Seconds without another try after a worker that did not start, since each question would wait for it."""
_HERE = Path(__file__).parent
_LAUNCH = """
import json, runpy, sys, types
here, places = json.loads(sys.argv[1])
sys.path.extend(places)
# the worker's modules under their names, without what the packages above them import
for name in ("selfplay", "selfplay.verify", "selfplay.verify.math"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [here] if name.endswith("math") else []
runpy.run_module("selfplay.verify.math.worker", run_name="__main__")
"""
_PACKAGES = ("math_verify", "latex2sympy2_extended", "antlr4", "sympy", "mpmath")


class Overrun(Exception):
    """Raised if the worker did not answer in time, or died on the question; it has been killed and replaced."""


def _places() -> list[str]:
    """Folders that hold the packages, for an interpreter that inherits no path."""
    found = []
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            found.append(str(Path(spec.origin).parent.parent))
    return sorted(set(found))


class _Worker:
    """One worker process. It is not thread-safe: a caller borrows it for itself."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.ready = False
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _LAUNCH, json.dumps([str(_HERE), _places()])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
            cwd="/",
            start_new_session=True,
        )

        assert self.process.stdout is not None
        self.lines = Lines(self.process.stdout.fileno())

    def wait_ready(self) -> None:
        """Raises OutageError where it does not come up."""
        if not self.ready:
            line = self._line(time.monotonic() + START_SECONDS)
            if line is None:
                self.kill()
                _outage.until = time.monotonic() + RETRY_SECONDS
                _outage.message = (
                    f"math worker: it ended at its start, or took over {START_SECONDS:.0f} s; "
                    f"see whether `{sys.executable} -c 'import math_verify, latex2sympy2_extended.latex2sympy2'` works"
                )
                raise OutageError(_outage.message)
            self.ready = True

    def ask(self, question: dict[str, Any], end: float) -> dict[str, Any] | None:
        """The reply, or None where it is not there at `end` (monotonic seconds) or the worker died."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(question).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            return None
        line = self._line(end)
        return json.loads(line) if line else None

    def _line(self, end: float) -> bytes | None:
        try:
            return self.lines.read(end)
        except (Late, EOFError):
            return None

    def kill(self) -> None:
        """Ends the process and everything that it started."""
        kill_group(self.process)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class _Outage:
    """The last worker that did not come up."""

    until = 0.0
    message = ""


_outage = _Outage()
_idle: list[_Worker] = []
_lock = threading.Lock()


def _borrow() -> _Worker:
    with _lock:
        if time.monotonic() < _outage.until:
            raise OutageError(_outage.message)
        # workers of the process that forked us are not ours to use
        while _idle:
            worker = _idle.pop()
            if worker.owner == os.getpid():
                return worker
    return _Worker()


def _give_back(worker: _Worker) -> None:
    with _lock:
        _idle.append(worker)


def warm_up() -> None:
    """Starts one worker and waits until it is ready; the first question then answers within its own deadline."""
    worker = _borrow()
    worker.wait_ready()
    _give_back(worker)


def close() -> None:
    """Ends all idle workers; the next question starts a fresh one."""
    with _lock:
        workers = [w for w in _idle if w.owner == os.getpid()]
        _idle.clear()
    for worker in workers:
        worker.kill()


atexit.register(close)


def _ask(question: dict[str, Any], end: float) -> dict[str, Any]:
    started = time.monotonic()
    worker = _borrow()
    cold = not worker.ready
    worker.wait_ready()
    if cold:
        # a slow start is not the question's fault: half of its time is kept for it in any case
        end = max(end, time.monotonic() + (end - started) / 2)
    # the worker gives up a little earlier by itself, which spares starting another
    reply = worker.ask(question | {"seconds": max(0.01, 0.8 * (end - time.monotonic()))}, end)
    if reply is None:
        worker.kill()
        _give_back(_Worker())
        raise Overrun
    _give_back(worker)
    return reply


def same(gold: str, answer: str, end: float) -> bool | str:
    """Whether two LaTeX expressions are equal, or which of them ("gold", "answer") cannot be read.

    `end` is in `time.monotonic()` seconds; raises Overrun past it and OutageError where no worker comes up.
    """
    reply = _ask({"gold": gold, "answer": answer}, end)
    return reply["unread"] if "unread" in reply else bool(reply["same"])


def value(latex: str, end: float) -> str | None:
    """The real value of a LaTeX expression to 50 digits, as decimal text; None where it has none. Raises as `same`."""
    found: str | None = _ask({"gold": latex, "answer": None}, end).get("value")
    return found


def readable(latex: str, end: float) -> bool:
    """Whether the worker can read a LaTeX expression. Raises as `same`."""
    return "unread" not in _ask({"gold": latex, "answer": None}, end)
