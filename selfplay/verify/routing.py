"""Asks the verifiers that a task's check names, and combines their verdicts. The outcome is computed here alone.

A task's check is one verifier, or `{type: all | any | first, of: [check, ...]}`:
- all: pass where every one passes; the first fail or invalid decides otherwise
- any: pass where one passes
- first: the first that does not abstain decides
In each, an `error` that could have changed the outcome makes it `error`: an outage never counts as a wrong answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from selfplay.errors import ConfigError
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.verify.base import COMBINERS, Judged, Verifier, registered_name


def verify(tasks: Sequence[Task], attempts: Sequence[Attempt], verifiers: Mapping[str, Verifier]) -> list[Judged]:
    """Judges each attempt of `attempts` by the check of the task at the same place in `tasks`.

    Verifiers are asked type by type, each with all its items at once. An attempt that is empty or was cut off is
    `invalid` without asking a verifier. Raises ConfigError where a task needs a verifier that `verifiers` lacks.
    """
    parts = [list(leaves(task.check)) for task in tasks]
    found: list[list[Verdict | None]] = [[None] * len(row) for row in parts]
    for kind in sorted({check["type"] for row in parts for check in row}):
        places = [(i, j) for i, row in enumerate(parts) for j, check in enumerate(row) if check["type"] == kind]
        asked = [(i, j) for i, j in places if not _unreadable(attempts[i])]
        for i, j in places:
            found[i][j] = _unreadable(attempts[i])
        verifier = _verifier(kind, verifiers, tasks[places[0][0]])
        words = verifier.verify(
            [parts[i][j] for i, j in asked], [tasks[i] for i, _ in asked], [attempts[i] for i, _ in asked]
        )
        for (i, j), verdict in zip(asked, words, strict=True):
            found[i][j] = verdict
    rows = [tuple(verdict for verdict in row if verdict is not None) for row in found]
    return [Judged(row, combine(task.check, row)) for task, row in zip(tasks, rows, strict=True)]


def combine(check: Mapping[str, Any], verdicts: Sequence[Verdict]) -> Outcome:
    """The outcome of a check from its verdicts, one per single verifier, in the order that the check names them."""
    return _combine(check, iter(verdicts))


def _combine(check: Mapping[str, Any], verdicts: Iterator[Verdict]) -> Outcome:
    if check["type"] not in COMBINERS:
        return next(verdicts).outcome
    words = [_combine(part, verdicts) for part in check["of"]]
    spoken = [word for word in words if word is not Outcome.ABSTAIN]
    if not spoken:
        return Outcome.ABSTAIN
    if check["type"] == "first":
        return spoken[0]
    decisive = {Outcome.PASS} if check["type"] == "any" else {Outcome.FAIL, Outcome.INVALID}
    for word in spoken:
        if word in decisive:
            return word
    return Outcome.ERROR if Outcome.ERROR in spoken else spoken[0]


def routed(task: Task, check: Mapping[str, Any] | None) -> Task:
    """The task with `check` in place of its own check, for which `{type: task}` stands in it; None changes nothing.

    Where `check` does not use the task's own, that one is kept as `stronger`, for the audit.
    """
    if check is None:
        return task
    whole, used = _placed(check, task.check)
    return task.model_copy(
        update={"check": whole if used or "stronger" in whole else {**whole, "stronger": task.check}}
    )


def _placed(check: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    if check.get("type") == "task":
        return dict(own), True
    parts = check.get("of")
    if check.get("type") not in COMBINERS or not isinstance(parts, list):
        return dict(check), False
    placed = [_placed(part, own) if isinstance(part, dict) else (part, False) for part in parts]
    return {**check, "of": [part for part, _ in placed]}, any(used for _, used in placed)


def check_types(tasks: Sequence[Task]) -> set[str]:
    """All verifier types that these tasks name, `stronger` checks included. Raises ConfigError on a combination without parts."""
    checks = [task.check for task in tasks]
    checks += [check["stronger"] for check in checks if isinstance(check.get("stronger"), dict)]
    return {leaf["type"] for check in checks for leaf in leaves(check)}


def leaves(check: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The single verifiers of a check, in the order that it names them. Raises ConfigError on a combination without parts."""
    if check.get("type") not in COMBINERS:
        yield check
        return
    parts = check.get("of")
    if not isinstance(parts, list) or not parts or not all(isinstance(p, dict) and "type" in p for p in parts):
        raise ConfigError(f"verifier: {check['type']} has of = {parts!r}; give a list of verifiers, each with a type")
    for part in parts:
        yield from leaves(part)


def _verifier(kind: str, verifiers: Mapping[str, Verifier], task: Task) -> Verifier:
    name = registered_name(kind)
    if name not in verifiers:
        raise ConfigError(
            f"task {task.id}: its verifier is {kind!r}, and the open ones are {', '.join(sorted(verifiers)) or 'none'}; "
            "use one of these, or python:package.module:function"
        )
    return verifiers[name]


def _unreadable(attempt: Attempt) -> Verdict | None:
    """The verdict on an empty, truncated or failed attempt; None where a verifier has to be asked."""
    if attempt.finish_reason == "error":
        return Verdict(verifier="finish/1", outcome=Outcome.ERROR, reason="the backend failed")
    if attempt.finish_reason == "length":
        return Verdict(verifier="finish/1", outcome=Outcome.INVALID, reason="truncated")
    if not attempt.text.strip():
        return Verdict(verifier="finish/1", outcome=Outcome.INVALID, reason="empty")
    return None
