"""Shows tables, progress and a line per round in the terminal. The only file that imports rich.

If the output is not a terminal, it is plain text, with one line of progress every 30 seconds. NO_COLOR turns colours off.
"""

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from selfplay.loop import Finished
    from selfplay.store import Commit, RunFolder

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
    """Shows the events of a run (see `selfplay.runtime.progress.Listener`) and its rounds; a context manager.

    Under a launcher only rank 0 shows anything.
    """

    def __init__(self) -> None:
        self._console = console()
        self._console.quiet = self._silent = int(os.environ.get("RANK", "0")) != 0
        self._live = self._console.is_terminal
        self._progress = Progress(
            TextColumn("{task.fields[where]:<24}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>10}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[accepted]}"),
            console=self._console,
            transient=True,
            disable=self._silent or not self._live,
        )
        self._bar: Any = None
        self._round: int | None = None
        self._rows = 0
        self._name = ""
        self._total = self._done = self._items = self._accepted = 0
        self._started = self._printed = time.monotonic()

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def hear(self, event: str, figures: dict[str, Any]) -> None:
        """Shows one event."""
        if event == "round":
            self._round = figures["number"]
        elif event == "phase":
            self._begin(figures["name"], figures["total"], figures["done"])
        elif event == "total":
            self._count(figures["total"], figures["done"])
        elif event == "advance":
            self._advance(figures["items"], figures["accepted"])
        elif event == "end":
            self._end()
        elif event == "note":
            self._console.print(Text(figures["text"]))

    def committed(self, folder: "RunFolder", commit: "Commit") -> None:
        """Shows a new round as a line above the progress bar."""
        self._console.print(Text(round_line(commit.row(), header=self._rows == 0)))
        self._rows += 1

    def finished(self, run: "Finished") -> None:
        """Prints the best round and the path of the report on stdout; all rounds if none of them is new."""
        if self._silent:
            return
        for commit in run.commits if self._rows == 0 else ():
            print(round_line(commit.row(), header=commit.round == 0))
        print(f"best round on the dev set: {run.commits[run.best].round}")
        print(f"report: {run.path / 'report.html'}")

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
        return self._name if self._round is None else f"round {self._round}  {self._name}"

    def _rate(self) -> str:
        seconds = time.monotonic() - self._started
        return f"{self._items / seconds:,.0f}/s" if 0 < seconds <= self._items else ""

    def _share(self) -> str:
        return f"{self._accepted / self._items:.0%} right" if self._items and self._accepted else ""

    def _end(self) -> None:
        if self._bar is not None:
            self._progress.remove_task(self._bar)
            self._bar = None


def round_line(row: dict[str, Any], header: bool) -> str:
    """A committed round as one line of a table, below the table's header if `header` is set."""
    cells = [
        ("round", 5, str(row["round"])),
        ("dev", 21, _interval(row, "eval/greedy_accuracy")),
        ("test", 21, _interval(row, "test/greedy_accuracy")),
        ("pass@8", 7, _number(row, "eval/pass_at_8")),
        ("unique@8", 8, _number(row, "collapse_diversity/unique_correct_at_8")),
        ("accepted", 11, f"{row['data/accepted']}/{row['data/sampled']}" if "data/accepted" in row else "-"),
        ("rows", 6, str(row.get("data/train_rows", "-"))),
        ("alarm", 5, str(row.get("collapse_alarm/level", "-"))),
        ("seconds", 8, _number(row, "time/round_seconds", 1)),
    ]
    line = "  ".join(text.rjust(width) for _, width, text in cells)
    return ("  ".join(name.rjust(width) for name, width, _ in cells) + "\n" if header else "") + line


def _number(row: dict[str, Any], key: str, digits: int = 3) -> str:
    return f"{row[key]:.{digits}f}" if key in row else "-"


def _interval(row: dict[str, Any], key: str) -> str:
    if key not in row:
        return "-"
    return f"{row[key]:.3f} [{row.get(f'{key}_lo', row[key]):.3f}, {row.get(f'{key}_hi', row[key]):.3f}]"
