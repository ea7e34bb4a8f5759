"""MBPP, short Python tasks with asserts (Austin et al. 2021)."""

import ast
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from selfplay.config.sections import Count, TaskSettings
from selfplay.errors import DataError
from selfplay.records import Task
from selfplay.seeds import rng_of
from selfplay.tasks.base import FaultOf, Fixed
from selfplay.tasks.pool import PoolSource
from selfplay.tasks.rows import TaskRows, in_split, needed, task_of

_SLOW = {"123": 12.0}
"""CPU seconds for problems whose own solutions take more than the configuration's two: this one takes three."""


class Mbpp(TaskSettings):
    """Short Python tasks with asserts, as `text` or `prompt`, `code`, `test_list`."""

    source: Literal["mbpp"]
    path: str
    """A JSONL(.gz) file, or a hub data set such as google-research-datasets/mbpp."""
    dev: Count = 50
    """Tasks of the dev set, held out where the rows carry no split of their own."""
    test: Count = 50
    """The same, of the test set."""

    known_license = "cc-by-4.0"
    language = "en"
    scripted_student = False

    def open(self, *, seed: int, eval_seed: int, folder: Path, fault_of: FaultOf | None = None) -> PoolSource:
        """See `TaskSettings.open`."""
        rows = TaskRows(folder, fault_of)
        table = rows.table(self.path, ("full", "train+validation+test"))
        tasks = rows.tasks(table, _task)
        rows.settle()
        parts = {split: [t for t in tasks if t.split == split] for split in ("train", "dev", "test")}
        rng_of("mbpp/held_out", eval_seed).shuffle(parts["train"])
        for split, count in (("dev", self.dev), ("test", self.test)):
            if not parts[split]:
                parts[split] = in_split(parts["train"][:count], split)
                parts["train"] = parts["train"][count:]
            parts[split] = parts[split][:count]
        if not parts["train"]:
            raise DataError(
                f"{table.name}: leaves no training task beside dev set and test set; lower tasks.dev and tasks.test"
            )
        return PoolSource(
            parts["train"],
            Fixed(
                anchor=in_split(parts["train"], "anchor"),
                dev=parts["dev"],
                test=parts["test"],
                files=rows.files,
                places=rows.places,
            ),
        )


def _task(row: Mapping[str, Any], where: str, number: int) -> Task:
    text = str(row.get("text") or needed(row, "prompt", where)).strip()
    code = str(needed(row, "code", where)).replace("\r\n", "\n")
    tests = [str(test).replace("\r\n", "\n") for test in needed(row, "test_list", where)]
    setup = "\n".join(row.get("test_imports") or []) or str(row.get("test_setup_code") or "")
    entry = _tested_function(code, tests)
    if entry is None:
        raise DataError(f"{where}: no test calls a function that the code defines; correct test_list or code")
    name = str(needed(row, "task_id", where))
    return task_of(
        {
            "id": f"mbpp-{name}",
            "prompt": f"{text}\nYour code must pass these tests:\n" + "\n".join(tests) + "\n",
            "verifier": {
                "type": "code_tests",
                "entry_point": entry,
                "source": "\n".join([setup.replace("\r\n", "\n"), *tests]).strip(),
                **({"cpu_seconds": _SLOW[name]} if name in _SLOW else {}),
            },
            "reference": code,
            "source": "mbpp",
            "split": {"validation": "dev", "test": "test"}.get(str(row.get("split", "train")), "train"),
        },
        where,
    )


def _tested_function(code: str, tests: Sequence[str]) -> str | None:
    """The function of the reference that the tests call; None where there is none. Both are only parsed, never run."""
    try:
        with warnings.catch_warnings():  # an invalid escape in the data set is no news for our users
            warnings.simplefilter("ignore")
            body, asserts = ast.parse(code).body, [ast.parse(test) for test in tests]
    except SyntaxError:
        return None
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assigned = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    defined |= {target.id for target in assigned if isinstance(target, ast.Name)}
    calls = [node.func for test in asserts for node in ast.walk(test) if isinstance(node, ast.Call)]
    return next((f.id for f in calls if isinstance(f, ast.Name) and f.id in defined), None)
