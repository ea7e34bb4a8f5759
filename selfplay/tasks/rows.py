"""Rows of tables as tasks. The faults of all rows of all tables of a source are reported together, each with its line."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from selfplay.config.near_words import nearest
from selfplay.errors import DataError
from selfplay.jsonlines import read_json_objects
from selfplay.records import Task
from selfplay.tasks.base import FaultOf
from selfplay.tasks.table_files import MAX_ROWS, Table, read_table

MOST_SHOWN = 50
"""Faults that are shown one by one; of the others the number."""
KEYS = ("id", "prompt", "messages", "verifier", "reference", "source", "parents", "tags", "difficulty", "split")
"""The keys of a task line."""
_LEVEL = re.compile(r"[1-9][0-9]{0,2}|1000")


class TaskRows:
    """Reads the tables of one source. `settle` raises what is wrong with any of them; call it before the tasks are used.

    `folder`: where relative paths count from. `fault_of`: also holds each task's check to what its verifier takes.
    """

    def __init__(self, folder: Path, fault_of: FaultOf | None = None) -> None:
        self.files: dict[str, str] = {}
        """Name of each file read -> sha256 of its content."""
        self.places: dict[str, str] = {}
        """Task id -> where its row stands, such as `tasks.jsonl:12`."""
        self._folder, self._fault_of = folder, fault_of
        self._faults: list[str] = []
        self._more = 0

    def table(self, path: str, hub: tuple[str | None, str] | None = None, columns: Collection[str] = ()) -> Table:
        """A table as `read_table` reads it, without the lines that cannot be read, each of which is a fault."""
        try:
            table = read_table(path, self._folder, hub, columns)
        except DataError as error:
            return self._partly(path, str(error))
        for name, sha in table.files.items():
            self.files[name if self.files.get(name, sha) == sha else path] = sha  # files of one name in two folders
        return table

    def _partly(self, path: str, fault: str) -> Table:
        """The lines of a JSON Lines file that can be read; what is wrong with each other one, or with any other file, is a fault."""
        place = next((p for p in (self._folder / path, Path(path)) if p.is_file()), None)
        if place is None or not place.name.removesuffix(".gz").endswith(".jsonl"):
            self.fault(fault)
            return Table(path, [], {})
        before, rows = len(self._faults) + self._more, list[tuple[str, dict[str, Any]]]()
        try:
            rows += islice(read_json_objects(place, told=self.fault), MAX_ROWS)
        except DataError as error:  # the file itself is broken from here on
            self.fault(str(error))
        if len(self._faults) + self._more == before:
            self.fault(fault)
        return Table(str(place), rows, {})

    def tasks(
        self, table: Table, make: Callable[[Mapping[str, Any], str, int], Task], taken: Collection[str] = ()
    ) -> list[Task]:
        """The tasks that `make` makes of row, place and number (from 0); a row it raises DataError on is a fault.

        `taken`: ids of the other tables of the same set, which no row may use again.
        """
        found: dict[str, Task] = {}
        for number, (where, row) in enumerate(table.rows):
            try:
                task = make(row, where, number)
            except DataError as error:
                self.fault(str(error))
                continue
            if task.id in found or task.id in taken:
                first = self.places[task.id]
                self.fault(f"{where}: the id {task.id[:80]!r} is used twice, first at {first}; ids must be unique")
                continue
            found[task.id], self.places[task.id] = task, where
            if self._fault_of is not None and (fault := self._fault_of(task.check)):
                self.fault(f"{where}: task {task.id[:80]!r}: verifier: {fault}")
        return list(found.values())

    def fault(self, text: str) -> None:
        """One more thing that is wrong; several lines are several."""
        for line in text.splitlines():
            if len(self._faults) < MOST_SHOWN:
                self._faults.append(line)
            else:
                self._more += 1

    def settle(self) -> None:
        """Raises DataError with all faults, one a line, where there are any."""
        if self._faults:
            raise DataError("\n".join([*self._faults, *([f"and {self._more} more"] if self._more else [])]))


def task_of(row: Mapping[str, Any], where: str, columns: Mapping[str, str] | None = None) -> Task:
    """A task line as a record; its `difficulty` (a whole number from 1, None for none) becomes the tag `difficulty:n`.

    `columns`: key -> the column that it was read from, for messages. Raises DataError with its place, a line a fault, where it cannot
    be a task.
    """
    try:
        task = Task.model_validate({key: value for key, value in row.items() if key != "difficulty"})
    except ValidationError as error:
        faults = [_sentence(dict(item), columns or {}) for item in error.errors()]
        raise DataError("\n".join(f"{where}: {fault}" for fault in dict.fromkeys(faults))) from None
    if not task.text.strip():
        key = "prompt" if task.prompt is not None else "messages"
        raise DataError(f"{where}: {key} is empty; write what the student is asked")
    if task.messages is not None and task.messages[-1].role == "assistant":
        raise DataError(
            f"{where}: messages end with a turn of the assistant; give its text as reference, or set tasks.fields: "
            "{messages: messages, reference: messages, ...}, which takes the last turn as the reference"
        )
    if not task.id.strip():
        raise DataError(f"{where}: id is blank; give each task a name of its own")
    return _with_difficulty(task, row.get("difficulty"), where)


def _with_difficulty(task: Task, given: Any, where: str) -> Task:
    """The task tagged by the difficulty of its row, which a tag may give as well. Raises DataError on what is no level."""
    tagged = [tag.removeprefix("difficulty:") for tag in task.tags if tag.startswith("difficulty:")]
    written = [json.dumps(given)] * (given is not None) + tagged
    for text in written:
        if not _LEVEL.fullmatch(text):
            raise DataError(
                f"{where}: difficulty is {text:.60}, should be a whole number from 1 to 1000; correct it, or leave it out"
            )
    if len(set(written)) > 1:
        raise DataError(f"{where}: difficulty is given as {' and as '.join(written)}; give it once")
    return task if tagged or given is None else task.model_copy(update={"tags": (*task.tags, f"difficulty:{given}")})


def in_split(tasks: Iterable[Task], split: str, **changes: Any) -> list[Task]:
    """The tasks with another split, and other changes such as `reference=None`."""
    return [task.model_copy(update={"split": split, **changes}) for task in tasks]


def needed(row: Mapping[str, Any], key: str, where: str) -> Any:
    """The value of a column. Raises DataError where the row has none."""
    if row.get(key) is None:
        raise DataError(
            f"{where}: has no {key!r} (it has {', '.join(sorted(row)) or 'nothing'}); is this the right file for tasks.source?"
        )
    return row[key]


def _sentence(item: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    """One finding of pydantic's as key, value and remedy. `columns`: see `task_of`."""
    key, kind = ".".join(str(part) for part in item["loc"]).replace("check", "verifier", 1), item["type"]
    given = repr(item["input"]) if len(repr(item["input"])) <= 60 else f"{item['input']!r:.57}..."
    if kind == "missing" and key == "verifier":
        return "task has no verifier; add answer, verifier: {type: ...}, or tasks.verifier for all rows"
    if key == "verifier" and isinstance(item["input"], str):
        return f'verifier is {given}, must be an object; write {{"type": "math", "answer": ...}}, or another type with its own keys'
    if (column := columns.get(key, key)) != key:
        key = f"{key} (column {column!r})"
    if kind == "missing":
        return f"{key} is missing; add it"
    if kind == "extra_forbidden":
        name = key.rpartition(".")[2]
        known = (*KEYS, "answer") if key == name else ("role", "content")
        near = nearest(name, known)
        more = "; for other names set tasks.fields" if key == name else ""
        advice = f"did you mean {near}?" if near else f"known keys: {', '.join(known)}{more}"
        return f"{key} is {given}, but there is no such key; {advice}"
    message = item["msg"].removeprefix("Value error, ")
    if kind == "value_error":
        return message if ";" in message else f"the line {message}; correct the line"
    return f"{key} is {given}, {message[:1].lower()}{message[1:]}; correct it".replace("input should", "should")
