"""Second checks: those that judge an attempt again, for the audit of a round's verifiers and of a training's roll-outs."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from selfplay.config.judging import Audit
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.runtime.attempts import verify_with_retry
from selfplay.tasks import Source
from selfplay.verify import Judged
from selfplay.verify.base import COMBINERS, VerifierSet, verifier_class
from selfplay.verify.nested import can_overturn
from selfplay.verify.routing import leaves

Scope = Literal["independent", "nested"]
"""Whether a task's second check can overturn a rejection, or contains the first check."""


class Recheck(NamedTuple):
    """An attempt that is judged again by a second check."""

    task: Task
    attempt: Attempt
    first: Outcome
    scope: Scope
    """Of the task."""


def solution_of(task: Task, source: Source) -> str | None:
    """A known solution of a task, or None. A synthesized task, which the source does not know, has its reference."""
    return task.reference if task.synthesized_by else source.solution(task)


def scope_of(task: Task, section: Audit, source: Source) -> Scope | None:
    """Whether the second check of a task can overturn a rejection; None where there is no second check.

    The second check is the task's `stronger` one, the check itself with the judge of `audit.judge`, or its tests with hidden cases or
    with cases that a known solution answers.
    """
    check, own = task.check, task.check.get("stronger")
    if isinstance(own, dict):
        return "independent" if can_overturn(check, own, second_judge=section.judge is not None) else "nested"
    if _asks_second_judge(check, section):
        return "independent" if can_overturn(check, check, second_judge=True) else "nested"
    code = [part for part in leaves(check) if verifier_class(part["type"]).takes_cases(part)]
    if any("hidden_cases" in part for part in code):
        return "nested"
    known = task.reference is not None if task.synthesized_by else source.has_solution(task)
    return "nested" if code and section.hidden_cases and known else None


def _asks_second_judge(check: Mapping[str, Any], section: Audit) -> bool:
    return section.judge is not None and any(verifier_class(part["type"]).needs_judge for part in leaves(check))


def second_verdicts(
    section: Audit, rechecks: Sequence[Recheck], opened: VerifierSet, source: Source, seed: int
) -> list[Judged]:
    """The verdicts of the second checks; `abstain` for a task for which no further test case could be generated."""
    more = _hidden(section, rechecks, opened, source, seed)
    checks = [_stronger(one.task.check, more.get(one.task.id, [])) for one in rechecks]
    asked = [
        n for n, check in enumerate(checks) if check is not None or _asks_second_judge(rechecks[n].task.check, section)
    ]
    changed = [rechecks[n].task.model_copy(update={"check": checks[n] or rechecks[n].task.check}) for n in asked]
    judged = dict(
        zip(asked, verify_with_retry(changed, [rechecks[n].attempt for n in asked], opened.audit), strict=True)
    )
    unchecked = Judged(
        (Verdict(verifier="audit/1", outcome=Outcome.ABSTAIN, reason="no stronger check"),), Outcome.ABSTAIN
    )
    return [judged.get(n, unchecked) for n in range(len(rechecks))]


def _hidden(
    section: Audit, rechecks: Sequence[Recheck], opened: VerifierSet, source: Source, seed: int
) -> dict[str, list[tuple[Any, Any]]]:
    """Further test cases by task id: the task's own hidden ones, or cases that a known solution answers in the sandbox."""
    tasks = {one.task.id: one.task for one in rechecks if "stronger" not in one.task.check}
    code = {name: check for name, task in tasks.items() if (check := _code_of(task.check)) is not None}
    given = {
        name: [(tuple(args), value) for args, value in check["hidden_cases"]]
        for name, check in code.items()
        if "hidden_cases" in check
    }
    if opened.executor is None or opened.limits is None or not section.hidden_cases:
        return given
    from selfplay.verify.strengthen import hidden_cases

    replies = {name: solution_of(tasks[name], source) for name in code if name not in given}
    items = [(tasks[name], code[name], reply) for name, reply in replies.items() if reply is not None]
    found = hidden_cases(items, opened.executor, opened.limits, count=section.hidden_cases, seed=seed)
    return given | {task.id: cases for (task, _, _), cases in zip(items, found, strict=True)}


def _code_of(check: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The first part of a check that further cases can be added to; None if there is none."""
    return next((part for part in leaves(check) if verifier_class(part["type"]).takes_cases(part)), None)


def _stronger(check: Mapping[str, Any], cases: Sequence[tuple[Any, Any]]) -> dict[str, Any] | None:
    """The check that gives the second verdict; None if it would equal the first check."""
    if isinstance(check.get("stronger"), dict):
        return dict(check["stronger"])
    if not cases:
        return None
    from selfplay.verify.strengthen import strengthened

    parts = check.get("of")
    if check["type"] not in COMBINERS or not isinstance(parts, list):
        return strengthened(check, cases)
    code = _code_of(check)
    return {**check, "of": [_stronger(p, cases) if _code_of(p) is code and code is not None else p for p in parts]}
