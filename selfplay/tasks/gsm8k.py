"""GSM8K, grade-school word problems (Cobbe et al. 2021), and OpenAI's release of graded model solutions to them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from selfplay.config.sections import Count, TaskSettings
from selfplay.errors import DataError
from selfplay.records import Task
from selfplay.seeds import rng_of
from selfplay.tasks.base import FaultOf, Fixed
from selfplay.tasks.pool import PoolSource
from selfplay.tasks.rows import TaskRows, in_split, needed, task_of

_CALCULATOR = re.compile(r"<<[^<>]*>>")
"""The notes of a calculator that GSM8K's solutions hold, such as `<<2*3=6>>`."""
HARDEST = 8
"""The difficulty of problems whose solution has so many lines or more; there are few of them."""


class Gsm8k(TaskSettings):
    """Grade-school word problems: `question`, `answer` with `#### N` at the end. A problem's difficulty is the number of lines of
    its written solution, 1 to 8."""

    source: Literal["gsm8k"]
    train: str
    """A JSONL(.gz) file, or a hub data set such as openai/gsm8k."""
    test: str
    """The same, for the test set."""
    anchor: int = Field(200, ge=0)
    """Training problems whose written solution is the anchor."""
    dev: Count = 200
    """Training problems held out as the dev set."""
    test_rows: int | None = Field(None, ge=1)
    """Test problems that are used, from the first on; None: all of them."""
    train_rows: int | None = Field(None, ge=1)
    """Training problems that are used, from the first on; None: all of them."""

    known_license = "mit"
    language = "en"
    scripted_student = False

    def open(self, *, seed: int, eval_seed: int, folder: Path, fault_of: FaultOf | None = None) -> PoolSource:
        """See `TaskSettings.open`."""
        rows = TaskRows(folder, fault_of)
        train, test = rows.table(self.train, ("main", "train")), rows.table(self.test, ("main", "test"))
        tasks = rows.tasks(train, _training_task)[: self.train_rows]
        held = rows.tasks(test, lambda row, where, n: _task(row, where, f"gsm8k-test-{n}", "test"))
        rows.settle()
        dev, rest = _dev_and_rest(tasks, self.dev, eval_seed, train.name)
        return _source(rows, rest, rest[: self.anchor], dev, held[: self.test_rows])


class Gsm8kRecorded(TaskSettings):
    """The problems of OpenAI's release of graded model solutions, for the recorded backend with layout gsm8k_models.

    They are problems of GSM8K's test split: what learns from them must not be evaluated on it, so dev set and anchor
    come from the training split, and there is no test set.
    """

    source: Literal["gsm8k_recorded"]
    path: str
    """The JSONL(.gz) file of solutions: `question`, `ground_truth`, and four models' `solution` and `is_correct`."""
    train: str
    """GSM8K's training split."""
    anchor: Count = 200
    """Training problems whose written solution is the anchor."""
    dev: Count = 50
    """Training problems held out as the dev set."""

    known_license = "mit"
    language = "en"
    scripted_student = False

    def open(self, *, seed: int, eval_seed: int, folder: Path, fault_of: FaultOf | None = None) -> PoolSource:
        """See `TaskSettings.open`."""
        rows = TaskRows(folder, fault_of)
        solutions, train = rows.table(self.path), rows.table(self.train, ("main", "train"))
        pool = rows.tasks(solutions, _recorded_task)
        human = rows.tasks(train, _training_task)
        rows.settle()
        dev, rest = _dev_and_rest(human, self.dev, eval_seed, train.name)
        return _source(rows, pool, rest[: self.anchor], dev, [])


def _source(rows: TaskRows, pool: list[Task], anchor: list[Task], dev: list[Task], test: list[Task]) -> PoolSource:
    """The pool without its solutions, and the fixed tasks; the dev set with its solutions is the human text."""
    held_out = in_split(dev, "dev", reference=None)
    fixed = Fixed(in_split(anchor, "anchor"), held_out, test, human_text=dev, files=rows.files, places=rows.places)
    return PoolSource(in_split(pool, "train", reference=None), fixed)


def _dev_and_rest(tasks: list[Task], dev: int, eval_seed: int, name: str) -> tuple[list[Task], list[Task]]:
    """The dev set, drawn by the evaluation's seed, and the other tasks. Raises DataError where there are none."""
    rng_of("gsm8k/panel", eval_seed).shuffle(tasks)
    if len(tasks) <= dev:
        raise DataError(f"{name}: has {len(tasks)} problems, all taken by tasks.dev = {dev}; lower it")
    return tasks[:dev], tasks[dev:]


def _training_task(row: Mapping[str, Any], where: str, number: int) -> Task:
    return _task(row, where, f"gsm8k-{number}")


def _recorded_task(row: Mapping[str, Any], where: str, number: int) -> Task:
    solution, _, gold = str(needed(row, "ground_truth", where)).rpartition("A:")
    problem = {"question": row.get("question"), "answer": f"{solution}#### {gold.strip()}"}
    return _task(problem, where, f"gsm8k-test-{number}")


def _task(row: Mapping[str, Any], where: str, name: str, split: str = "train") -> Task:
    question, answer = (str(needed(row, key, where)) for key in ("question", "answer"))
    solution, found, final = answer.rpartition("####")
    if not found:
        raise DataError(f"{where}: answer has no `#### N` line; GSM8K answers end in one")
    value = final.strip().replace(",", "")
    steps = _CALCULATOR.sub("", solution).strip()
    return task_of(
        {
            "id": name,
            "prompt": f"{question.strip()}\n",
            "verifier": {"type": "math", "answer": value},
            "reference": f"{steps}\nA: {value}",
            "source": "gsm8k",
            "difficulty": min(HARDEST, len(steps.splitlines())) or None,
            "split": split,
        },
        where,
    )
