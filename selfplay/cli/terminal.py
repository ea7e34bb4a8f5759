"""Shows tables, progress and a line per round in the terminal. The only file that imports rich.

If the output is not a terminal, it is plain text, with a line of progress after 30 seconds and then ever more seldom. NO_COLOR turns colours off.
"""

import os
import re
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, TextIO

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from selfplay.store import Commit

PLAIN_SECONDS = 30.0
"""Seconds until a line of progress if the output is not a terminal; the pause doubles within a phase."""
MOST_PLAIN_SECONDS = 600.0
EARLY_SECONDS = 2.0
"""Before this no time left is told: it would jump."""


def console(stream: TextIO | None = None) -> Console:
    """A console on a stream, stderr by default; plain text in pipes and files."""
    return Console(file=stream or sys.stderr, highlight=False, soft_wrap=True)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table on stdout; cells are not interpreted as markup."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", expand=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console(sys.stdout).print(table)


class Display:
    """Shows the events of a run (see `selfplay.runtime.progress.Listener`); a context manager.

    On a terminal two lines stay at the bottom: the run, and a bar of the phase. Under a launcher only rank 0 shows anything.
    """

    def __init__(self) -> None:
        self._console = console()
        self._console.quiet = self.silent = int(os.environ.get("RANK", "0")) != 0
        self._live = self._console.is_terminal
        self._round = ""
        self._noted: set[str] = set()
        self._phase: _Phase | None = None
        self._printed = self._pause = 0.0
        self._lines = _Lines(self._console, self.about_run, self._status, not self.silent and self._live)

    def __enter__(self) -> Self:
        self._lines.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._lines.stop()

    def hear(self, event: str, figures: dict[str, Any]) -> None:
        """Shows one event."""
        if event == "round":
            self._round = f"round {figures['number']} of {figures['planned']}"
        elif event == "phase":
            self._begin(figures["name"], figures["total"], figures["done"])
        elif event == "end":
            self._phase = None
            self._lines.clear()
        elif event == "note":
            self.tell(figures["text"])
        elif self._phase is not None:
            self._phase.hear(event, figures, time.monotonic())
            self._show()

    def about_run(self) -> str:
        """The line of the run, above the bar."""
        return self._round

    def line(self, text: str) -> None:
        """Prints a line above the progress bar."""
        self._console.print(Text(text))

    def tell(self, text: str) -> None:
        """Prints a note above the progress bar, on a terminal wrapped between words.

        One that differs from an earlier note of this start in its numbers and examples alone is left out.
        """
        kind = re.sub(r"\d+", "", text.partition("\n")[0])
        if kind in self._noted:
            return
        self._noted.add(kind)
        self.line("\n".join(map(self._wrapped, text.splitlines())) if self._live else text)

    def _wrapped(self, line: str) -> str:
        """A line of text in the columns of the terminal, broken between words."""
        inner = " " * (4 + len(line) - len(line.lstrip()))
        return textwrap.fill(line, self._console.width, subsequent_indent=inner, break_on_hyphens=False)

    def _begin(self, name: str, total: int, done: int) -> None:
        self._phase = _Phase(name, total, done, time.monotonic())
        self._printed, self._pause = time.monotonic(), PLAIN_SECONDS
        self._lines.begin(name)
        self._lines.move(total, done)

    def _show(self) -> None:
        if self._phase is None:
            return
        self._lines.move(self._phase.total, self._phase.at)
        now = time.monotonic()
        if not self._live and now - self._printed > self._pause:
            self._printed, self._pause = now, min(2 * self._pause, MOST_PLAIN_SECONDS)
            self._console.print(Text(f"{self.about_run()}  {self._phase.name}: {self._status()}".strip()))

    def _status(self) -> str:
        return self._phase.said(time.monotonic()) if self._phase is not None else ""

    def phase_left(self) -> float:
        """Seconds left of the phase, 0 if nobody knows."""
        return (self._phase.left(time.monotonic()) or 0.0) if self._phase is not None else 0.0


class _Phase:
    """How far one phase is. All times are those of one clock, in seconds."""

    def __init__(self, name: str, total: int, done: int, now: float) -> None:
        self.name, self.total = name, total
        self._done = self._first = done
        self._hand = 0.0
        self._tokens = self._judged = self._accepted = 0
        self._began, self._counts = now, False
        self._working: float | None = None
        """When its work began: a model is loaded before it."""

    def hear(self, event: str, figures: Mapping[str, Any], now: float) -> None:
        """Takes in one event of the phase."""
        if event == "total":
            self.total, self._done, self._hand, self._counts = figures["total"], figures["done"], 0.0, True
            self._first = self._done if self._working is None else self._first
        elif event == "working":
            self._working = now if self._working is None else self._working
            self._hand, self._tokens = figures["rows"], figures["tokens"]
        elif event == "advance":
            self._done, self._hand = self._done + figures["items"], 0.0
            if self._working is None and self._counts:  # the first step of training, with all that was loaded for it
                self._working, self._first = now, self._done
            self._working = self._began if self._working is None else self._working
            self._judged += figures["judged"]
            self._accepted += figures["accepted"]

    @property
    def at(self) -> float:
        """Rows that are done, those in hand by their share; at most `total`."""
        return min(float(self.total), self._done + self._hand)

    def left(self, now: float) -> float | None:
        """Seconds left at the pace so far; None while that is not known."""
        made, spent = self.at - self._first, now - (now if self._working is None else self._working)
        return (self.total - self.at) * spent / made if made > 0 and spent >= EARLY_SECONDS else None

    def said(self, now: float) -> str:
        """`128/640  412 tok/s  0:45 left  62% right`; what is not known is left out, and without a time left stands the time so far."""
        spent = now - (now if self._working is None else self._working)
        made, left = self.at - self._first, self.left(now)
        speed = f"{self._tokens / spent:,.0f} tok/s" if self._tokens and spent >= EARLY_SECONDS else ""
        if not self._tokens and spent >= EARLY_SECONDS and made >= spent:
            speed = f"{made / spent:,.0f}/s"
        parts = [f"{int(self.at)}/{self.total}" if self.total > 1 else "", speed]
        parts.append(f"{clock(left)} left" if left is not None else f"{clock(now - self._began)} so far")
        parts.append(f"{self._accepted / self._judged:.0%} right" if self._judged else "")
        return "  ".join(filter(None, parts))


class _Lines(Progress):
    """The two lines at the bottom of a terminal; nothing where it is not live."""

    def __init__(self, console: Console, about_run: Callable[[], str], status: Callable[[], str], live: bool) -> None:
        self._about_run = about_run  # the first line is drawn while the next call is under way
        self._bar: TaskID | None = None
        super().__init__(
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=12),
            _Said(status),
            console=console,
            transient=True,
            refresh_per_second=4,
            disable=not live,
        )

    def begin(self, name: str) -> None:
        """Shows the bar of another phase."""
        self.clear()
        self._bar = self.add_task(name, total=None)

    def move(self, total: int, at: float) -> None:
        """Moves the bar; it swings while the total is not known."""
        if self._bar is not None:
            self.update(self._bar, total=total if total > 1 else None, completed=at)

    def clear(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self.remove_task(self._bar)
            self._bar = None

    def get_renderables(self) -> Iterable[RenderableType]:
        """The line of the run, and the bar."""
        yield Text(self._about_run(), overflow="ellipsis", no_wrap=True)
        yield self.make_tasks_table(self.tasks)


class _Said(ProgressColumn):
    """What is said beside the bar."""

    def __init__(self, status: Callable[[], str]) -> None:
        super().__init__()
        self._status = status

    def render(self, task: Task) -> Text:
        """See `ProgressColumn`."""
        return Text(self._status(), no_wrap=True, overflow="ellipsis")


def round_line(commit: Commit, header: bool, planned: int | None = None, left: float | None = None) -> str:
    """A committed round as one line of a table of at most 80 columns, below the table's header if `header` is set.

    `planned`: number of the last planned round; `left`: seconds left of the run. None: unknown. A line below names what the round
    remarked; the notes above it have the details.
    """
    row = commit.row()
    samples, name = _pass_at(row)
    cells = [
        ("round", 6, f"{row['round']}/{planned}" if planned is not None else str(row["round"])),
        ("dev", 15, _interval(row, "eval/greedy_accuracy")),
        ("gain", 6, _number(row, "eval/greedy_accuracy_delta", "+.3f")),
        ("test", 5, _number(row, "test/greedy_accuracy")),
        (name, 7, samples),
        ("accepted", 10, f"{row['data/accepted']}/{row['data/sampled']}" if "data/accepted" in row else "-"),
        ("alarm", 5, str(row.get("collapse_alarm/level", "-"))),
        ("time", 7, clock(row["time/round_seconds"]) if "time/round_seconds" in row else "-"),
        ("left", 7, "-" if left is None else clock(left)),
    ]
    lines = [" ".join(text.rjust(width) for _, width, text in cells)]
    if header:
        lines.insert(0, " ".join(title.rjust(width) for title, width, _ in cells))
    lines += [_cut(f"       ! {text.splitlines()[0].partition('; ')[0]}") for text in commit.remarks]
    if commit.action in ("roll_back", "stop"):
        lines.append(_cut(f"       ! {commit.action.replace('_', ' ')}: {commit.reason}"))
    return "\n".join(lines)


def clock(seconds: float) -> str:
    """A time span as `0:48`, `5:12` or `3:05:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def rough_time(seconds: float) -> str:
    """A time span of few digits: `0.4 s`, `45 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


WIDTH = 80
"""Columns of the round table."""


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 4]} ..."


def _pass_at(row: Mapping[str, Any]) -> tuple[str, str]:
    """pass@k of the largest k that was measured, and its title."""
    known = [int(found[1]) for key in row if (found := re.fullmatch(r"eval/pass_at_(\d+)", key))]
    return (f"{row[f'eval/pass_at_{max(known)}']:.3f}", f"pass@{max(known)}") if known else ("-", "pass@k")


def _number(row: Mapping[str, Any], key: str, form: str = ".3f") -> str:
    return f"{row[key]:{form}}" if key in row else "-"


def _interval(row: Mapping[str, Any], key: str) -> str:
    """`0.213 [.18,.25]`."""
    if key not in row:
        return "-"
    if f"{key}_lo" not in row:
        return f"{row[key]:.3f}"
    low, high = (f"{row[f'{key}{end}']:.2f}".removeprefix("0")[:3] for end in ("_lo", "_hi"))
    return f"{row[key]:.3f} [{low},{high}]"
