"""Word problems in three publishers' layouts: SVAMP, AQuA-RAT (multiple choice) and GSM-Hard."""

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
from selfplay.tasks.table_files import Table

_LETTER = re.compile(r"\(?([A-E])\)?\s*[).:]?\s*(.*)", re.DOTALL)
LETTERS = "ABCDE"
_CONFIGURATION = {"svamp": "default", "aqua": "raw", "gsm_hard": "default"}
"""Of the data sets on the hub: ChilleD/SVAMP, deepmind/aqua_rat, reasoning-machines/gsm-hard."""


class WordProblems(TaskSettings):
    """Problems with one short answer, in the layouts of SVAMP, AQuA-RAT (multiple choice) and GSM-Hard."""

    source: Literal["svamp", "aqua", "gsm_hard"]
    path: str
    """A JSONL(.gz) or JSON file in the publisher's layout, or a hub data set: ChilleD/SVAMP, deepmind/aqua_rat, reasoning-machines/gsm-hard."""
    test: str | None = None
    """The same, for the test set; of a hub data set its test split. None: a part of `path`."""
    anchor: int = Field(200, ge=0)
    """Most problems with a written solution (AQuA alone has these) that are the anchor."""
    dev: Count = 50
    """Problems held out as the dev set."""
    test_rows: Count = 50
    """Problems held out as the test set, where it has no file of its own."""

    language = "en"
    scripted_student = False

    def open(self, *, seed: int, eval_seed: int, folder: Path, fault_of: FaultOf | None = None) -> PoolSource:
        """See `TaskSettings.open`. The problems are shuffled by the evaluation's seed: dev set, test set, then the rest."""
        rows = TaskRows(folder, fault_of)
        table = rows.table(self.path, (_CONFIGURATION[self.source], "train"))
        tasks = self._read(table, "train", rows)
        test: list[Task] = []
        if self.test is not None:
            test = self._read(rows.table(self.test, (_CONFIGURATION[self.source], "test")), "test", rows)
        rows.settle()
        rng_of(self.source, eval_seed).shuffle(tasks)
        dev, rest = tasks[: self.dev], tasks[self.dev :]
        if self.test is None:
            test, rest = rest[: self.test_rows], rest[self.test_rows :]
        if not rest:
            raise DataError(
                f"{table.name}: has {len(tasks)} problems, all taken by tasks.dev = {self.dev} and tasks.test_rows = "
                f"{self.test_rows}; lower them"
            )
        anchor = [task for task in rest if task.reference is not None][: self.anchor]
        return PoolSource(
            rest,
            Fixed(
                anchor=in_split(anchor, "anchor"),
                dev=in_split(dev, "dev"),
                test=in_split(test, "test"),
                files=rows.files,
                places=rows.places,
            ),
        )

    def _read(self, table: Table, split: str, rows: TaskRows) -> list[Task]:
        fields_of = {"svamp": _svamp, "aqua": _aqua, "gsm_hard": _gsm_hard}[self.source]

        def make(row: Mapping[str, Any], where: str, number: int) -> Task:
            fields = {"id": f"{self.source}-{split}-{number}", "source": self.source, "split": split}
            return task_of({**fields, **fields_of(row, where)}, where)

        return rows.tasks(table, make)


def _svamp(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`Body`, `Question`, `Answer`, `Equation`, `Type` (Patel et al. 2021). The equation alone is no solution to learn from."""
    body, question = str(needed(row, "Body", where)).strip(), str(needed(row, "Question", where)).strip()
    joined = body if body.endswith((".", "?", "!")) else f"{body}."
    tags = (f"topic:{row['Type']}",) if row.get("Type") else ()
    return {
        "prompt": f"{joined} {question}\n",
        "verifier": {"type": "math", "answer": _number(needed(row, "Answer", where), where)},
        "tags": tags,
    }


def _aqua(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`question`, `options` as `A)...`, `rationale`, `correct` (Ling et al. 2017); the answer is the letter."""
    options = [str(option).strip() for option in needed(row, "options", where)]
    correct = str(needed(row, "correct", where)).strip().upper()
    if len(options) < 2 or correct not in LETTERS[: len(options)]:
        raise DataError(f"{where}: correct is {correct!r} of {len(options)} options; give the letter of one of them")
    shown = []
    for letter, option in zip(LETTERS, options, strict=False):
        found = _LETTER.fullmatch(option)
        shown.append(f"{letter}) {found[2].strip() if found and found[1] == letter else option}")
    rationale = str(row.get("rationale") or "").strip()
    return {
        "prompt": "\n".join([str(needed(row, "question", where)).strip(), *shown, "Answer with the letter.", ""]),
        "verifier": {
            "type": "math",
            "answer": correct,
            "near_misses": [f"A: {x}" for x in LETTERS if x != correct][:2],
        },
        "reference": f"{rationale}\nA: {correct}" if rationale else None,
    }


def _gsm_hard(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`input`, `code`, `target` (Gao et al. 2023). The code is never run here; the target is the answer."""
    return {
        "prompt": f"{str(needed(row, 'input', where)).strip()}\n",
        "verifier": {"type": "math", "answer": _number(needed(row, "target", where), where)},
    }


def _number(value: Any, where: str) -> str:
    """A number as the plain text of its shortest form: 18.0 is 18, 0.1 stays 0.1."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{where}: the answer is {value!r}, which is no number; correct the row") from None
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
