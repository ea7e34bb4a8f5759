"""Shows tables, progress and a line per round in the terminal. The only file that imports rich.

If the output is not a terminal, it is plain text, with one line of progress every 30 seconds. NO_COLOR turns colours off.
"""

import os
import re
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from selfplay.store import Commit

PLAIN_SECONDS = 30.0
"""Seconds between two lines of progress if the output is not a terminal."""


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

    Under a launcher only rank 0 shows anything.
    """

    def __init__(self) -> None:
        self._console = console()
        self._console.quiet = self.silent = int(os.environ.get("RANK", "0")) != 0
        self._live = self._console.is_terminal
        self._progress = Progress(
            TextColumn("{task.fields[where]:<22}"),
            BarColumn(bar_width=14),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>10}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[accepted]}"),
            console=self._console,
            transient=True,
            disable=self.silent or not self._live,
        )
        self._bar: Any = None
        self._round = ""
        self._noted: set[str] = set()
        self._name = ""
        self._total = self._done = self._items = self._accepted = 0
        self._started = self._printed = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def hear(self, event: str, figures: dict[str, Any]) -> None:
        """Shows one event."""
        if event == "round":
            self._round = f"round {figures['number']} of {figures['planned']}"
        elif event == "phase":
            self._begin(figures["name"], figures["total"], figures["done"])
        elif event == "total":
            self._count(figures["total"], figures["done"])
        elif event == "advance":
            self._advance(figures["items"], figures["accepted"])
        elif event == "end":
            self._end()
        elif event == "note":
            self._note(figures["text"])

    def line(self, text: str) -> None:
        """Prints a line above the progress bar."""
        self._console.print(Text(text))

    def _note(self, text: str) -> None:
        """Prints a note; one that differs from an earlier note of this start in its numbers and examples alone is left out."""
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
        self._end()
        self._name, self._total, self._done = name, total, done
        self._items = self._accepted = 0
        self._started = self._printed = time.monotonic()
        self._bar = self._progress.add_task("", total=total, completed=done, where=self._where, rate="", accepted="")

    def _count(self, total: int, done: int) -> None:
        self._total, self._done = total, done
        if self._bar is not None:
            self._progress.update(self._bar, total=total, completed=done)

    def _advance(self, items: int, accepted: int) -> None:
        self._done += items
        self._items += items
        self._accepted += accepted
        if self._bar is not None:
            self._progress.update(self._bar, completed=self._done, rate=self._rate(), accepted=self._share())
        if not self._live and time.monotonic() - self._printed > PLAIN_SECONDS:
            self._printed = time.monotonic()
            self._console.print(Text(f"{self._where}: {self._done}/{self._total}, {self._rate()} {self._share()}"))

    @property
    def _where(self) -> str:
        return f"{self._round}  {self._name}".strip()

    def _rate(self) -> str:
        seconds = time.monotonic() - self._started
        return f"{self._items / seconds:,.0f}/s" if 0 < seconds <= self._items else ""

    def _share(self) -> str:
        return f"{self._accepted / self._items:.0%} right" if self._items and self._accepted else ""

    def _end(self) -> None:
        if self._bar is not None:
            self._progress.remove_task(self._bar)
            self._bar = None


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
