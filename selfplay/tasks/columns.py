"""Turns a row of a user's table into a task: which column holds which part, and what stands in for what the row leaves out."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from selfplay.config.near_words import nearest
from selfplay.errors import DataError
from selfplay.jsonlines import parsed
from selfplay.records import Task
from selfplay.tasks.chats import cut_reply, turns_of
from selfplay.tasks.rows import KEYS, task_of
from selfplay.tasks.table_files import Table

CONVERSATIONS = "conversations"
"""The column of chats in ShareGPT's layout, which stands for `messages`."""
ANSWER, OF_VERIFIER = "answer", "verifier."
"""Keys of a row beside those of a task: what they give goes into the verifier, `verifier.KEY` under KEY."""
_JSON = ("messages", "verifier", "tags", "parents", "difficulty")
"""Keys whose value may be JSON text in a table with fixed columns."""
_TEXTS = ("id", "prompt", "reference", "source", "split")


class Columns:
    """The columns of a table as keys of its tasks.

    `fields`: key of a task, `answer` or `verifier.KEY` -> column; a column inside an object is written with dots. Empty: the columns
    are named as the keys are, and every other column is a fault. `verifier`: of the rows that have none of their own.
    """

    def __init__(self, fields: Mapping[str, str], verifier: Mapping[str, Any] | None) -> None:
        self._fields, self._verifier = dict(fields), verifier
        self.wanted = {part for name in self._fields.values() for part in (name, name.partition(".")[0])}
        """Columns that are read; empty: all."""
        if self._fields:
            self.wanted |= set(_SYNTHESIZED)

    def has_ids(self, table: Table) -> bool:
        """Whether any row of the table has an id; if none has, tasks are named by their numbers."""
        column = self._fields.get("id", "" if self._fields else "id")
        return any(_at(row, column) is not None for _, row in table.rows)

    @staticmethod
    def faults(fields: Mapping[str, str]) -> str:
        """What is wrong with the setting `fields`, "" if nothing is."""
        for key in fields:
            if key in (*KEYS, ANSWER) or (key.startswith(OF_VERIFIER) and key != OF_VERIFIER):
                continue
            near = nearest(key, (*KEYS, ANSWER))
            known = f"known keys: {', '.join(KEYS)}, {ANSWER}, {OF_VERIFIER}KEY"
            advice = f"did you mean {near!r}?" if near else f"the left side names a key of a task ({known})"
            return f"has the key {key!r}, which no task has; {advice}"
        return ""

    def missing(self, table: Table) -> str:
        """The columns that no row of the table has, one a line, each with a suggestion; "" if there are none."""
        lines = []
        for key, column in self._fields.items():
            if not table.rows or any(_at(row, column) is not None for _, row in table.rows):
                continue
            has = list(dict.fromkeys(name for _, row in table.rows[:100] for name in row))
            near = nearest(column, has)
            advice = f"did you mean {near!r}?" if near else f"its columns: {', '.join(has)[:300] or 'none'}"
            lines.append(f"{table.name}: tasks.fields.{key} is {column!r}, but no row has a value there; {advice}")
        return "\n".join(lines)

    def task(self, row: Mapping[str, Any], where: str, *, cells: bool, name: str | None) -> Task:
        """The task of a row. Raises DataError with place, column, value and remedy.

        `cells`: see `Table.cells`. `name`: the id that the task gets, in tables whose rows have none; None: the row's own.
        """
        given = {key: _at(row, column) for key, column in self._fields.items()} if self._fields else dict(row)
        if cells:
            given = {key: self._plain(key, value, where) for key, value in given.items() if not _is_empty(value)}
        elif self._fields:
            given = {key: value for key, value in given.items() if value is not None}
        if name is not None:
            given["id"] = name
        given = self._chat(given, where)
        return task_of(self._checked(given, where), where, self._fields)

    def _chat(self, given: dict[str, Any], where: str) -> dict[str, Any]:
        """The row with its chat as turns. A key whose column is that of the chat gets the text of the last reply, and the turns before
        it are the prompt; where `fields` names the column, a chat that ends with a reply is cut before it in any case."""
        if not self._fields and CONVERSATIONS in given and "messages" not in given:
            given["messages"] = given.pop(CONVERSATIONS)
        if "messages" not in given:
            return given
        turns, column = turns_of(given["messages"]), self._fields.get("messages")
        if column is None:
            return {**given, "messages": turns}
        same = [key for key, other in self._fields.items() if other == column and key != "messages"]
        before, reply = cut_reply(turns, where, column, needed=bool(same))
        return {**given, "messages": before, **dict.fromkeys(same, reply)}

    def _checked(self, given: dict[str, Any], where: str) -> dict[str, Any]:
        """The row with its verifier: its own, else that of the setting, else mathematics where it has an answer."""
        parts = {key: given.pop(key) for key in list(given) if key == ANSWER or key.startswith(OF_VERIFIER)}
        if not parts and ("verifier" in given or self._verifier is None):
            return given
        own = given.get(
            "verifier", self._verifier if self._verifier is not None or ANSWER not in parts else {"type": "math"}
        )
        if not isinstance(own, Mapping):
            return given  # no verifier, or none that can be read: `task_of` says so
        check = dict(own)
        for key, value in parts.items():
            name = key.removeprefix(OF_VERIFIER)
            if name in check:
                raise DataError(f"{where}: {key} is given beside the verifier's own {name}; give one of them")
            check[name] = value
        return {**given, "verifier": check}

    def _plain(self, key: str, value: Any, where: str) -> Any:
        """The value of a cell as JSON has it: text is read as JSON where the key takes more than text."""
        if key in _TEXTS:
            return value if isinstance(value, str) else str(value)
        structured = key in _JSON or key.startswith(OF_VERIFIER)
        if structured and isinstance(value, str):
            try:
                value = parsed(value.encode(), where)
            except DataError as error:
                if key in ("messages", "verifier"):
                    column = self._fields.get(key, key)
                    raise DataError(
                        f"{where}: column {column!r} should hold JSON: {str(error).partition(': ')[2]}"
                    ) from None
            if key == "tags" and isinstance(value, str):
                value = [value]
        return _without_empty(value) if key in ("messages", "verifier") else value


# ---- data sets that `selfplay synthesize` wrote, and the traces of a run ----

_SYNTHESIZED = ("task_id", "task", "text", "decision")


def is_synthesized(table: Table) -> bool:
    """Whether selfplay wrote the table: as a data set, or as the traces of a round."""
    return bool(table.rows) and all(column in table.rows[0][1] for column in _SYNTHESIZED)


def accepted_once(table: Table) -> Table:
    """The first accepted row of each task of a table that selfplay wrote. Raises DataError where none is accepted."""
    first: dict[str, tuple[str, dict[str, Any]]] = {}
    for where, row in table.rows:
        if row["decision"] == "accepted":
            first.setdefault(str(row["task_id"]), (where, row))
    if not first:
        raise DataError(
            f"{table.name}: none of its {len(table.rows)} rows is accepted; synthesize more, or give another file"
        )
    return replace(table, rows=list(first.values()))


def synthesized_task(row: Mapping[str, Any], where: str) -> Task:
    """The task of an accepted row; the solution that was accepted is its reference, where it has none."""
    task = task_of(parsed(str(row["task"]).encode(), where), where)
    return task if task.reference is not None else task.model_copy(update={"reference": str(row["text"])})


# ---- values ----


def _at(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column, or of a place inside one as `reward_model.ground_truth` and `answers.text.0`; None if it has none."""
    if column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal():
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return None
    return value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _without_empty(value: Any) -> Any:
    """An object or a list without the keys that are None: a column of objects has every key in every row."""
    if isinstance(value, Mapping):
        return {key: _without_empty(one) for key, one in value.items() if one is not None}
    return [_without_empty(one) for one in value] if isinstance(value, list) else value
