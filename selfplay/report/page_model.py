"""What a page is made of: sections with charts and tables, and the words for numbers in them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from selfplay.report.run_data import Point, Row, RunData, triple
from selfplay.report.svg_primitives import say

DEV, TEST = "eval/greedy_accuracy", "test/greedy_accuracy"
"""The figure by which rounds are compared, and the one that no decision reads."""


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column is the row's heading."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False
    """Shown when the reader opens it."""


@dataclass(frozen=True)
class Chart:
    """One SVG element."""

    svg: str
    wide: bool = False
    """Takes the page's width instead of half of it."""
    folded: bool = False
    """Shown when the reader opens it."""


@dataclass(frozen=True)
class Section:
    """One section of a page; if it has nothing to show, `missing` says why in a sentence."""

    id: str
    title: str
    lead: str = ""
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    examples: Sequence[dict[str, Any]] = ()
    missing: str = ""
    folded: bool = False
    """Its title is shown, the rest when the reader opens it."""
    keys: Sequence[str] = ()
    """Metric keys shown, to be defined at the page's end."""
    data: dict[str, Any] = field(default_factory=dict)
    """The same numbers, for the JSON file."""


def cell(row: Row, key: str) -> str:
    """Value with its interval; a dash if there is none."""
    return interval(*triple(row, key))


def interval(value: float | None, lo: float | None, hi: float | None) -> str:
    """`0.472 [0.431, 0.513]`."""
    if value is None or lo is None or hi is None:
        return say(value)
    step = 0.001 if max(abs(value), abs(lo), abs(hi)) < 10 else None
    return f"{say(value, step)} [{say(lo, step)}, {say(hi, step)}]"


def signed(value: float | None, lo: float | None = None, hi: float | None = None) -> str:
    """A change, with its sign: `+0.34 [+0.29, +0.39]`."""
    if value is None:
        return say(None)
    plain = f"{value:+.3f}"
    return plain if lo is None or hi is None else f"{plain} [{lo:+.3f}, {hi:+.3f}]"


def listed(words: Iterable[str]) -> str:
    """`a, b and c`."""
    found = list(words)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else ""


def counted(number: float, singular: str, plural: str = "") -> str:
    """`1 round`, `3 rounds`."""
    return f"{say(number)} {singular if number == 1 else plural or singular + 's'}"


def by_round(run: RunData, keys: Sequence[str], names: Sequence[str], caption: str, folded: bool = False) -> Table:
    """A table with a row per round and a column per key; keys that no round has are left out, and so are rounds beyond ROUNDS."""
    shown = [(key, name) for key, name in zip(keys, names, strict=True) if run.points(key)]
    rows = [[str(row["round"]), *(_of(row, key) for key, _ in shown)] for row in some_rounds(run)]
    caption += of_all(run)
    return Table(caption, ["round", *(name for _, name in shown)], rows, folded)


ROUNDS = 16
"""Rounds that a table shows; the JSON file beside the page has all."""


def some_rounds(run: RunData) -> list[dict[str, Any]]:
    """The rows of ROUNDS rounds at most, evenly spread, with the first, the best and the last of them."""
    kept = {*pick(run.rounds, ROUNDS - 1), run.best}
    return [row for row in run.rows if row["round"] in kept]


def of_all(run: RunData) -> str:
    """`; 16 of 51 rounds` for a table that leaves some out, else ""."""
    few = len(some_rounds(run))
    return f"; {few} of {len(run.rows)} rounds, the JSON file has all" if few < len(run.rows) else ""


def _of(row: Row, key: str) -> str:
    return signed(*triple(row, key)) if key.endswith("_delta") else cell(row, key)


def without_twins(lines: Mapping[str, Sequence[Point]]) -> dict[str, Sequence[Point]]:
    """The lines without that of all n samples if it equals another one, as pass@n equals pass@8 for n = 8."""
    others = [list(points) for name, points in lines.items() if not name.endswith("n")]
    return {name: points for name, points in lines.items() if not name.endswith("n") or list(points) not in others}


def pick(numbers: Sequence[int], most: int) -> list[int]:
    """At most `most` of the numbers, evenly spread, the first and the last among them."""
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[round(i * (len(numbers) - 1) / (most - 1))] for i in range(most)]
