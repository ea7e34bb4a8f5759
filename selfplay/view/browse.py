"""What the pages of the trace browser show: filtered pages of traces, and one task with its attempts in all rounds."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import islice
from pathlib import Path
from typing import Any

from selfplay.store import RunFolder
from selfplay.store.trace_index import TraceIndex

FILTERS = ("round", "decision", "outcome", "reason", "origin", "source")
"""Columns with a menu of their values."""
PAGE_ROWS = 50
MAX_TASK_ATTEMPTS = 400
"""Attempts of one task that its page shows."""
DIFF_CHARS = 20_000
"""Texts longer than this are not compared, since the time grows with the square of the length."""
_LIST = ("round", "task_id", "attempt", "turn", "outcome", "decision", "reason", "text")
_WHOLE = (*_LIST, "prompt", "parent", "origin", "rank", "verdicts", "finish_reason", "model", "task")

Json = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """What a reader asks for: values of columns, the start of a task's id or a text to find, and from which match on."""

    wanted: Mapping[str, str]
    task: str = ""
    """Only tasks whose id begins with it."""
    text: str = ""
    start: int = 0
    """Without a text, how many matches to skip; with a text, the first row number to search."""


class Browser:
    """The traces of one run. It opens the files again when a round has been added or written anew."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._state: list[tuple[Path, int, int]] = []
        self._index = TraceIndex([])

    def index(self) -> TraceIndex:
        """The index of the files as they are now."""
        paths = sorted(RunFolder(self.run).path.glob("rounds/*/traces.parquet"))
        state = [(path, (stat := path.stat()).st_mtime_ns, stat.st_size) for path in paths]
        if state != self._state:
            self._index.close()
            self._index, self._state = TraceIndex(paths), state
        return self._index

    def menus(self, query: Query) -> dict[str, dict[str, int]]:
        """For each filter, its values with their counts among the traces that the other filters select."""
        index = self.index()
        found: dict[str, dict[str, int]] = {}
        for name in FILTERS:
            others = {key: value for key, value in query.wanted.items() if key != name}
            counts = index.counts(index.select(others, query.task), name)
            found[name] = dict(sorted(counts.items(), key=_as_number)) if name == "round" else counts
        return found

    def page(self, query: Query) -> tuple[int, list[Json], int | None]:
        """(number of matches, the rows of the page, where the next page starts or None), for a query without a text."""
        index = self.index()
        matches = index.select(query.wanted, query.task)
        end = query.start + PAGE_ROWS
        rows = index.rows(matches[query.start : end].tolist(), _LIST)
        return len(matches), rows, end if end < len(matches) else None

    def search(self, query: Query) -> Iterator[Json]:
        """The rows that contain the text, as they are found, PAGE_ROWS at most; `row` of the last one tells where to go on."""
        index = self.index()
        matches = index.select(query.wanted, query.task)
        for number in islice(index.search(matches[matches >= query.start], query.text), PAGE_ROWS):
            yield from index.rows([number], _LIST)

    def torn(self) -> list[str]:
        """A sentence on each file of traces that cannot be read, as far as it was tried."""
        names = {path.relative_to(self.run).as_posix(): why for path, why in sorted(self.index().torn.items())}
        return [f"{name} cannot be read ({why}), so traces of its round are left out." for name, why in names.items()]

    def tasks(self, start: str) -> list[str]:
        """The ids that begin with a text: that id alone where it is one."""
        found = self.index().tasks(start)
        return [start] if start in found else found

    def attempts(self, task_id: str) -> list[Json]:
        """All attempts at a task over all rounds, MAX_TASK_ATTEMPTS at most, with parsed verdicts; empty for an unknown task."""
        index = self.index()
        numbers = index.select({"task_id": task_id})[:MAX_TASK_ATTEMPTS].tolist()
        rows = index.rows(numbers, _WHOLE)
        return [
            {**row, "verdicts": json.loads(row["verdicts"] or "[]"), "task": json.loads(row["task"])} for row in rows
        ]


def _as_number(item: tuple[str, int]) -> tuple[int, str]:
    return (int(item[0]), "") if item[0].isdigit() else (-1, item[0])


def line_diff(old: str, new: str) -> list[tuple[str, str]] | None:
    """The lines of two texts, each marked "same", "removed" or "added"; None if a text is too long to compare."""
    if max(len(old), len(new)) > DIFF_CHARS:
        return None
    before, after = old.splitlines(), new.splitlines()
    lines: list[tuple[str, str]] = []
    for word, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if word == "equal":
            lines += [("same", line) for line in before[a:b]]
            continue
        lines += [("removed", line) for line in before[a:b]]
        lines += [("added", line) for line in after[c:d]]
    return lines
