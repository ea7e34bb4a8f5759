"""Watches a running program from outside: its CPU clock, its waiting time, its threads.

It looks only once a program has run for 50 ms, so that short programs are never disturbed. CPU time is the program's own clock. Time
spent waiting for a core (`/proc/PID/schedstat`) does not count as waiting, so that a busy machine causes no false time-outs; without
/proc, plain wall time counts.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

_PAUSE = 50.0  # milliseconds between looks
_HARD = 20.0
"""A program ends after this many times its wall limit, whatever it waited for."""


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in _read(f"/proc/{pid}/task/{pid}/children").split()]
    except (OSError, ValueError):
        return []


class Watchdog:
    """Watches one program of a zygote and ends it at its limits. `why` is then `cpu`, `wall` or `threads`."""

    def __init__(self, cpu: float, wall: float, threads: int) -> None:
        """Limits in seconds and threads beside the main one; a wall limit of 0 watches nothing."""
        self.cpu, self._wall, self._threads = cpu, wall, threads
        self._began, self._pid = time.monotonic(), 0
        self._own_delay = self._state(os.getpid())[1] if wall else 0.0
        self.held = 0.0
        """Seconds that the program waited for the judge, between an answer and the next request."""
        self.why, self.pause = "", _PAUSE

    def allow(self, seconds: float) -> None:
        """Allow so many more seconds of waiting."""
        self._wall += seconds

    def look(self, zygote: int, stub: bool) -> None:
        """Look once at the program of this zygote; `stub`: the zygote itself is the process's only child."""
        now = time.monotonic() - self._began
        if not self._wall:
            return
        pid = self._pid or self._find(zygote, stub)
        if not pid:
            if now > self._wall + 2 and not Path("/proc/self/stat").exists():
                self._end(zygote, "wall")
            return
        try:
            age = self._age(pid, now)
            used = time.clock_gettime((~pid << 3) | 2)
        except (OSError, AttributeError):
            return  # it has just ended
        if age is None:
            return
        if used > self.cpu:
            self._end(pid, "cpu")
            return
        threads, delay = self._state(pid)
        if (age - delay > self._wall and self._waited(age, delay) > self._wall) or age > _HARD * self._wall + self.held:
            self._end(pid, "wall")
        elif threads > self._threads + 1:
            self._end(pid, "threads")

    def late(self, seconds: float) -> bool:
        """Whether the program was started longer ago: waiting for a core left out, or three times that with it."""
        age = time.monotonic() - self._began
        delay = self._state(self._pid)[1] if self._pid else 0.0
        return self._waited(age, delay) + self.held > seconds or age > 3 * seconds

    def _waited(self, age: float, delay: float) -> float:
        """Seconds that a program ran or waited by its own doing: not for a core, and not for us, who wait for one too."""
        return age - delay - self.held - max(0.0, self._state(os.getpid())[1] - self._own_delay)

    def _find(self, zygote: int, stub: bool) -> int:
        for _ in range(1 + stub):
            below = _children(zygote)
            if not below:
                return 0
            zygote = below[0]
        self._pid = zygote
        return zygote

    @staticmethod
    def _age(pid: int, otherwise: float) -> float | None:
        """Seconds since the process itself began, None once it has ended; `otherwise` where /proc does not say.

        What its zygote waited for a core, before the fork or before it collects the dead, is not the program's waiting.
        """
        try:
            words = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
            if words[0] in (b"Z", b"X") and int(words[17]) < 2:
                return None  # and no thread of its own outlived it
            return time.clock_gettime(time.CLOCK_BOOTTIME) - int(words[19]) / os.sysconf("SC_CLK_TCK")
        except (ValueError, IndexError, AttributeError):
            return otherwise
        except OSError:
            return otherwise if not Path("/proc/self/stat").exists() else None

    @staticmethod
    def _state(pid: int) -> tuple[int, float]:
        """(threads, seconds waited for a core) of a process; (0, 0.0) where /proc does not say."""
        try:
            tasks = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208
            waited = [int(_read(f"/proc/{pid}/task/{task}/schedstat").split()[1]) for task in tasks[:64]]
        except (OSError, ValueError, IndexError):
            return 0, 0.0
        return len(tasks), max(waited, default=0) * 1e-9

    def _end(self, pid: int, why: str) -> None:
        self.why = self.why or why
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
