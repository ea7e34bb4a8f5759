"""Reports the progress of phases to a listener, measures their time, and carries the request to stop.

A phase knows neither terminal nor W&B: it reports to its `Progress`, and calls `check_stop` after each chunk.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from selfplay.errors import Interrupted
from selfplay.runtime.pace import Pace
from selfplay.store import read_json, write_json

Listener = Callable[[str, dict[str, Any]], None]
"""Called as (event, figures): `round` {number, planned}, `phase` {name, total, done}, `total` {total, done}, `working` {rows, tokens},
`advance` {items, accepted, judged}, `end` {name}, `note` {text}. From any thread."""
WORKING_SECONDS = 0.2
"""Least seconds between two `working` events."""


Item = TypeVar("Item")


class Progress:
    """Passes progress events to the listener, holds the request to stop, and counts the time spent in a phase's actual work."""

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener = listener
        self.stop_requested = False
        self.busy: dict[str, float] = {}
        """Seconds of actual work (sampling, training, running programs) by phase, since the last `pop_timings`."""
        self._pace, self._told = Pace(), 0.0

    def round(self, number: int, planned: int) -> None:
        """A round begins. `planned`: number of the last round that is planned."""
        self._emit("round", number=number, planned=planned)

    def phase(self, name: str, total: int, done: int = 0) -> None:
        """A phase begins. `total`: its number of items; `done`: how many of them an earlier start has finished."""
        self._pace, self._told = Pace(), 0.0
        self._emit("phase", name=name, total=total, done=done)

    def total(self, total: int, done: int) -> None:
        """Corrects the number of items of the current phase, and how many of them are done."""
        self._emit("total", total=total, done=done)

    def advance(self, items: int, accepted: int = 0, judged: int = 0) -> None:
        """`items` more are done; `judged` attempts among them have an outcome, and `accepted` of these passed."""
        self._pace.next_chunk()
        self._emit("advance", items=items, accepted=accepted, judged=judged)

    @contextmanager
    def sampling(self, rows: int, limit: int) -> Iterator[None]:
        """While its body runs an engine completes `rows` completions of at most `limit` tokens; limit 0: it scores so many texts."""
        self.begin(rows, limit)
        yield
        self.settle()

    def begin(self, rows: int, limit: int) -> None:
        """A call of an engine begins; see `sampling`."""
        self._pace.begin(rows, limit)
        self._working()

    def settle(self) -> None:
        """The call has ended."""
        self._pace.settle()

    def written(self, tokens: int, rows: int) -> None:
        """An engine wrote tokens and ended rows; see `OnTokens`."""
        self._pace.write(tokens, rows)
        if time.perf_counter() - self._told >= WORKING_SECONDS:
            self._working()

    def _working(self) -> None:
        self._told = time.perf_counter()
        self._emit("working", rows=self._pace.rows, tokens=self._pace.tokens)

    def end(self, name: str) -> None:
        """A phase ends."""
        self._emit("end", name=name)

    def note(self, text: str) -> None:
        """Shows a line to the user."""
        self._emit("note", text=text)

    def check_stop(self) -> None:
        """Raises Interrupted if a stop was requested. Phases call it when all their work is saved."""
        if self.stop_requested:
            raise Interrupted("interrupted: all finished work is saved; run the same command to resume")

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Counts the time of its body as actual work of the phase; the rest is overhead of the loop."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.count(name, time.perf_counter() - started)

    def timed_each(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """Gives the items, and counts the time that each takes to be made."""
        source = iter(items)
        while True:
            with self.timed(name):
                made = list(islice(source, 1))
            if not made:
                return
            yield made[0]

    def count(self, name: str, seconds: float) -> None:
        """Adds seconds of actual work, for a phase in which `timed` would count too much."""
        self.busy[name] = self.busy.get(name, 0.0) + seconds

    def pop_timings(self) -> dict[str, float]:
        """Returns the counted seconds by phase and resets them."""
        busy, self.busy = self.busy, {}
        return busy

    def _emit(self, event: str, **figures: Any) -> None:
        if self._listener is not None:
            self._listener(event, figures)


@contextmanager
def timed(folder: Path, progress: Progress, *, write: bool) -> Iterator[None]:
    """Adds the wall time of its body, and the part of it that is actual work, to the phase's `time.json`, in seconds.

    The time of a start that was killed is not counted.
    """
    started = time.perf_counter()
    progress.pop_timings()
    yield
    seconds, busy = time.perf_counter() - started, sum(progress.pop_timings().values())
    if write and folder.is_dir():
        before = read_json(folder / "time.json") if (folder / "time.json").is_file() else {"seconds": 0.0, "busy": 0.0}
        write_json(folder / "time.json", {"seconds": before["seconds"] + seconds, "busy": before["busy"] + busy})


def read_times(folders: Sequence[Path]) -> dict[str, float]:
    """The `time/` metrics of a round: seconds per phase, in total, of actual work, and the share of overhead."""
    times = {folder.name: read_json(folder / "time.json") for folder in folders if (folder / "time.json").is_file()}
    total = sum(row["seconds"] for row in times.values())
    busy = sum(row["busy"] for row in times.values())
    return {
        **{f"time/{name}_seconds": round(row["seconds"], 3) for name, row in times.items()},
        "time/round_seconds": round(total, 3),
        "time/work_seconds": round(busy, 3),
        "time/overhead_share": round(1 - busy / total, 4) if total else 0.0,
    }
