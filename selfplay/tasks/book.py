"""Floor 2: the tasks of a round in little memory: as the JSON lines they are stored as, parsed when asked for.

A task as a record takes some 3 KiB, as a line a tenth of that: a round of 100,000 tasks fits where records of them would not.
"""

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from operator import eq
from typing import Self, overload

from selfplay.errors import DataError
from selfplay.records import Task

KEPT = 4096
"""Parsed tasks that a book keeps, the last ones asked for: smaller rounds are parsed once."""


def line_of(task: Task) -> bytes:
    """A task as a book keeps it."""
    return task.to_line().encode()


class TaskBook(Sequence[Task]):
    """Tasks in the order of their ids, each id once; read-only."""

    def __init__(
        self, ids: Sequence[str], lines: Sequence[bytes], change: Callable[[Task], Task] | None = None, kept: int = KEPT
    ) -> None:
        self._ids, self._lines, self._change, self._kept = ids, lines, change, kept
        self._parsed: OrderedDict[int, Task] = OrderedDict()

    @classmethod
    def of(cls, tasks: Iterable[Task]) -> Self:
        """A book of these tasks, sorted. Raises DataError where an id is met twice."""
        if isinstance(tasks, cls):
            return tasks
        return cls._sorted([(task.id, line_of(task)) for task in tasks])

    @classmethod
    def of_lines(cls, lines: Mapping[str, bytes]) -> Self:
        """A book of what `line_of` made of tasks, by their ids."""
        return cls._sorted(list(lines.items()))

    @classmethod
    def read(cls, lines: Sequence[bytes]) -> Self:
        """A book of the `lines` of another one. Raises ValueError where a line is no task."""
        known: OrderedDict[int, Task] = OrderedDict()
        ids = []
        for place, line in enumerate(lines):
            task = Task.from_line(line)
            ids.append(task.id)
            if place < KEPT:
                known[place] = task
        if ids != sorted(set(ids)):
            raise ValueError("tasks are not in the order of their ids, each once")
        book = cls(ids, lines)
        book._parsed = known
        return book

    @classmethod
    def _sorted(cls, rows: list[tuple[str, bytes]]) -> Self:
        rows.sort()
        ids = [name for name, _ in rows]
        for one, other in pairwise(ids):
            if one == other:
                raise DataError(f"tasks: the id {one!r} is used twice; ids must be unique")
        return cls(ids, [line for _, line in rows])

    @property
    def ids(self) -> Sequence[str]:
        """The ids, in order."""
        return self._ids

    def named(self, name: str) -> Task:
        """The task of an id. Raises KeyError where there is none."""
        place = bisect_left(self._ids, name)
        if place == len(self._ids) or self._ids[place] != name:
            raise KeyError(name)
        return self._at(place)

    def __eq__(self, other: object) -> bool:
        """Whether the other sequence has equal tasks in the same order."""
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, place: int) -> Task: ...
    @overload
    def __getitem__(self, place: slice) -> list[Task]: ...
    def __getitem__(self, place: int | slice) -> Task | list[Task]:
        if isinstance(place, slice):
            return [self._at(i) for i in range(*place.indices(len(self)))]
        return self._at(range(len(self))[place])

    def __iter__(self) -> Iterator[Task]:
        return (self._at(place) for place in range(len(self)))

    def _at(self, place: int) -> Task:
        known = self._parsed.get(place)
        if known is not None:
            return known
        task = Task.from_line(self._lines[place])
        task = task if self._change is None else self._change(task)
        self._parsed[place] = task
        if len(self._parsed) > self._kept:
            self._parsed.popitem(last=False)
        return task

    def forget(self) -> None:
        """Drops the parsed tasks, which are parsed again when asked for: where their memory is of better use."""
        self._parsed.clear()

    def merged(self, other: "TaskBook") -> "TaskBook":
        """A book of both. Raises DataError where an id is in both."""
        if not len(other):
            return self
        rows = [*zip(self._ids, self._lines, strict=True), *zip(other._ids, other._lines, strict=True)]
        return TaskBook._sorted(rows)

    def without(self, names: Collection[str]) -> "TaskBook":
        """A book of the other tasks."""
        rows = zip(self._ids, self._lines, strict=True)
        return TaskBook.of_lines({name: line for name, line in rows if name not in names})

    def changed(self, change: Callable[[Task], Task]) -> "TaskBook":
        """The same tasks, each as `change` makes it when it is asked for; ids must stay."""
        return TaskBook(self._ids, self._lines, change, self._kept)

    @property
    def lines(self) -> Sequence[bytes]:
        """The tasks as JSON, in order, as they were before any change; `read` makes a book of them."""
        return self._lines
