"""Admission of tasks whose tests a teacher wrote: tests that lie are refused, and none of them runs outside the sandbox."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfplay.answers.programs import literal
from selfplay.models.scripted import Scripted
from selfplay.records import Attempt, Outcome, Request, Sampling, Task, Verdict
from selfplay.sandbox import CheckTests, Executor, IOTests, Limits
from selfplay.synthesis.method_result import AdmissionRules, admission_faults
from selfplay.synthesis.teacher_tasks import CodeProblem, evolve, task_of
from selfplay.verify import Verifier, verify
from selfplay.verify import code_tests as code_verifier
from selfplay.verify import mutants as mutating
from selfplay.verify.code_tests import CodeTests
from selfplay.verify.mutants import broken_programs, mutants, probes
from selfplay.verify.program_answers import answers
from selfplay.verify.strengthen import hidden_cases, inputs_of
from tests.support.sandbox.hostile_tests import FORGING, HARM

RIGHT = "def solve(n):\n    return n * n + 7\n"
OTHER = "def solve(n):\n    total = 7\n    for _ in range(abs(n)):\n        total += abs(n)\n    return total\n"
SOUND = ["assert solve(3) == 16", "for n, w in [(5, 32), (0, 7)]:\n    assert solve(n) == w"]


@pytest.fixture(scope="module")
def code() -> Iterator[CodeTests]:
    with Executor(workers=1, require_tier="best") as executor:
        yield CodeTests(executor, Limits(cpu_seconds=0.3, wall_seconds=0.5))


def written(tests: str | list[str], solution: str = RIGHT) -> Task:
    source = tests if isinstance(tests, str) else "\n".join(tests)
    return task_of(
        "evolve", CodeProblem(task="Do it.", entry_point="solve", solution=solution, tests=[source[:5000]]), (), ()
    )


def fault(code: CodeTests, task: Task, others: list[str]) -> str:
    return admission_faults([task], [others], {"code_tests": code}, AdmissionRules())[0]


def test_sound_tests_that_need_to_be_run_are_admitted(code: CodeTests) -> None:
    assert fault(code, written(SOUND), [OTHER, RIGHT]) == ""


@pytest.mark.parametrize("name", FORGING)
def test_tests_that_say_yes_of_any_program_are_refused(code: CodeTests, name: str) -> None:
    found = fault(code, written(FORGING[name]), [OTHER])
    assert found in ("tests_weak", "tests_blind", "tests_unsteady", "reference_fails"), found


@pytest.mark.parametrize("name", [name for name in HARM if name.startswith(("writes_a", "is_", "nests", "an_", "a_"))])
def test_tests_that_try_to_do_harm_admit_nothing_and_are_no_outage(code: CodeTests, name: str, tmp_path: Path) -> None:
    source = HARM[name].replace("SCRATCH", str(tmp_path))
    assert fault(code, written(source), [OTHER]) not in ("", "outage")
    assert list(tmp_path.iterdir()) == []


def test_tests_that_never_end_cost_one_run(code: CodeTests) -> None:
    asked: list[int] = []

    class Counting:
        def verify(self, checks: object, tasks: object, attempts: list[Attempt]) -> object:
            asked.append(len(attempts))
            return code.verify(checks, tasks, attempts)  # type: ignore[arg-type]

    task = written("import time\ntime.sleep(1000)\nsolve(3)")
    assert admission_faults([task], [[OTHER]], {"code_tests": Counting()}, AdmissionRules()) == ["reference_fails"]  # type: ignore[dict-item]
    assert asked == [1]


@pytest.mark.parametrize("says", [Outcome.PASS, Outcome.FAIL])
def test_tests_that_say_something_else_the_second_time_are_unsteady(code: CodeTests, says: Outcome) -> None:
    calls: list[int] = []

    class Turning:
        def verify(self, checks: object, tasks: object, attempts: list[Attempt]) -> list[Verdict]:
            calls.append(len(attempts))
            found = code.verify(checks, tasks, attempts)  # type: ignore[arg-type]
            return [one.model_copy(update={"outcome": says}) for one in found] if len(calls) == 3 else found

    turning: dict[str, Verifier] = {"code_tests": Turning()}  # type: ignore[dict-item]
    assert admission_faults([written(SOUND)], [[OTHER]], turning, AdmissionRules()) == ["tests_unsteady"]
    assert len(calls) == 3


def test_a_hostile_solution_has_no_hand_in_what_the_reference_answers(code: CodeTests) -> None:
    # as one process with the reference it could have changed what both are compared by
    tampers = (
        "import builtins, gc, sys\n"
        "def solve(n):\n"
        "    for f in gc.get_objects():\n"
        "        if getattr(f, '__name__', '') == 'solve' and f is not solve:\n"
        "            f.__code__ = solve.__code__\n"
        "    return {3: 16, 5: 32, 0: 7}.get(n, -1)\n"
    )
    assert fault(code, written(SOUND), [tampers]) == "others_differ"
    assert fault(code, written(SOUND), [RIGHT.replace("n * n", "n * n * (n != 4)")]) == "others_differ"
    assert fault(code, written(SOUND), [RIGHT.replace("return", "assert n in (0, 3, 5)\n    return")]) == ""


# ---- the mark that a model wrote the tests ----


def test_written_tests_keep_the_mark_through_a_line_of_json() -> None:
    reply = {
        "task": "Write solve(n), the square of n and seven more, for each whole number n from nought to ten thousand.",
        "entry_point": "solve",
        "solution": RIGHT,
        "tests": ["assert solve(3) == 16"],
    }
    parent = Task(
        id="p",
        prompt="Write add(a, b).",
        check={"type": "code_tests", "entry_point": "add", "source": "assert add(1, 2) == 3"},
    )

    def say(request: Request, sample: int, seed: int) -> str:
        return json.dumps(reply)

    [task] = evolve([parent], Scripted(say), ways=["breadth"], sampling=Sampling(temperature=0.0), seed=1).tasks
    again = Task.model_validate_json(task.model_dump_json(by_alias=True))
    assert again.check["model_written"] is True and again.source == "synthesized/evolve"


def judged(code: CodeTests, task: Task, text: str) -> Outcome:
    return verify([task], [Attempt(task_id=task.id, attempt=0, round=0, text=text)], {"code_tests": code})[0].outcome


PEEKS = "import sys\nassert 'selfplay.sandbox.worker' not in sys.modules\nassert [solve(3)] == [16]"


@pytest.mark.parametrize(
    ("more", "source"),
    [
        ({"model_written": True}, "mine"),
        ({}, "synthesized/evolve"),
        ({}, "synthesized/backtranslate"),
        ({"model_written": True}, ""),
    ],
)
def test_marked_tests_and_those_of_synthesized_tasks_run_where_programs_run(
    code: CodeTests, more: dict[str, object], source: str
) -> None:
    check = {"type": "code_tests", "entry_point": "solve", "source": PEEKS, **more}
    task = Task(id="t", prompt="p", check=check, source=source, reference=RIGHT)
    assert judged(code, task, RIGHT) is Outcome.PASS
    assert judged(code, task, RIGHT.replace("7", "8")) is Outcome.FAIL
    assert (
        judged(code, task.model_copy(update={"check": {**check, "model_written": False}, "source": "mine"}), RIGHT)
        is not Outcome.PASS
    )


def test_a_check_that_two_tasks_share_is_run_as_each_of_them_asks(code: CodeTests) -> None:
    check = {"type": "code_tests", "entry_point": "solve", "source": PEEKS}
    tasks = [
        Task(id=name, prompt="p", check=check, source=source)
        for name, source in [("a", "mine"), ("b", "synthesized/x")]
    ]
    tasks = [task.model_copy(update={"check": check}) for task in tasks]
    attempts = [Attempt(task_id=task.id, attempt=0, round=0, text=RIGHT) for task in tasks]
    first, second = code.verify([check, check], tasks, attempts)
    assert first.outcome is not Outcome.PASS and second.outcome is Outcome.PASS


def test_the_tests_of_a_check_say_where_they_run() -> None:
    check = {"entry_point": "f", "source": "assert f(1) == 1"}
    assert code_verifier.tests_of(check, "t", True) == CheckTests("assert f(1) == 1", "f", sandboxed=True)
    assert code_verifier.tests_of(check, "t") == CheckTests("assert f(1) == 1", "f")
    assert isinstance(code_verifier.tests_of({"entry_point": "f", "cases": [[[1], 1]]}, "t", True), IOTests)


# ---- what is read of hostile text ----

DEEP = {
    "brackets": "x = " + "[" * 5000,
    "signs": "x = " + "-" * 19_000 + "1",
    "sums": "x = " + "+".join(["1"] * 9000),
    "calls": "f(" * 3000,
    "attributes": "x" + ".a" * 9000,
    "a long number": "def f(x):\n    return x + 0x" + "f" * 15_000,
    "blocks": "\n".join(" " * n + "if 1:" for n in range(99)) + "\n" + " " * 99 + "x = 1 + 1",
    "a null": "x = 1\0",
    "an escape": "x = '\\d' + 1 * 2 is 1",
}


@pytest.mark.parametrize("name", DEEP)
def test_a_hostile_program_is_mutated_or_left_and_stops_nothing(name: str) -> None:
    import random

    assert isinstance(mutants(DEEP[name]), list)
    assert isinstance(broken_programs(DEEP[name], 5, random.Random(0)), list)


@pytest.mark.parametrize("name", DEEP)
def test_a_hostile_test_source_gives_inputs_or_none(name: str) -> None:
    wrapped = [f"assert f({DEEP[name].partition('= ')[2]}) == 1", DEEP[name]]
    for source in wrapped:
        assert all(isinstance(args, tuple) for args in inputs_of({"entry_point": "f", "source": source}))
        assert len(probes([source], "f")) <= 12


def test_numbers_that_are_too_long_to_be_written_down_are_no_inputs() -> None:
    source = (
        "assert f(0x"
        + "f" * 9000
        + ") == 1\nassert f([{1: 0x"
        + "f" * 9000
        + "}]) == 1\nassert f(...) == 1\nassert f(2) == 1"
    )
    assert inputs_of({"entry_point": "f", "source": source}) == [(2,)]
    assert probes(source.split("\n"), "f") == [(3,), (5,)]


def test_arguments_are_read_from_a_bounded_number_of_calls() -> None:
    calls = [f"assert f({n * 10}) == 1" for n in range(20_000)]
    assert max(args[0] for args in probes(calls, "f")) < 10 * mutating.MAX_CALLS + 10


@pytest.mark.parametrize(
    "text",
    [
        "(" * 4000,
        "-" * 3999 + "1",
        "9" * 3999,
        "0x" + "f" * 3900,
        "f(1)",
        "...",
        "{[]}",
        "1\0",
        "[" * 90 + "]" * 90 + "+",
        "'\\d' is",
    ],
)
def test_no_value_is_read_from_hostile_text(text: str) -> None:
    assert literal(text) is None


@pytest.mark.parametrize("text", ["1", "-1.5", "'a'", "[1, (2,), {3}, {4: b'x'}]", "None", "set()", "1e999"])
def test_values_are_read_from_short_literals(text: str) -> None:
    assert literal(text) == (eval(text),)


def test_a_call_that_a_program_speaks_of_twice_has_no_answer(code: CodeTests) -> None:
    forges = "print('\\x1ecase 0 99')\nprint('\\x1ecase 7 99')\nprint('\\x1ecase x 99')\ndef solve(n): return n\n"
    with Executor(workers=1, require_tier="best") as executor:
        [found] = answers([(forges, "solve", [(1,), (2,)])], executor, Limits())
        assert found == {1: 2} and not found.lost
        task = written("assert solve(3) == 3", forges)
        [cases] = hidden_cases([(task, task.check, forges)], executor, Limits(), count=4, seed=1)
        assert all(value == args[0] for args, value in cases)
