"""Bounds on what a judge does with a program's answers: seconds of wall and CPU, bytes of memory.

Test code runs on values that a program chose (`list(range(answer))`), and values have to be read before they are
compared: both may ask for more than there is.
"""

import contextlib
import resource
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from selfplay.sandbox.call_recorder import TooLong
from selfplay.sandbox.jobs import Limits

_MEMORY = 2 << 30
"""Bytes beside what the judge has: `list(range(answer))` takes what a program says."""


class Unreadable(Exception):
    """What a program answered could not be read within the bounds."""


def listen() -> None:
    """Let the alarms of this process be heard: `TooLong` is raised where it is."""
    signal.signal(signal.SIGALRM, _alarm)
    signal.signal(signal.SIGVTALRM, _alarm)


def _alarm(number: int, frame: FrameType | None) -> NoReturn:
    raise TooLong


def arm(wall: float, cpu: float, kill: float) -> None:
    """Raise `TooLong` after these seconds, and where it is not heard (one long C call) end this process after `kill`.

    The caller knows the signal and blames the program (`Batch.give_back`). 0: no bound.
    """
    signal.setitimer(signal.ITIMER_REAL, wall)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu)
    signal.setitimer(signal.ITIMER_PROF, kill)


def _address_space() -> int:
    """Bytes of address space of this process; -1 where /proc does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return -1


class Bounds:
    """The bounds of one judge."""

    def __init__(self) -> None:
        self._space = self._hard = -1  # soft limit of address space for hostile values, and the hard one; -1: none
        self.measure()

    def measure(self) -> None:
        """Bound memory by what this process has now, with the modules that tests have imported."""
        size = _address_space() if sys.platform == "linux" else -1
        self._hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        room = size + _MEMORY
        self._space = room if size > 0 and (self._hard < 0 or room < self._hard) else -1

    @contextlib.contextmanager
    def around(self, limits: Limits) -> Iterator[None]:
        """Bound a block: 2 s and twice the CPU limit, 2 GiB.

        The block meets `TooLong` or MemoryError, or this process ends (`arm`).
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
        """The same for replies that are read and compared without test code. Raises `Unreadable`."""
        try:
            with self.around(limits):
                yield
        except TooLong:
            raise Unreadable("answers that take too long to read") from None
        except MemoryError:
            raise Unreadable("answers that take too much memory to read") from None
