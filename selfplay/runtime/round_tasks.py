"""The tasks of a round on disk: one JSON line a task, sorted by id, beside the DONE of the phase that wrote them."""

from collections.abc import Sequence
from pathlib import Path

from selfplay.records import Task
from selfplay.store import read_lines, write_lines

FILE = "tasks.jsonl"


def write_tasks(folder: Path, tasks: Sequence[Task]) -> None:
    """Writes the tasks of a phase, sorted by id; the file is there whole or not at all."""
    write_lines(folder / FILE, [task.to_line().encode() for task in sorted(tasks, key=lambda task: task.id)])


def read_tasks(folder: Path) -> list[Task]:
    """The tasks that a phase wrote; none where it has no such file. Raises StoreError where the file is broken."""
    return read_lines(folder / FILE, _parsed) if (folder / FILE).is_file() else []


def _parsed(lines: Sequence[bytes]) -> list[Task]:
    tasks = [Task.from_line(line) for line in lines]
    names = [task.id for task in tasks]
    if names != sorted(set(names)):
        raise ValueError("tasks are not in the order of their ids, each once")
    return tasks
