"""Floor 2: tasks from tables: your own JSON Lines, GSM8K, MBPP and HumanEval as their publishers lay them out."""

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfplay.answers.code_blocks import whole_program
from selfplay.answers.programs import Entry, Program
from selfplay.config.sections import Gsm8k, Gsm8kRecorded, HumanEval, JsonlTasks, Mbpp
from selfplay.errors import DataError
from selfplay.records import Task
from selfplay.seeds import rng_of
from selfplay.tasks import Fixed, Proposal, draw
from selfplay.tasks.rows import FaultOf, TaskRows, task_of
from selfplay.tasks.table_files import Table

_CALCULATOR = re.compile(r"<<[^<>]*>>")
_MBPP_SLOW = {"123": 12.0}
"""CPU seconds for problems whose own solutions take more than the configuration's two: this one takes three."""
DEV_EVERY = 10
"""Without a dev set of their own, JSON Lines give every 10th training task to it."""


class TableSource:
    """A finite pool of tasks with its held-out parts."""

    def __init__(self, pool: Sequence[Task], fixed: Fixed) -> None:
        self.pool: Sequence[Task] = list(pool)
        self.fixed = fixed

    def propose(self, count: int | None, lengths: Mapping[int, float] | None, seed: int) -> Proposal:
        """See `Source.propose`; tables have no lengths."""
        return Proposal(draw(self.pool, count, seed))

    def near_misses(self, task: Task) -> list[str]:
        """Replies that must fail: the task's own `near_misses`, or made from its answer or its reference.

        Of an answer by which the audit judges again (`stronger`) as well.
        """
        check = task.check
        if isinstance(check.get("near_misses"), list):
            return [str(text) for text in check["near_misses"]]
        if isinstance(check.get("stronger"), dict) and check["stronger"].get("type") == "math":
            check = check["stronger"]
        if check["type"] == "math":
            return math_near_misses(str(check["answer"]))
        if check["type"] == "code_tests" and "entry_point" in check and task.reference is not None:
            return code_near_misses(task)
        return []

    def solution(self, task: Task) -> str | None:
        """See `Source.solution`: the reference."""
        return task.reference

    def has_solution(self, task: Task) -> bool:
        """See `Source.has_solution`."""
        return task.reference is not None


def open_table(
    section: JsonlTasks | Gsm8k | Gsm8kRecorded | Mbpp | HumanEval,
    eval_seed: int,
    folder: Path,
    fault_of: FaultOf | None = None,
) -> TableSource:
    """Opens a table source; see `open_source`."""
    rows = TaskRows(folder, fault_of)
    if isinstance(section, JsonlTasks):
        return _jsonl(section, rows)
    if isinstance(section, Gsm8kRecorded):
        return _gsm8k_recorded(section, eval_seed, rows)
    if isinstance(section, Gsm8k):
        return _gsm8k(section, eval_seed, rows)
    return _mbpp(section, eval_seed, rows) if isinstance(section, Mbpp) else _humaneval(section, rows)


def _jsonl(section: JsonlTasks, rows: TaskRows) -> TableSource:
    table = rows.table(section.train)
    parts: dict[str, list[Task]] = {"train": [], "anchor": [], "dev": [], "test": []}
    for task in rows.tasks(table, lambda row, where, n: task_of(row, where)):
        parts[task.split].append(task)
    for split, path in (("dev", section.dev), ("test", section.test), ("anchor", section.anchor)):
        if path is not None:
            own = rows.tasks(rows.table(path), lambda row, where, n: task_of(row, where))
            parts[split] = [task.model_copy(update={"split": split}) for task in own]
    rows.settle()
    if not parts["dev"]:
        parts["dev"] = [task.model_copy(update={"split": "dev"}) for task in parts["train"][::DEV_EVERY]]
        parts["train"] = [task for place, task in enumerate(parts["train"]) if place % DEV_EVERY]
    if not parts["train"]:
        raise DataError(
            f"{table.name}: leaves no training task beside the dev set; add tasks, or give dev its own file"
        )
    held = {task.id for split in ("dev", "test") for task in parts[split]}
    pool = [task for task in parts["train"] if task.id not in held]
    anchor = parts["anchor"] or [task for task in pool if task.reference is not None]
    missing = [task.id for task in anchor if task.reference is None]
    if missing:
        raise DataError(
            f"{rows.places[missing[0]]}: anchor task {missing[0]!r} has no reference; the anchor is trained on, add it"
        )
    return TableSource(pool, Fixed(anchor, parts["dev"], parts["test"], files=rows.files, places=rows.places))


def _gsm8k(section: Gsm8k, eval_seed: int, rows: TaskRows) -> TableSource:
    train, test = rows.table(section.train, ("main", "train")), rows.table(section.test, ("main", "test"))
    tasks = rows.tasks(train, lambda row, where, n: _gsm8k_task(row, where, f"gsm8k-{n}"))[: section.train_rows]
    held = rows.tasks(test, lambda row, where, n: _gsm8k_task(row, where, f"gsm8k-test-{n}", "test"))
    rows.settle()
    rng_of("gsm8k/panel", eval_seed).shuffle(tasks)
    dev, rest = tasks[: section.dev], tasks[section.dev :]
    if not rest:
        raise DataError(f"{train.name}: has {len(tasks)} problems, all taken by tasks.dev = {section.dev}; lower it")
    return TableSource(
        [task.model_copy(update={"reference": None}) for task in rest],
        Fixed(
            anchor=[task.model_copy(update={"split": "anchor"}) for task in rest[: section.anchor]],
            dev=[task.model_copy(update={"split": "dev", "reference": None}) for task in dev],
            test=held[: section.test_rows],
            human_text=dev,
            files=rows.files,
            places=rows.places,
        ),
    )


def _gsm8k_recorded(section: Gsm8kRecorded, eval_seed: int, rows: TaskRows) -> TableSource:
    solutions, train = rows.table(section.path), rows.table(section.train, ("main", "train"))

    def recorded(row: Mapping[str, Any], where: str, number: int) -> Task:
        gold = str(_needed(row, "ground_truth", where)).rpartition("A:")[2].strip()
        question = {"question": row.get("question"), "answer": f"#### {gold}"}
        return _gsm8k_task(question, where, f"gsm8k-test-{number}").model_copy(update={"reference": None})

    pool = rows.tasks(solutions, recorded)
    human = rows.tasks(train, lambda row, where, n: _gsm8k_task(row, where, f"gsm8k-{n}"))
    rows.settle()
    rng_of("gsm8k/panel", eval_seed).shuffle(human)
    dev, anchor = human[: section.dev], human[section.dev : section.dev + section.anchor]
    if not anchor:
        raise DataError(f"{train.name}: has {len(human)} problems, all taken by tasks.dev = {section.dev}; lower it")
    return TableSource(
        pool,
        Fixed(
            anchor=[task.model_copy(update={"split": "anchor"}) for task in anchor],
            dev=[task.model_copy(update={"split": "dev", "reference": None}) for task in dev],
            test=[],
            human_text=dev,
            files=rows.files,
            places=rows.places,
        ),
    )


def _gsm8k_task(row: Mapping[str, Any], where: str, name: str, split: str = "train") -> Task:
    question, answer = (str(_needed(row, key, where)) for key in ("question", "answer"))
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
            "tags": (f"steps:{min(8, len(steps.splitlines()))}",),
            "split": split,
        },
        where,
    )


def _mbpp(section: Mbpp, eval_seed: int, rows: TaskRows) -> TableSource:
    table = rows.table(section.path, ("full", "train+validation+test"))
    tasks = rows.tasks(table, lambda row, where, n: _mbpp_task(row, where))
    rows.settle()
    parts: dict[str, list[Task]] = {split: [t for t in tasks if t.split == split] for split in ("train", "dev", "test")}
    rng_of("mbpp/held_out", eval_seed).shuffle(parts["train"])
    for split, count in (("dev", section.dev), ("test", section.test)):
        if not parts[split]:
            parts[split] = [t.model_copy(update={"split": split}) for t in parts["train"][:count]]
            parts["train"] = parts["train"][count:]
        parts[split] = parts[split][:count]
    if not parts["train"]:
        raise DataError(
            f"{table.name}: leaves no training task beside dev set and test set; lower tasks.dev and tasks.test"
        )
    return TableSource(
        parts["train"],
        Fixed(
            anchor=[task.model_copy(update={"split": "anchor"}) for task in parts["train"]],
            dev=parts["dev"],
            test=parts["test"],
            files=rows.files,
            places=rows.places,
        ),
    )


def _mbpp_task(row: Mapping[str, Any], where: str) -> Task:
    text = str(row.get("text") or _needed(row, "prompt", where)).strip()
    code = str(_needed(row, "code", where)).replace("\r\n", "\n")
    tests = [str(test).replace("\r\n", "\n") for test in _needed(row, "test_list", where)]
    setup = "\n".join(row.get("test_imports") or []) or str(row.get("test_setup_code") or "")
    entry = _tested_function(code, tests)
    if entry is None:
        raise DataError(f"{where}: no test calls a function that the code defines; mend test_list or code")
    split = {"validation": "dev", "test": "test"}.get(str(row.get("split", "train")), "train")
    return task_of(
        {
            "id": f"mbpp-{_needed(row, 'task_id', where)}",
            "prompt": f"{text}\nYour code must pass these tests:\n" + "\n".join(tests) + "\n",
            "verifier": {
                "type": "code_tests",
                "entry_point": entry,
                "source": "\n".join([setup.replace("\r\n", "\n"), *tests]).strip(),
                **({"cpu_seconds": _MBPP_SLOW[number]} if (number := str(row.get("task_id"))) in _MBPP_SLOW else {}),
            },
            "reference": code,
            "source": "mbpp",
            "split": split,
        },
        where,
    )


def _humaneval(section: HumanEval, rows: TaskRows) -> TableSource:
    table = rows.table(section.path, ("openai_humaneval", "test"))
    tasks = rows.tasks(table, lambda row, where, n: _humaneval_task(row, where))
    rows.settle()
    return TableSource([], Fixed(anchor=[], dev=[], test=tasks, files=rows.files, places=rows.places))


def _humaneval_task(row: Mapping[str, Any], where: str) -> Task:
    prompt, entry = str(_needed(row, "prompt", where)), str(_needed(row, "entry_point", where))
    return task_of(
        {
            "id": str(_needed(row, "task_id", where)),
            "prompt": prompt,
            "verifier": {
                "type": "code_tests",
                "entry_point": entry,
                "source": _needed(row, "test", where),
                "prefix": prompt,
            },
            "reference": prompt + str(_needed(row, "canonical_solution", where)),
            "source": "humaneval",
            "split": "test",
        },
        where,
    )


def _needed(row: Mapping[str, Any], key: str, where: str) -> Any:
    if row.get(key) is None:
        raise DataError(
            f"{where}: has no {key!r} (it has {', '.join(sorted(row)) or 'nothing'}); is this the right file?"
        )
    return row[key]


def _tested_function(code: str, tests: Sequence[str]) -> str | None:
    """The function of the reference that the tests call; both are the data set's own, only parsed."""
    try:
        with warnings.catch_warnings():  # what Python thinks of its escapes is not for our users
            warnings.simplefilter("ignore")
            body, asserts = ast.parse(code).body, [ast.parse(test) for test in tests]
    except SyntaxError:
        return None
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assigned = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    defined |= {target.id for target in assigned if isinstance(target, ast.Name)}
    calls = [node.func for test in asserts for node in ast.walk(test) if isinstance(node, ast.Call)]
    return next((f.id for f in calls if isinstance(f, ast.Name) and f.id in defined), None)


_OPTION = re.compile(r"\(?([A-J])(?:[).:].*)?", re.DOTALL)
_MARKED = re.compile(r"boxed|####|</?answer|[^\W\d_]{2,}\s+[^\W\d_]{2,}|\\text")
"""A reference that marks its answer, or is a text: more behind it is no other answer."""
_DOLLARS = re.compile(r"\$+|\\[()\[\]]")


def math_near_misses(answer: str) -> list[str]:
    """One off, sign flipped, and no answer; of a choice two other letters, of a text another value. None that equals the answer."""
    no_answer = "A: undecided" if "unknown" in answer.casefold() else "A: unknown"
    if option := _OPTION.fullmatch(answer.strip()):
        others = [letter for letter in "ABCD" if letter != option[1]]
        return [f"A: {letter}" for letter in others[:2]]
    try:
        value = float(answer)
    except ValueError:
        shown = _DOLLARS.sub("", answer).strip()
        return ["A: 7919" if _MARKED.search(answer) and "7919" not in answer else f"A: {shown} + 1", no_answer]
    near = str(int(value) + 1) if value.is_integer() else repr(value + 1 + abs(value) / 16)
    flipped = [f"A: {answer[1:] if answer.startswith('-') else '-' + answer.strip()}"] if value else []
    return [f"A: {near}", *flipped, no_answer]


def code_near_misses(task: Task) -> list[str]:
    """A stub, and the reference, read as replies are, with each result pushed off its value. Neither is wrong for certain: a
    function that is to change its argument may return what it likes."""
    written = str(task.check["entry_point"])
    prefix = task.check.get("prefix")
    code = whole_program(task.reference or "", written, None if prefix is None else str(prefix))
    entry = Entry(written)
    if code is None or not entry.root:
        return []
    owner = entry.class_in(Program(code))
    if owner:
        method = entry.method or entry.root
        stub = f"class {owner}:\n    def {method}(self, *args, **kwargs):\n        return None\n"
        return [stub, f"{code}\n{_OFF}{_METHOD.format(owner=owner, method=method)}"]
    stub = f"def {entry.root}(*args, **kwargs):\n    return None\n"
    return [stub, f"{code}\n{_OFF}{_FUNCTION.format(entry=entry.root)}"]


def stub_of(check: Mapping[str, Any]) -> list[str]:
    """A program that does nothing, for tests that no reference is known of: that they can be run at all shows on it."""
    entry = Entry(str(check.get("entry_point", "")))
    if check.get("type") != "code_tests" or not entry.root:
        return []
    if entry.method:
        return [f"class {entry.root}:\n    def {entry.method}(self, *args, **kwargs):\n        return None\n"]
    return [f"def {entry.root}(*args, **kwargs):\n    return None\n"]


_OFF = """
def _off(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float, complex)):
        return value + 1
    if isinstance(value, str):
        return value + "?"
    if isinstance(value, (list, tuple)):
        return type(value)([*value, 0]) if type(value) in (list, tuple) else None
    return "?"

"""
_FUNCTION = """_right = {entry}

def {entry}(*args, **kwargs):
    return _off(_right(*args, **kwargs))
"""
_METHOD = """_Right = {owner}

class {owner}(_Right):
    def {method}(self, *args, **kwargs):
        return _off(super().{method}(*args, **kwargs))
"""


def recorded_gsm8k(table: Table) -> dict[str, list[tuple[str, bool]]]:
    """OpenAI's graded solutions as `task id -> [(solution, is_correct)]`, four a problem, ids as in the test file."""
    names = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    return {
        f"gsm8k-test-{n}": [(str(row[name]["solution"]), bool(row[name]["is_correct"])) for name in names]
        for n, (_, row) in enumerate(table.rows)
    }
