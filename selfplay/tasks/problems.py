"""Floor 2: word problems in three publishers' layouts: SVAMP, AQuA-RAT (multiple choice) and GSM-Hard."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.config.sections import WordProblems
from selfplay.errors import DataError
from selfplay.records import Task
from selfplay.seeds import rng_of
from selfplay.tasks import Fixed
from selfplay.tasks.rows import FaultOf, TaskRows, task_of
from selfplay.tasks.table_files import Table
from selfplay.tasks.tables import TableSource

_LETTER = re.compile(r"\(?([A-E])\)?\s*[).:]?\s*(.*)", re.DOTALL)
LETTERS = "ABCDE"
_CONFIGURATION = {"svamp": "default", "aqua": "raw", "gsm_hard": "default"}
"""Of the data sets on the hub: ChilleD/SVAMP, deepmind/aqua_rat, reasoning-machines/gsm-hard."""


def open_problems(section: WordProblems, eval_seed: int, folder: Path, fault_of: FaultOf | None = None) -> TableSource:
    """The problems of one file, shuffled by the evaluation's seed: dev, test (its own file, or a part) and the rest.

    Only AQuA has written solutions: its anchor. Raises DataError where a row has another layout, or nothing is left.
    """
    rows = TaskRows(folder, fault_of)
    table = rows.table(section.path, (_CONFIGURATION[section.source], "train"))
    tasks = _read(section, table, "train", rows)
    test: list[Task] = []
    if section.test is not None:
        test = _read(section, rows.table(section.test, (_CONFIGURATION[section.source], "test")), "test", rows)
    rows.settle()
    rng_of(section.source, eval_seed).shuffle(tasks)
    dev, rest = tasks[: section.dev], tasks[section.dev :]
    if section.test is None:
        test, rest = rest[: section.test_rows], rest[section.test_rows :]
    if not rest:
        raise DataError(
            f"{table.name}: has {len(tasks)} problems, all taken by tasks.dev = {section.dev} and tasks.test_rows = "
            f"{section.test_rows}; lower them"
        )
    anchor = [task for task in rest if task.reference is not None][: section.anchor]
    return TableSource(
        rest,
        Fixed(
            anchor=[task.model_copy(update={"split": "anchor"}) for task in anchor],
            dev=[task.model_copy(update={"split": "dev"}) for task in dev],
            test=[task.model_copy(update={"split": "test"}) for task in test],
            files=rows.files,
            places=rows.places,
        ),
    )


def _read(section: WordProblems, table: Table, split: str, rows: TaskRows) -> list[Task]:
    fields_of = {"svamp": _svamp, "aqua": _aqua, "gsm_hard": _gsm_hard}[section.source]

    def make(row: Mapping[str, Any], where: str, number: int) -> Task:
        fields = {"id": f"{section.source}-{split}-{number}", "source": section.source, "split": split}
        return task_of({**fields, **fields_of(row, where)}, where)

    return rows.tasks(table, make)


def _svamp(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`Body`, `Question`, `Answer`, `Equation`, `Type` (Patel et al. 2021). The equation alone is no solution to learn from."""
    body, question = str(_needed(row, "Body", where)).strip(), str(_needed(row, "Question", where)).strip()
    joined = body if body.endswith((".", "?", "!")) else f"{body}."
    tags = (f"topic:{row['Type']}",) if row.get("Type") else ()
    return {
        "prompt": f"{joined} {question}\n",
        "verifier": {"type": "math", "answer": _number(_needed(row, "Answer", where), where)},
        "tags": tags,
    }


def _aqua(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`question`, `options` as `A)...`, `rationale`, `correct` (Ling et al. 2017); the answer is the letter."""
    options = [str(option).strip() for option in _needed(row, "options", where)]
    correct = str(_needed(row, "correct", where)).strip().upper()
    if len(options) < 2 or correct not in LETTERS[: len(options)]:
        raise DataError(f"{where}: correct is {correct!r} of {len(options)} options; give the letter of one of them")
    shown = []
    for letter, option in zip(LETTERS, options, strict=False):
        found = _LETTER.fullmatch(option)
        shown.append(f"{letter}) {found[2].strip() if found and found[1] == letter else option}")
    rationale = str(row.get("rationale") or "").strip()
    return {
        "prompt": "\n".join([str(_needed(row, "question", where)).strip(), *shown, "Answer with the letter.", ""]),
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
        "prompt": f"{str(_needed(row, 'input', where)).strip()}\n",
        "verifier": {"type": "math", "answer": _number(_needed(row, "target", where), where)},
    }


def _number(value: Any, where: str) -> str:
    """A number as the plain text of its shortest form: 18.0 is 18, 0.1 stays 0.1."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{where}: the answer is {value!r}, which is no number; mend the row") from None
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)


def _needed(row: Mapping[str, Any], key: str, where: str) -> Any:
    if row.get(key) is None:
        raise DataError(
            f"{where}: has no {key!r} (it has {', '.join(sorted(row)) or 'nothing'}); is tasks.source the right one?"
        )
    return row[key]
