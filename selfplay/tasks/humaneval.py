"""HumanEval, function completion with hidden tests (Chen et al. 2021): for evaluation alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from selfplay.config.sections import TaskSettings
from selfplay.records import Task
from selfplay.tasks.base import FaultOf, Fixed
from selfplay.tasks.pool import PoolSource
from selfplay.tasks.rows import TaskRows, needed, task_of


class HumanEval(TaskSettings):
    """Function completion with hidden tests: evaluation only, never trained on."""

    source: Literal["humaneval"]
    path: str
    """A JSONL(.gz) file, or a hub data set such as openai/openai_humaneval."""

    known_license = "mit"
    language = "en"
    evaluation_only = True
    scripted_student = False

    def open(self, *, seed: int, eval_seed: int, folder: Path, fault_of: FaultOf | None = None) -> PoolSource:
        """See `TaskSettings.open`."""
        rows = TaskRows(folder, fault_of)
        tasks = rows.tasks(rows.table(self.path, ("openai_humaneval", "test")), _task)
        rows.settle()
        return PoolSource([], Fixed(anchor=[], dev=[], test=tasks, files=rows.files, places=rows.places))


def _task(row: Mapping[str, Any], where: str, number: int) -> Task:
    prompt, entry = str(needed(row, "prompt", where)), str(needed(row, "entry_point", where))
    return task_of(
        {
            "id": str(needed(row, "task_id", where)),
            "prompt": prompt,
            "verifier": {
                "type": "code_tests",
                "entry_point": entry,
                "source": needed(row, "test", where),
                "prefix": prompt,
            },
            "reference": prompt + str(needed(row, "canonical_solution", where)),
            "source": "humaneval",
            "split": "test",
        },
        where,
    )
