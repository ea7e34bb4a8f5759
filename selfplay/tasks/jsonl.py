"""Your own tasks, as JSON Lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from selfplay.config.sections import TaskSettings
from selfplay.errors import DataError
from selfplay.records import Task
from selfplay.tasks.base import FaultOf, Fixed
from selfplay.tasks.pool import PoolSource
from selfplay.tasks.rows import TaskRows, task_of

DEV_EVERY = 10
"""Without a dev set of their own, the tasks give every 10th one to it."""


class JsonlTasks(TaskSettings):
    """Your own files, one task a line: id, prompt or messages, verifier, reference, tags, difficulty, split."""

    source: Literal["jsonl"]
    train: str
    """Path of a JSONL(.gz) file; a task's own `split` wins. A relative path counts from the config file."""
    dev: str | None = None
    """Path of the dev tasks; None takes the lines of `train` with `split: dev`, or every 10th line."""
    test: str | None = None
    """Path of the test tasks; None takes the lines of `train` with `split: test`."""
    anchor: str | None = None
    """Path of tasks with a reference; None takes the training tasks that have one."""

    def open(self, *, seed: int, eval_seed: int, folder: Path, fault_of: FaultOf | None = None) -> PoolSource:
        """See `TaskSettings.open`."""
        rows = TaskRows(folder, fault_of)
        table = rows.table(self.train)
        parts: dict[str, list[Task]] = {"train": [], "anchor": [], "dev": [], "test": []}
        for task in rows.tasks(table, _task):
            parts[task.split].append(task)
        for split, path in (("dev", self.dev), ("test", self.test), ("anchor", self.anchor)):
            if path is not None:
                own = rows.tasks(rows.table(path), _task)
                parts[split] = [task.model_copy(update={"split": split}) for task in own]
        rows.settle()
        return _source(parts, rows, table.name)


def _task(row: Mapping[str, Any], where: str, number: int) -> Task:
    return task_of(row, where)


def _source(parts: dict[str, list[Task]], rows: TaskRows, name: str) -> PoolSource:
    """The source of the tasks by split. Raises DataError where nothing is left to train on, or an anchor has no reference."""
    if not parts["dev"]:
        parts["dev"] = [task.model_copy(update={"split": "dev"}) for task in parts["train"][::DEV_EVERY]]
        parts["train"] = [task for place, task in enumerate(parts["train"]) if place % DEV_EVERY]
    if not parts["train"]:
        raise DataError(f"{name}: leaves no training task beside the dev set; add tasks, or give dev its own file")
    held = {task.id for split in ("dev", "test") for task in parts[split]}
    pool = [task for task in parts["train"] if task.id not in held]
    anchor = parts["anchor"] or [task for task in pool if task.reference is not None]
    missing = [task.id for task in anchor if task.reference is None]
    if missing:
        raise DataError(
            f"{rows.places[missing[0]]}: anchor task {missing[0]!r} has no reference; the anchor is trained on, add it"
        )
    return PoolSource(pool, Fixed(anchor, parts["dev"], parts["test"], files=rows.files, places=rows.places))
