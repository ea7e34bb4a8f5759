"""Floor 3: verdicts by running code: takes the program out of a reply and gives it to the sandbox with the tests."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from selfplay.answers.code_blocks import whole_program
from selfplay.errors import DataError
from selfplay.records import Attempt, Outcome, Task, Verdict, digest
from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits, Result, StdioTests

NAME = "code_tests/1"


class CodeTests:
    """Verifier of `code_tests` checks.

    A check has `entry_point` with `cases` ([[arguments, expected], ...]) or with `source` (asserts, or a
    `check(candidate)`), or `stdio` ([[stdin, stdout], ...]) alone. `prefix` is put before a reply that does not define
    the entry point itself (function completion). The expected values never enter the sandbox and never the evidence.
    """

    def __init__(self, executor: Executor, limits: Limits) -> None:
        self._executor, self._limits = executor, limits
        self._inside: dict[str, bool] = {}
        """By tests: whether they need the program's own objects, so that its own process has to judge them."""

    def verify(
        self, checks: Sequence[Mapping[str, Any]], tasks: Sequence[Task], attempts: Sequence[Attempt]
    ) -> list[Verdict]:
        """See `Verifier.verify`."""
        self._try_references(checks, tasks)
        found: dict[int, Verdict] = {}
        tests: dict[int, IOTests | CheckTests | StdioTests] = {}  # by check: attempts of one task share theirs

        def jobs() -> Iterator[Job]:  # drawn as the sandbox gets short of them: the first run while others are read
            for place, (check, task, attempt) in enumerate(zip(checks, tasks, attempts, strict=True)):
                code = program(attempt.text, check)
                if code is None:
                    found[place] = Verdict(verifier=NAME, outcome=Outcome.INVALID, reason="no code found")
                    continue
                if id(check) not in tests:
                    tests[id(check)] = self._tests(check, task)
                yield Job(str(place), code, tests[id(check)], self._limits)

        for result in self._executor.run(jobs()):
            found[int(result.id)] = verdict_of(result)
        return [found[place] for place in range(len(attempts))]

    def _try_references(self, checks: Sequence[Mapping[str, Any]], tasks: Sequence[Task]) -> None:
        """Finds by their references which asserts cannot be judged from outside; once for each task's tests."""
        owed = {
            _key(check): Job("reference", program(task.reference, check) or "", tests_of(check, task.id), self._limits)
            for check, task in zip(checks, tasks, strict=True)
            if "source" in check and task.reference is not None and _key(check) not in self._inside
        }
        found = self._executor.trusts(owed.values()) if owed else []
        self._inside |= {key: trust == "in_process" for key, trust in zip(owed, found, strict=True)}

    def _tests(self, check: Mapping[str, Any], task: Task) -> IOTests | CheckTests | StdioTests:
        tests = tests_of(check, task.id)
        if isinstance(tests, CheckTests) and self._inside.get(_key(check), False):
            return CheckTests(tests.source, tests.entry_point, "in_process")
        return tests


def _key(check: Mapping[str, Any]) -> str:
    return digest([check.get("source"), check.get("entry_point"), check.get("prefix")])


def program(text: str, check: Mapping[str, Any]) -> str | None:
    """The program in a reply, or in a reference, for a check; None where there is none. See `whole_program`."""
    entry, prefix = check.get("entry_point"), check.get("prefix")
    return whole_program(text, None if entry is None else str(entry), None if prefix is None else str(prefix))


def tests_of(check: Mapping[str, Any], task_id: str) -> IOTests | CheckTests | StdioTests:
    """The tests that a check holds. Raises DataError where it holds none."""
    if "cases" in check:
        cases = [(tuple(args), expected) for args, expected in check["cases"]]
        return IOTests(str(check["entry_point"]), cases, float(check.get("atol", 0.0)))
    if "source" in check:
        return CheckTests(str(check["source"]), str(check["entry_point"]))
    if "stdio" in check:
        return StdioTests([(str(given), str(wanted)) for given, wanted in check["stdio"]])
    raise DataError(f"task {task_id}: its code_tests verifier has no cases, source or stdio; add one of them")


def verdict_of(result: Result) -> Verdict:
    """The verdict on a sandbox result. A pass that was judged inside the candidate's own process is no opinion."""
    return _said(str(result.status.value), result.passed, str(result.trust), result.tier, result.error or "")


@lru_cache(1024)
def _said(status: str, passed: bool | None, trust: str, tier: int, error: str) -> Verdict:
    """Most verdicts of a round are one of a few, and stand for many attempts: nobody changes a verdict."""
    if passed is None:
        outcome = Outcome.ERROR
    elif not passed:
        outcome = Outcome.FAIL
    else:
        outcome = Outcome.PASS if trust != "in_process" else Outcome.ABSTAIN
    return Verdict(
        verifier=NAME,
        outcome=outcome,
        reason=status,
        evidence=error.partition(", expected")[0],  # a correction sees this: never the expected value
        details={"tier": tier, "trust": trust},
    )
