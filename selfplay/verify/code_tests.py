"""The verifier of type `code_tests`: runs the program of a reply in the sandbox, with the task's tests."""

import ast
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Self

from selfplay.answers.code_blocks import before_entry, whole_program
from selfplay.answers.programs import Program
from selfplay.errors import DataError
from selfplay.prompts.correction import of_source
from selfplay.records import SYNTHESIZED_SOURCE, Attempt, Outcome, Task, Verdict, digest
from selfplay.sandbox import CheckTests, Executor, IOTests, Job, Limits, Result, Status, StdioTests
from selfplay.verify.base import Check, RegisteredVerifier, Verifier, VerifierResources
from selfplay.verify.program_answers import Answers, Ask, answers

NAME = "code_tests/1"
_ENTRY_POINT = re.compile(r"[^\W\d]\w*(?:(?:\(\))?\.[^\W\d]\w*)?")


class CodeTests(RegisteredVerifier):
    """Verifier of `code_tests` checks.

    A check has `entry_point` with `cases` ([[arguments, expected], ...]) or with `source` (asserts, or a
    `check(candidate)`), or `stdio` ([[stdin, stdout], ...]) alone. `prefix` is put before a reply that does not define
    the entry point itself (function completion); functions of it that `source` calls belong to the tests. `atol` and `strict`
    say how `cases` are compared, `cpu_seconds` what this task's programs may use. The expected values never enter the sandbox and
    never the evidence. `model_written: true`, or a task whose own source starts with `synthesized/`: no line of `source` is run
    outside the sandbox.
    """

    keys = frozenset(
        {
            *("entry_point", "cases", "source", "stdio", "prefix", "hidden_cases"),
            *("atol", "strict", "cpu_seconds", "model_written"),
        }
    )
    needs_sandbox = True

    @classmethod
    def fault(cls, check: Check) -> str:
        """See `RegisteredVerifier.fault`."""
        if fault := check_fault(check) or _source_fault(str(check.get("source", ""))):
            return fault
        return rows_fault("cases", check["hidden_cases"], "hidden_cases") if "hidden_cases" in check else ""

    @classmethod
    def takes_cases(cls, check: Check) -> bool:
        """Where it calls an entry point."""
        return "entry_point" in check

    @classmethod
    def open(cls, resources: VerifierResources) -> Self:
        """In the sandbox of the set. Raises SandboxUnavailable below the configured tier."""
        return cls(resources.executor(), resources.limits())

    @classmethod
    def open_for_audit(cls, resources: VerifierResources, primary: Verifier) -> Self:
        """In the same sandbox, with `audit.deadline_factor` times the CPU seconds."""
        factor = resources.deadline_factor
        return cls(resources.executor(), resources.limits(factor), factor)

    def __init__(self, executor: Executor, limits: Limits, factor: float = 1.0) -> None:
        """`limits`: of tasks that state none; `factor`: what a task's own CPU seconds are multiplied by."""
        self._executor, self._limits, self._factor = executor, limits, factor
        self._inside: dict[str, bool] = {}
        """By tests: whether they need the program's own objects, so that its own process has to judge them."""

    def verify(self, checks: Sequence[Check], tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Verdict]:
        """See `Verifier.verify`."""
        self._try_references(checks, tasks)
        found: dict[int, Verdict] = {}
        tests: dict[tuple[int, bool], IOTests | CheckTests | StdioTests] = {}  # attempts at one task share theirs
        jobs: list[Job] = []
        for place, (check, task, attempt) in enumerate(zip(checks, tasks, attempts, strict=True)):
            code = program(attempt.text, check)
            if code is None:
                found[place] = Verdict(verifier=NAME, outcome=Outcome.INVALID, reason="no code found")
                continue
            key = id(check), model_written(check, task)
            if key not in tests:
                tests[key] = self._tests(check, task)
            jobs.append(Job(str(place), code, tests[key], self._of(check, task)))
        for result in self._executor.run(jobs):
            place = int(result.id)
            found[place] = verdict_of(result, "source" in checks[place])
        return [found[place] for place in range(len(attempts))]

    def answers(self, asks: Sequence[Ask], *, at_once: int = 0) -> list[Answers]:
        """What programs answer to calls, each program alone: see `selfplay.verify.program_answers.answers`."""
        return answers(asks, self._executor, self._limits, at_once=at_once)

    def _try_references(self, checks: Sequence[Check], tasks: Sequence[Task]) -> None:
        """Finds by their references which asserts cannot be judged from outside; once for each task's tests."""
        owed = {
            _key(check): Job(
                "reference", program(task.reference, check) or "", tests_of(check, task.id), self._of(check, task)
            )
            for check, task in zip(checks, tasks, strict=True)
            if "source" in check
            and task.reference is not None
            and _key(check) not in self._inside
            and not model_written(check, task)
        }
        found = self._executor.trusts(owed.values()) if owed else []
        self._inside |= {key: trust == "in_process" for key, trust in zip(owed, found, strict=True)}

    def _of(self, check: Check, task: Task) -> Limits:
        return limits_of(check, task.id, self._limits, self._factor)

    def _tests(self, check: Check, task: Task) -> IOTests | CheckTests | StdioTests:
        tests = tests_of(check, task.id, model_written(check, task))
        if isinstance(tests, CheckTests) and tests.sandboxed:
            return tests
        if isinstance(tests, CheckTests) and self._inside.get(_key(check), False):
            return CheckTests(tests.source, tests.entry_point, "in_process")
        return tests


def _key(check: Check) -> str:
    return digest([check.get("source"), check.get("entry_point"), check.get("prefix")])


def program(text: str, check: Check) -> str | None:
    """The program in a reply, or in a reference, for a check; None where there is none. See `whole_program`."""
    entry, prefix = check.get("entry_point"), check.get("prefix")
    return whole_program(text, None if entry is None else str(entry), None if prefix is None else str(prefix))


def model_written(check: Check, task: Task) -> bool:
    """Whether the tests are a model's: they run where its programs run."""
    return bool(check.get("model_written")) or task.source.startswith(SYNTHESIZED_SOURCE)


def tests_of(check: Check, task_id: str, sandboxed: bool = False) -> IOTests | CheckTests | StdioTests:
    """The tests that a check holds; `sandboxed`: see `model_written`.

    Raises DataError, with the task, where it holds none or they are not as they must be.
    """
    fault = check_fault(check)
    if fault:
        raise DataError(f"task {task_id}: code_tests: {fault}")
    if "cases" in check:
        cases = [(tuple(args), expected) for args, expected in check["cases"]]
        return IOTests(check["entry_point"], cases, float(check.get("atol", 0.0)), strict=check.get("strict", False))
    if "source" in check:
        source = _with_helpers(check["source"], check["entry_point"], check.get("prefix"))
        return CheckTests(source, check["entry_point"], sandboxed=sandboxed)
    return StdioTests([(given, wanted) for given, wanted in check["stdio"]])


def limits_of(check: Check, task_id: str, limits: Limits, factor: float = 1.0) -> Limits:
    """The limits of a task's programs: `cpu_seconds` of the check, times `factor`, in place of those of the configuration.

    Raises DataError, with the task, where these are not as they must be.
    """
    if "cpu_seconds" not in check:
        return limits
    fault = check_fault(check)
    if fault:
        raise DataError(f"task {task_id}: code_tests: {fault}")
    return replace(limits, cpu_seconds=check["cpu_seconds"] * factor)


def check_fault(check: Check) -> str:
    """What is wrong with the fields of a `code_tests` check, with the value and the remedy; "" where nothing is."""
    kinds = [name for name in ("cases", "source", "stdio") if name in check]
    if len(kinds) != 1:
        has = (
            f"has {' and '.join(kinds)}; keep one of them"
            if kinds
            else "has no cases, source or stdio; add one of them"
        )
        return f"it {has}"
    entry = check.get("entry_point")
    if kinds != ["stdio"] and not (isinstance(entry, str) and _ENTRY_POINT.fullmatch(entry)):
        return f"entry_point must name a function or a method (f, Solution().f), not {entry!r:.80}"
    for name, least, most in (("atol", 0.0, 1e300), ("cpu_seconds", 0.01, 3600.0)):
        value = check.get(name, least)
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            return f"{name} must be a number from {least:g} to {most:g}, not {value!r:.80}"
    for name in ("strict", "model_written"):
        if not isinstance(check.get(name, False), bool):
            return f"{name} must be true or false, not {check[name]!r:.80}"
    for name in ("source", "prefix"):
        if not isinstance(check.get(name, ""), str):
            return f"{name} must be text, not {check[name]!r:.80}"
    if kinds == ["source"]:
        return "" if check["source"].strip() else "source is empty; give asserts, or a check(candidate)"
    return rows_fault(kinds[0], check[kinds[0]])


def _source_fault(source: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except SyntaxError as error:
        return f"source does not parse ({error.msg}, line {error.lineno}); correct it"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"source does not parse ({type(error).__name__}); correct it"
    return ""


def rows_fault(kind: str, rows: Any, name: str = "") -> str:
    """What is wrong with `cases` or `stdio`, or with another key that holds rows of such a kind."""
    name = name or kind
    if not isinstance(rows, list | tuple) or not rows:
        return f"{name} must be a list that is not empty, not {rows!r:.80}"
    for number, row in enumerate(rows):
        pair = isinstance(row, list | tuple) and len(row) == 2
        if kind == "cases" and not (pair and isinstance(row[0], list | tuple)):
            return f"{name}[{number}] must be [[arguments...], expected], as [[[4], 5]] has one, not {row!r:.80}"
        if kind == "stdio" and not (pair and all(isinstance(text, str) for text in row)):
            return f"stdio[{number}] must be [input text, output text], not {row!r:.80}"
    return ""


@lru_cache(1024)
def _with_helpers(source: str, entry_point: str, prefix: str | None) -> str:
    """The tests with the functions of the prefix that they call, so that no program puts others in their place."""
    helpers = before_entry(prefix, entry_point) if prefix else ""
    used = any(re.search(rf"\b{name}\b", source) for name in Program(helpers).functions)
    return f"{helpers}\n{source}" if used else source


def verdict_of(result: Result, source: bool = False) -> Verdict:
    """The verdict on a sandbox result. A pass that was judged inside the candidate's own process is no opinion.

    `source`: whether test code judged, whose words may hold what was expected.
    """
    error, inside = result.error or "", result.trust == "in_process"
    if source and inside and result.status is Status.EXCEPTION:
        error = error.partition(":")[0]  # whether the program or the tests raised it, nobody can say
    shown = of_source(error) if source else error.partition(", expected")[0]
    return _said(str(result.status.value), result.passed, str(result.trust), result.tier, shown)


@lru_cache(1024)
def _said(status: str, passed: bool | None, trust: str, tier: int, evidence: str) -> Verdict:
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
        evidence=evidence,  # a correction sees this: never the expected value
        details={"tier": tier, "trust": trust},
    )
