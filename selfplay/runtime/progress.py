"""What a phase tells the outside while it works, and how the outside tells it to stop.

A phase knows neither terminal nor W&B: it reports to a Watch, and asks it after each chunk whether to go on.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from selfplay.errors import Interrupted

Listener = Callable[[str, dict[str, Any]], None]
"""Called as (event, figures): `round` {number}, `phase` {name, total, done}, `total` {total, done}, `advance` {items, accepted},
`end` {name}, `note` {text}."""


class Progress:
    """Progress out, stop in, and the time spent inside the parts that a round is for."""

    def __init__(self, listener: Listener | None = None) -> None:
        self._listener = listener
        self.stop_requested = False
        self.busy: dict[str, float] = {}
        """Seconds inside `model.generate`, `trainer.train` and `Executor.run`, by phase, since the last `take_busy`."""

    def round(self, number: int) -> None:
        """A round begins."""
        self._say("round", number=number)

    def phase(self, name: str, total: int, done: int = 0) -> None:
        """A phase begins: so many items, so many of them done by an earlier start."""
        self._say("phase", name=name, total=total, done=done)

    def total(self, total: int, done: int) -> None:
        """How many items the phase has turns out only now: so many, so many of them done."""
        self._say("total", total=total, done=done)

    def advance(self, items: int, accepted: int = 0) -> None:
        """Items are done; `accepted` of them passed, where that is known."""
        self._say("advance", items=items, accepted=accepted)

    def end(self, name: str) -> None:
        """A phase is over."""
        self._say("end", name=name)

    def note(self, text: str) -> None:
        """A line worth a person's reading."""
        self._say("note", text=text)

    def check_stop(self) -> None:
        """Raises Interrupted once somebody has asked for a stop; called where nothing is half done."""
        if self.stop_requested:
            raise Interrupted("interrupted: the work in hand is saved; run the same command to go on")

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Counts the time of its body as the phase's own work, not as overhead of the loop."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.count(name, time.perf_counter() - started)

    def count(self, name: str, seconds: float) -> None:
        """Counts seconds as the phase's own work, where `inside` would count too much."""
        self.busy[name] = self.busy.get(name, 0.0) + seconds

    def pop_timings(self) -> dict[str, float]:
        """The counted seconds, and starts anew."""
        busy, self.busy = self.busy, {}
        return busy

    def _say(self, event: str, **figures: Any) -> None:
        if self._listener is not None:
            self._listener(event, figures)
