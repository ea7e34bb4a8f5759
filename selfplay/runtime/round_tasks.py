"""Reads and writes the tasks of a round: `tasks.jsonl` in the folder of propose and of synthesize, sorted by id."""

from collections.abc import Sequence
from pathlib import Path

from selfplay.records import Task
from selfplay.store import read_lines, write_lines

FILE = "tasks.jsonl"


def write_tasks(folder: Path, tasks: Sequence[Task]) -> None:
    """Writes the tasks of a phase, sorted by id; the write is atomic."""
    write_lines(folder / FILE, [task.to_line().encode() for task in sorted(tasks, key=lambda task: task.id)])


def read_tasks(folder: Path) -> list[Task]:
    """The tasks that a phase wrote; empty if it wrote no file. Raises StoreError if the file is broken."""
    return read_lines(folder / FILE, _parsed) if (folder / FILE).is_file() else []


def _parsed(lines: Sequence[bytes]) -> list[Task]:
    tasks = [Task.from_line(line) for line in lines]
    names = [task.id for task in tasks]
    if names != sorted(set(names)):
        raise ValueError("its tasks are not sorted by id, or an id occurs twice")
    return tasks
