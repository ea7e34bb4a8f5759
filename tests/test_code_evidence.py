"""The evidence of failed test code: the call and what came back, never what was expected, in any form that tests have."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfplay.prompts import correction
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.sandbox import Executor, Limits, jobs
from selfplay.verify.code_tests import CodeTests

SECRET = "73261"
CHECK = "def check(candidate):\n    {body}\n"
WRONG = "def f(*args):\n    return 15"


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(workers=1) as opened:
        yield opened


def failed(executor: Executor, source: str, code: str, reference: str | None = None) -> tuple[Task, Verdict]:
    check = {"type": "code_tests", "entry_point": "f", "source": source}
    task = Task(id="t", prompt="x", check=check, reference=reference)
    attempt = Attempt(task_id="t", attempt=0, round=0, text=code)
    [verdict] = CodeTests(executor, Limits()).verify([check], [task], [attempt])
    assert verdict.outcome is Outcome.FAIL
    return task, verdict


SOURCES = [
    (f"assert f(3) == {SECRET}", "f(3) gave 15"),
    (f"assert {SECRET} == f(3)", "f(3) gave 15"),
    (f"assert f(3, [1, 'a']) == {SECRET}, 'want {SECRET}'", "f(3, [1, 'a']) gave 15"),
    (f"x = f(3)\nassert x == {SECRET}, f'{{x}} is not {SECRET}'", "f(3) gave 15"),
    (f"assert f(1) == 15\nassert f(2) == {SECRET}", "f(2) gave 15"),
    (f"if f(3) != {SECRET}:\n    raise AssertionError('want {SECRET}')", "an assert failed"),
    (f"if f(3) != {SECRET}:\n    raise ValueError('want {SECRET}')", "the tests raised ValueError"),
    (f"assert f(3)[{SECRET}] == 1", "f(3) gave 15; the tests raised TypeError"),
    (f"assert {{15: 1}}[f(3) + {SECRET}]", "f(3) gave 15; the tests raised KeyError"),
    (f"assert dict(f(3)) == {{1: {SECRET}}}", "f(3) gave 15; the tests raised TypeError"),
    (f"def check(candidate):\n    assert candidate(3) == {SECRET}, 'Test {SECRET}'", "f(3) gave 15"),
    (f"def check(candidate):\n    for x, y in [(3, {SECRET})]:\n        assert candidate(x) == y, (x, y)", "f(3) gave 15"),
    (f"def check(candidate):\n    assert abs(candidate(3) - {SECRET}) < 1e-6", "f(3) gave 15"),
    (f"import math\nassert math.isclose(f(3.5), {SECRET}), {SECRET}", "f(3.5) gave 15"),
    (f"assert set(f(x) for x in [3]) == set([{SECRET}])", "f(3) gave 15"),
    (f"def test_f():\n    assert f(3) == {SECRET}", "f(3) gave 15"),
    (f"try:\n    f(3)\n    assert False, '{SECRET}'\nexcept ValueError as e:\n    assert str(e) == '{SECRET}'", "f(3) gave 15"),
    (f"assert f(3) == {SECRET} # (tests, line 9); the last call: {SECRET}", "f(3) gave 15"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "shown"), SOURCES)
def test_evidence_names_the_call_and_what_came_back_and_not_what_was_expected(
    source: str, shown: str, executor: Executor
) -> None:
    task, verdict = failed(executor, source, WRONG)
    assert verdict.evidence == shown
    assert SECRET not in correction.evidence_of(task, [verdict]) and shown in correction.evidence_of(task, [verdict])


def test_what_the_program_raised_is_its_own(executor: Executor) -> None:
    task, verdict = failed(executor, f"assert f(3) == {SECRET}", "def f(x):\n    return [][x]")
    assert "list index out of range" in correction.evidence_of(task, [verdict])
    task, verdict = failed(executor, f"assert f(3) == {SECRET}", "def f(x):\n    return (")
    assert verdict.reason == "syntax_error" and SECRET not in verdict.evidence


def test_values_of_a_program_hide_no_expected_value(executor: Executor) -> None:
    code = "def f(x):\n    return ', expected (tests, line 1); the last call: f(1) gave 2'"
    task, verdict = failed(executor, f"assert f(3) == {SECRET}", code)
    assert SECRET not in correction.evidence_of(task, [verdict])


def test_tests_inside_the_program_s_process_show_no_words_of_theirs(executor: Executor) -> None:
    reference = "class P:\n    def __init__(self, x): self.x = x\n    def __eq__(self, o): return self.x == o.x\ndef f(x): return P(x)"
    source = f"assert f({SECRET}) == P({SECRET}), '{SECRET}'\nassert f(1) == P(1)"
    for wrong in (reference.replace("P(x)", "P(0)"), reference.replace("return P(x)", "return 15")):
        task, verdict = failed(executor, source, wrong, reference)
        assert SECRET not in correction.evidence_of(task, [verdict])


@pytest.mark.parametrize(
    ("evidence", "shown"),
    [
        (f"assert solve(3) == {SECRET} (tests, line 1)", "an assert failed"),
        (f"assert solve(3) == {SECRET}", "an assert failed"),
        (f"{SECRET} == x (tests, line 4)", "an assert failed"),
        (f"an assert failed: want {SECRET}", "an assert failed"),
        (f"tests, line 3: ValueError: want {SECRET}; raise ValueError(want)", "the tests raised ValueError"),
        (f"f(1) gave 2, expected {SECRET}", "f(1) gave 2"),
        ("IndexError: list index out of range", "IndexError: list index out of range"),
        ("", ""),
    ],
)
def test_no_form_of_evidence_keeps_what_was_expected(evidence: str, shown: str) -> None:
    assert correction.of_source(evidence) == shown == correction.of_source(shown)


def test_the_mark_of_the_last_call_is_the_sandbox_s() -> None:
    assert jobs.LAST_CALL == correction.LAST_CALL


def test_stdin_tasks_show_the_input_and_what_was_printed(executor: Executor) -> None:
    check = {"type": "code_tests", "stdio": [["1\n", "1"], ["3 4\n", SECRET]]}
    task = Task(id="t", prompt="x", check=check)
    [verdict] = CodeTests(executor, Limits()).verify(
        [check], [task], [Attempt(task_id="t", attempt=0, round=0, text="print(1)")]
    )
    assert correction.evidence_of(task, [verdict]) == r"given '3 4\n' it printed b'1\n'"


@pytest.mark.parametrize("name", ["mbpp/prompt_train_validation", "humaneval/HumanEval_000-099"])
def test_real_tests_show_nothing_that_they_expect(name: str, executor: Executor, shared_data: Path) -> None:
    with gzip.open(shared_data / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][:40]
    for row in rows:
        source = row.get("test") or "\n".join([row["test_setup_code"], *row["test_list"]])
        entry = row.get("entry_point") or row["test_list"][0].split("assert ")[1].split("(")[0].strip()
        check = {"type": "code_tests", "entry_point": entry, "source": source}
        task, code = Task(id="t", prompt="x", check=check), f"def {entry}(*args):\n    return 'nothing of the kind'"
        [verdict] = CodeTests(executor, Limits()).verify(
            [check], [task], [Attempt(task_id="t", attempt=0, round=0, text=code)]
        )
        assert "==" not in verdict.evidence and "assert " not in verdict.evidence, row
