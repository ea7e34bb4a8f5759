"""Canaries: solutions that are known to be right or wrong, judged by the round's verifiers."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from selfplay.errors import OutageError
from selfplay.records import Attempt, Outcome, Task
from selfplay.runtime.attempts import is_outage, verify_with_retry
from selfplay.seeds import rng_of
from selfplay.tasks import Source
from selfplay.verify import Judged, Verifier
from selfplay.verify.audit_rates import canaries
from selfplay.verify.base import registered_name, verifier_class
from selfplay.verify.routing import leaves

PREFIX = "collapse_quality"
SPARE = 3
"""Wrong canaries are drawn for this many times `audit.canaries` tasks, since some of them may turn out to be right."""


class Canary(NamedTuple):
    """A solution that is known to be right or wrong."""

    own: Task
    """The task with its own check."""
    task: Task
    """The task with the check that judges it, which `verify.check` may have replaced."""
    attempt: Attempt
    truth: Literal["right", "wrong"]


def canaries_of(
    count: int, tasks: Mapping[str, Task], source: Source, route: Callable[[Task], Task], seed: int, number: int
) -> list[Canary]:
    """Candidates for canaries, drawn by seed and round from the round's own tasks and the anchor.

    Up to `count` right solutions, and up to SPARE * `count` near misses, of which `select_canaries` keeps those that are wrong.
    """
    if not count:
        return []
    anchor = {task.id: task for task in source.fixed.anchor}
    order = sorted({*(name for name, task in tasks.items() if task.synthesized_by is None), *anchor})
    rng = rng_of(seed, "canaries", number)
    rng.shuffle(order)
    found: list[Canary] = []
    for truth in ("right", "wrong"):
        chosen: list[tuple[Task, str]] = []
        for name in order:
            if len(chosen) == (count if truth == "right" else SPARE * count):
                break
            task = anchor[name] if name in anchor else tasks[name]
            texts = [source.solution(task)] if truth == "right" else source.near_misses(task)
            known = [text for text in texts if text is not None]
            if known:
                chosen.append((task, rng.choice(known)))
        for task, text in chosen:
            attempt = Attempt(task_id=task.id, attempt=len(found), round=number, text=text, origin="canary")
            found.append(Canary(task, route(task), attempt, "right" if truth == "right" else "wrong"))
    return found


def select_canaries(
    count: int, candidates: Sequence[Canary], verifiers: Mapping[str, Verifier], max_error_share: float
) -> list[Canary]:
    """The canaries that are used: all right ones, and up to `count` wrong ones that their task's own check rejects.

    A near miss can be right by chance, and a right "wrong canary" would stop a sound run. The judge is not used for this selection:
    it is what these canaries test, and near misses for its tasks come from the task file.
    """
    testable = [one for one in candidates if one.truth == "wrong" and _judged_without_a_model(one.own, verifiers)]
    judged = verify_with_retry([one.own for one in testable], [one.attempt for one in testable], verifiers)
    refuse_errors("near misses", judged, max_error_share)
    rejected = {Outcome.FAIL, Outcome.INVALID}
    doubtful = {c.attempt.id for c, j in zip(testable, judged, strict=True) if j.outcome not in rejected}
    wrong = [one for one in candidates if one.truth == "wrong" and one.attempt.id not in doubtful]
    return [*(one for one in candidates if one.truth == "right"), *wrong[:count]]


def _judged_without_a_model(task: Task, verifiers: Mapping[str, Verifier]) -> bool:
    """Whether all verifiers of a task's own check are open and none of them asks a judge."""
    kinds = [part["type"] for part in leaves(task.check)]
    return all(registered_name(kind) in verifiers and not verifier_class(kind).needs_judge for kind in kinds)


def canary_figures(canaries_used: Sequence[Canary], verdicts: Sequence[Judged]) -> dict[str, float]:
    """Counts of canaries by truth and outcome. The gate stops the run if `canary_false_accepts` is above 0."""
    if not canaries_used:
        return {}
    counts = canaries(
        {one.attempt.id: one.truth for one in canaries_used},
        {one.attempt.id: judged.outcome for one, judged in zip(canaries_used, verdicts, strict=True)},
    )
    return {
        f"{PREFIX}/canary_false_accepts": len(counts.wrong_accepted),
        f"{PREFIX}/canary_wrong": counts.wrong,
        f"{PREFIX}/canary_false_rejects": len(counts.right_dropped),
        f"{PREFIX}/canary_right": counts.right,
        f"{PREFIX}/canary_undecided": counts.undecided,
    }


def refuse_errors(what: str, judged: Sequence[Judged], max_error_share: float) -> None:
    """Raises OutageError if an outage left more than `max_error_share` of the verdicts as `error`."""
    failed = [one for one in judged if is_outage(one)]
    if judged and len(failed) / len(judged) > max_error_share:
        why = next((v.reason for one in failed for v in one.verdicts if v.outcome is Outcome.ERROR), "")
        raise OutageError(
            f"audit: {len(failed)} of {len(judged)} {what} are error ({why}), more than verify.max_error_share = {max_error_share}; "
            "fix this and rerun the same command"
        )
