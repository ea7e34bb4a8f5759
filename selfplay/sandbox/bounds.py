"""Limits on what a judge spends on a program's answers: seconds of wall time and CPU, bytes of memory.

Test code runs on values that a program chose (`list(range(answer))`), and values have to be read before they can be compared. Both
could take more time and memory than the machine has.
"""

import contextlib
import ctypes
import resource
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from selfplay.sandbox.call_recorder import TooLong
from selfplay.sandbox.jobs import Limits

_MEMORY = 2 << 30
"""Bytes on top of what the judge already uses."""


class Unreadable(Exception):
    """A program's answers could not be read within the limits."""


def end_with_parent() -> None:
    """Have this process killed when its parent ends, however busy it is; on Linux alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def listen() -> None:
    """Make the alarms of this process raise `TooLong` in the code that is running."""
    signal.signal(signal.SIGALRM, _alarm)
    signal.signal(signal.SIGVTALRM, _alarm)


def _alarm(number: int, frame: FrameType | None) -> NoReturn:
    raise TooLong


def arm(wall: float, cpu: float, kill: float) -> None:
    """Raise `TooLong` after these seconds; where that cannot interrupt (one long C call), end this process after `kill` seconds.

    The caller recognises the signal and blames the program (`Batch.give_back`). 0: no limit.
    """
    signal.setitimer(signal.ITIMER_REAL, wall)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu)
    signal.setitimer(signal.ITIMER_PROF, kill)


def _address_space() -> int:
    """Bytes of address space that this process uses; -1 where there is no /proc."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return -1


class Bounds:
    """The limits of one judge."""

    def __init__(self) -> None:
        self._space = self._hard = -1  # soft limit of address space for hostile values, and the hard one; -1: none
        self.measure()

    def measure(self) -> None:
        """Set the memory limit relative to what this process uses now, including modules that tests have imported."""
        size = _address_space() if sys.platform == "linux" else -1
        self._hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        room = size + _MEMORY
        self._space = room if size > 0 and (self._hard < 0 or room < self._hard) else -1

    @contextlib.contextmanager
    def around(self, limits: Limits) -> Iterator[None]:
        """Limit a block to 2 s and twice the CPU limit, and to 2 GiB.

        Beyond that the block gets `TooLong` or MemoryError, or this process ends (`arm`).
        """
        try:
            arm(30 + 20 * limits.wall, 2 + 2 * limits.cpu_seconds, 4 + 2 * limits.cpu_seconds)
            if self._space > 0:
                resource.setrlimit(resource.RLIMIT_AS, (self._space, self._hard))
            yield
        finally:
            arm(0, 0, 0)
            if self._space > 0:
                resource.setrlimit(resource.RLIMIT_AS, (self._hard, self._hard))

    @contextlib.contextmanager
    def reading(self, limits: Limits) -> Iterator[None]:
        """The same for reading and comparing replies without test code. Raises `Unreadable`."""
        try:
            with self.around(limits):
                yield
        except TooLong:
            raise Unreadable("answers that take too long to read") from None
        except MemoryError:
            raise Unreadable("answers that take too much memory to read") from None
