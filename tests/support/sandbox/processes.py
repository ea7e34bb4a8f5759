"""Processes as /proc shows them, and waiting for a condition in place of a fixed time."""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

GIVE_UP = 60.0
"""Seconds after which a condition that a quiet machine meets within one counts as never met."""


def _parents() -> dict[int, int]:
    """Process id -> id of its parent, of all processes."""
    found: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
    return found


def children(pid: int) -> set[int]:
    """The processes that a process has started itself."""
    return {child for child, parent in _parents().items() if parent == pid}


def descendants(pid: int) -> set[int]:
    """All processes below one."""
    below: dict[int, list[int]] = {}
    for child, parent in _parents().items():
        below.setdefault(parent, []).append(child)
    found: set[int] = set()
    todo = [pid]
    while todo:
        fresh = below.get(todo.pop(), [])
        found.update(fresh)
        todo += fresh
    return found


def alive(pid: int) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that processes have used by now, with what the children that they waited for used."""
    ticks = 0
    for pid in pids:
        try:
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def still_alive(pids: Iterable[int]) -> list[int]:
    """Those of the processes that run on although they were given `GIVE_UP` seconds to end."""
    wait_for(lambda: not any(map(alive, pids)))
    return [pid for pid in pids if alive(pid)]


def wait_for(condition: Callable[[], bool], seconds: float = GIVE_UP) -> bool:
    """Waits until a condition holds; whether it came to hold before `seconds` were over."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
