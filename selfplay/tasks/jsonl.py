"""Your own tasks: a file of JSON Lines, JSON, CSV or parquet, or a data set of the hub."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, field_validator

from selfplay.config.sections import TaskSettings
from selfplay.errors import DataError
from selfplay.records import Task
from selfplay.tasks.base import FaultOf, Fixed
from selfplay.tasks.columns import Columns, accepted_once, is_synthesized, synthesized_task
from selfplay.tasks.pool import PoolSource
from selfplay.tasks.rows import TaskRows
from selfplay.tasks.table_files import Table

DEV_EVERY = 10
"""Without a dev set of their own, the tasks give every 10th one to it."""
_HUB_SPLITS = {"train": "train", "anchor": "train", "dev": "validation", "test": "test"}


def _files(value: Any) -> Any:
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple) and names and all(isinstance(name, str) and name.strip() for name in names):
        return value
    raise ValueError(
        f"is {value!r:.60}, which names no file; write a file, or a list of files as in [a.jsonl, b.jsonl]"
    )


Files = Annotated[str | tuple[str, ...], BeforeValidator(_files)]


class JsonlTasks(TaskSettings):
    """Your own tasks, one a row: id, prompt or messages, verifier or answer, reference, tags, difficulty, split."""

    source: Literal["jsonl"]
    train: Files
    """A file, by its ending JSON Lines, `.json`, `.csv`, `.tsv` or `.parquet`, also as `.gz`; or a hub data set such as `openai/gsm8k`,
    or `openai/gsm8k:train[:2000]` with its split; or a list of these, which are one set. A row's own `split` wins. A relative path
    counts from the config file."""
    dev: Files | None = None
    """The same for the dev tasks. None takes the rows of `train` with `split: dev`, or every 10th row."""
    test: Files | None = None
    """The same for the test tasks. None takes the rows of `train` with `split: test`."""
    anchor: Files | None = None
    """The same for tasks with a reference. None takes the training tasks that have one."""
    fields: Mapping[str, str] = {}
    """Key of a task -> column that holds it, such as `{prompt: question, answer: result}`; other columns are then ignored. `answer` and
    `verifier.KEY` go into the verifier, and a column inside an object is written with dots. Empty: the columns are named as the keys."""
    verifier: dict[str, Any] | None = None
    """The verifier of rows that have none of their own. None: mathematics for rows with an `answer`; the others need one."""
    hub_config: str | None = None
    """Configuration (subset) of the hub data sets, such as `main`. None: their only one."""

    @field_validator("fields")
    @classmethod
    def _known(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        if fault := Columns.faults(value):
            raise ValueError(fault)
        return value

    def open(self, *, seed: int, eval_seed: int, folder: Path, fault_of: FaultOf | None = None) -> PoolSource:
        """See `TaskSettings.open`."""
        rows, columns = TaskRows(folder, fault_of), Columns(self.fields, self.verifier)

        def tasks_of(files: Files, split: str) -> tuple[str, list[Task]]:
            hub = (self.hub_config, _HUB_SPLITS[split])
            paths = [files] if isinstance(files, str) else files
            tables = [rows.table(path, hub, columns.wanted) for path in paths]
            stems = [_stem(table.name) for table in tables]
            found: dict[str, Task] = {}
            for table, stem in zip(tables, stems, strict=True):
                name = stem if stems.count(stem) == 1 else f"{Path(table.name).parent.name}-{stem}"
                name += f"-{split}" if split != "train" else ""
                found |= {task.id: task for task in _tasks(table, name, rows, columns, found)}
            return tables[0].name, list(found.values())

        name, train = tasks_of(self.train, "train")
        parts: dict[str, list[Task]] = {"train": [], "anchor": [], "dev": [], "test": []}
        for task in train:
            parts[task.split].append(task)
        for split, path in (("dev", self.dev), ("test", self.test), ("anchor", self.anchor)):
            if path is not None:
                _, own = tasks_of(path, split)
                parts[split] = [task.model_copy(update={"split": split}) for task in own]
        rows.settle()
        return _source(parts, rows, name)


def _stem(name: str) -> str:
    """What tasks without an id are named after: the file's name without its endings."""
    return Path(name).name.partition(".")[0]


def _tasks(table: Table, stem: str, rows: TaskRows, columns: Columns, taken: Collection[str]) -> list[Task]:
    """The tasks of one table, named after `stem`; what is wrong with its columns or rows is noted in `rows`."""
    if is_synthesized(table):
        try:
            table = accepted_once(table)
        except DataError as error:
            rows.fault(str(error))
            return []
        return rows.tasks(table, lambda row, where, number: synthesized_task(row, where), taken)
    if fault := columns.missing(table):
        rows.fault(fault)
        return []
    named = columns.has_ids(table)

    def make(row: Mapping[str, Any], where: str, number: int) -> Task:
        return columns.task(row, where, cells=table.cells, name=None if named else f"{stem}-{number + 1}")

    return rows.tasks(table, make, taken)


def _source(parts: dict[str, list[Task]], rows: TaskRows, name: str) -> PoolSource:
    """The source of the tasks by split. Raises DataError where nothing is left to train on, or an anchor has no reference."""
    if not parts["dev"]:
        parts["dev"] = [task.model_copy(update={"split": "dev"}) for task in parts["train"][::DEV_EVERY]]
        parts["train"] = [task for place, task in enumerate(parts["train"]) if place % DEV_EVERY]
    if not parts["train"]:
        raise DataError(f"{name}: leaves no training task beside the dev set; add tasks, or give dev its own file")
    pool = _unlike([task for split in ("dev", "test") for task in parts[split]], parts["train"])
    anchor = parts["anchor"] or [task for task in pool if task.reference is not None]
    missing = [task.id for task in anchor if task.reference is None]
    if missing:
        raise DataError(
            f"{rows.places[missing[0]]}: anchor task {missing[0]!r} has no reference; the anchor is trained on, add it"
        )
    fixed = Fixed(anchor, parts["dev"], parts["test"], files=rows.files, places=rows.places)
    return PoolSource(pool, fixed, filtered=len(parts["train"]) - len(pool))


def _unlike(held_out: list[Task], tasks: list[Task]) -> list[Task]:
    """The tasks that are not held out under the same id, nor under another id with the same question.

    Where more than half ask what a held-out task asks, the question says too little to tell tasks apart, and only ids count.
    """
    ids, asked = {task.id for task in held_out}, {task.text.strip() for task in held_out}
    others = [task for task in tasks if task.id not in ids]
    unlike = [task for task in others if task.text.strip() not in asked]
    return unlike if 2 * len(unlike) >= len(others) else others
