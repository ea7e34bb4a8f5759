"""The fields of a `code_tests` check: what they do, what is refused, and what belongs to the tests rather than to the program."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import DataError
from selfplay.records import Attempt, Outcome, Task
from selfplay.sandbox import CheckTests, Executor, IOTests, Limits, StdioTests
from selfplay.verify import code_tests
from selfplay.verify.code_tests import CodeTests, limits_of, program


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=1) as opened:
        yield opened


def judged(executor: Executor, task: Task, *replies: str, limits: Limits | None = None) -> list[Outcome]:
    attempts = [Attempt(task_id=task.id, attempt=n, round=0, text=text) for n, text in enumerate(replies)]
    rows = [task] * len(replies)
    found = CodeTests(executor, limits or Limits()).verify([task.check] * len(replies), rows, attempts)
    return [one.outcome for one in found]


HELPERS = {
    "32": ("def poly(xs, x):\n    return 0\n\ndef find_zero(xs):\n    return 0.0\n", "poly"),
    "38": ("def encode_cyclic(s):\n    return s\n\ndef decode_cyclic(s):\n    return s\n", "encode_cyclic"),
    "50": ("def encode_shift(s):\n    return s\n\ndef decode_shift(s):\n    return s\n", "encode_shift"),
}


@pytest.mark.parametrize("number", HELPERS)
def test_program_cannot_put_its_own_helper_in_the_place_of_the_tests(
    number: str, executor: Executor, shared_data: Path
) -> None:
    with gzip.open(shared_data / "humaneval/HumanEval_000-099.jsonl.gz", "rt", encoding="utf-8") as lines:
        row = next(row for row in map(json.loads, lines) if row["task_id"] == f"HumanEval/{number}")
    check = {"type": "code_tests", "entry_point": row["entry_point"], "source": row["test"], "prefix": row["prompt"]}
    reference = row["prompt"] + row["canonical_solution"]
    task = Task(id=row["task_id"], prompt=row["prompt"], check=check, reference=reference)
    forged, helper = HELPERS[number]
    body, fenced = row["canonical_solution"], f"```python\n{row['canonical_solution']}```\nDone."
    whole = f"So:\n```python\n{reference}\n```\n```python\nprint({row['entry_point']}({helper}))\n```"
    own = reference.replace(helper, "mine")  # names a helper of its own, and leaves the tests theirs
    found = judged(executor, task, body, fenced, reference, whole, own, forged)
    assert found == [Outcome.PASS] * 5 + [Outcome.FAIL]


def test_prefix_goes_before_a_program_of_its_own_and_under_a_body() -> None:
    prefix = 'import math\n\ndef f(x):\n    """A def of f."""\n'
    check = {"type": "code_tests", "entry_point": "f", "source": "assert f(1) == 1", "prefix": prefix}
    assert program("    return x\n", check) == f"{prefix}    return x\n"
    assert program("```python\nreturn x\n```", check) == f"{prefix}    return x"
    assert program("```python\ndef f(x):\n    return x\n```", check) == "import math\n\n\ndef f(x):\n    return x"


def check(**fields: Any) -> dict[str, Any]:
    return {"type": "code_tests", "entry_point": "f", "cases": [[[1], 2]], **fields}


def without(name: str, **fields: Any) -> dict[str, Any]:
    return {key: value for key, value in check(**fields).items() if key != name}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (without("cases"), "no cases, source or stdio; add one"),
        (check(source="assert f(1)"), "cases and source; keep one"),
        (without("entry_point"), "entry_point must name a function or a method .* not None"),
        (check(entry_point="f(x)"), r"entry_point .* not 'f\(x\)'"),
        (check(entry_point=3), "entry_point .* not 3"),
        (check(atol=-1), "atol must be a number from 0 .* not -1"),
        (check(atol=float("nan")), "atol .* not nan"),
        (check(cpu_seconds="3"), "cpu_seconds must be a number from 0.01 to 3600, not '3'"),
        (check(cpu_seconds=0), "cpu_seconds .* not 0"),
        (check(cpu_seconds=True), "cpu_seconds .* not True"),
        (check(strict="yes"), "strict must be true or false, not 'yes'"),
        (check(model_written=1), "model_written must be true or false, not 1"),
        (check(prefix=["def f(x):"]), "prefix must be text"),
        (check(cases=[]), "cases must be a list that is not empty"),
        (check(cases={"a": 1}), "cases must be a list"),
        (check(cases=[[[1], 2], [4, 5]]), r"cases\[1\] must be .* not \[4, 5\]"),
        (check(cases=[[[1]]]), r"cases\[0\] must be"),
        (without("cases", source=["assert f(1)"]), "source must be text"),
        (without("cases", stdio=[["1", 2]]), r"stdio\[0\] must be \[input text, output text\], not"),
        (without("cases", stdio="1"), "stdio must be a list"),
    ],
)
def test_field_that_is_wrong_is_named_with_its_value(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=f"task t: code_tests: .*{words}"):
        code_tests.tests_of(wrong, "t")


def test_fields_reach_the_tests() -> None:
    assert code_tests.tests_of(check(atol=1), "t") == IOTests("f", [((1,), 2)], 1.0)
    assert code_tests.tests_of(check(strict=True), "t") == IOTests("f", [((1,), 2)], strict=True)
    assert code_tests.tests_of(check(entry_point="Solution().f"), "t") == IOTests("Solution().f", [((1,), 2)])
    assert code_tests.tests_of(without("cases", source="assert f(1)"), "t") == CheckTests("assert f(1)", "f")
    assert code_tests.tests_of({"type": "code_tests", "stdio": [["1", "2"]]}, "t") == StdioTests([("1", "2")])
    assert limits_of(check(), "t", Limits(1.5)) == Limits(1.5)
    assert limits_of(check(cpu_seconds=3), "t", Limits(1.5), 4.0) == Limits(12.0)
    with pytest.raises(DataError, match="task t: code_tests: cpu_seconds"):
        limits_of(check(cpu_seconds=-3), "t", Limits())


def test_cpu_seconds_of_a_task_stand_over_those_of_the_configuration(executor: Executor) -> None:
    slow = "import time\ndef f(x):\n    while time.process_time() < 0.9:\n        pass\n    return 2"
    for fields, outcome in (({}, Outcome.FAIL), ({"cpu_seconds": 5.0}, Outcome.PASS)):
        task = Task(id="t", prompt="x", check=check(**fields))
        assert judged(executor, task, slow, limits=Limits(cpu_seconds=0.3)) == [outcome]


def test_reply_is_judged_by_the_block_that_defines_the_entry_point(executor: Executor) -> None:
    task = Task(id="t", prompt="x", check=check())
    helper, solution = "```python\nONE = 1\n```", "```python\ndef f(x):\n    return x + ONE\n```"
    tests = "```python\ndef test_f():\n    assert f(1) == 2\n```"
    wrong = solution.replace("+", "-")
    replies = [
        f"{helper}\n{solution}\n{tests}",
        f"{helper}\n{wrong}\nNo:\n{solution}",
        f"{solution}\n{helper}\n{wrong}",
    ]
    assert judged(executor, task, *replies) == [Outcome.PASS, Outcome.PASS, Outcome.FAIL]


def test_json_cases_take_a_tuple_for_a_list_unless_strict(executor: Executor) -> None:
    program, cases = "def f(x):\n    return (x, {1: x})", [[[1], [1, {"1": 1}]]]
    for strict, outcome in ((False, Outcome.PASS), (True, Outcome.FAIL)):
        task = Task(id="t", prompt="x", check=check(cases=cases, strict=strict))
        assert judged(executor, task, program) == [outcome]


def test_methods_and_functions_that_are_named_like_builtins_are_entry_points(executor: Executor) -> None:
    method = "```python\nclass Solution:\n    def f(self, x):\n        return x + 1\n```\n```python\nprint(Solution().f(1))\n```"
    for entry_point in ("f", "Solution().f"):
        assert judged(executor, Task(id="t", prompt="x", check=check(entry_point=entry_point)), method) == [
            Outcome.PASS
        ]
    named = "```python\ndef sum(a, b):\n    return 2\n```\n```python\nsum = sum(1, 2)\n```"
    fields = {"type": "code_tests", "entry_point": "sum"}
    for tests in ({"cases": [[[1, 5], 2]]}, {"source": "assert sum(1, 5) == 2"}):
        assert judged(executor, Task(id="t", prompt="x", check={**fields, **tests}), named) == [Outcome.PASS]
