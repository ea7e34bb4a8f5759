"""Attempts that a second check judges again, and the error rates of the filter in use that follow."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from selfplay.config.judging import Audit
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.runtime.attempts import VerifiedAttempt, verify_with_retry
from selfplay.runtime.context import RoundContext
from selfplay.tasks import Source
from selfplay.verify import Judged
from selfplay.verify.audit_rates import DECIDED, WRONG, flat, sample, stratum, worth
from selfplay.verify.audit_rates import Audit as Rates
from selfplay.verify.audit_rates import audit as rates
from selfplay.verify.base import COMBINERS, VerifierSet, verifier_class
from selfplay.verify.nested import can_overturn
from selfplay.verify.routing import leaves

PREFIX = "collapse_quality"
Side = Literal["accepted", "rejected", "known_wrong"]
"""What the filter in use did with an attempt: kept it, rejected it, or rejected what is wrong for certain."""
Scope = Literal["independent", "nested"]
"""Whether a task's second check can overturn a rejection, or contains the first check."""
UNVERIFIED = (
    "audit: curate.verified_only is false, so no verifier filters: its true and false positive rates are 1 and Youden's J is 0 by "
    "construction, and they are left out"
)
ONLY_NESTED = (
    "audit: the second checks contain the first ones, so they can overturn no rejection: verifier_tpr and verifier_youden_j are left "
    "out; give tasks a `stronger` check of another kind, or set audit.judge for tasks that only a judge decides"
)


class Recheck(NamedTuple):
    """An attempt that is judged again by a second check."""

    task: Task
    attempt: Attempt
    first: Outcome
    scope: Scope
    """Of the task."""


class Population:
    """The attempts at all tasks of one scope."""

    def __init__(self) -> None:
        self.places: dict[Side, list[int]] = {"accepted": [], "rejected": [], "known_wrong": []}
        """Places of the attempts in the round, by what the filter in use did with them."""
        self.by_task: Counter[str] = Counter()
        """Number of these attempts by task."""


def draw_rechecks(ctx: RoundContext) -> tuple[dict[Scope, Population], list[Recheck]]:
    """The attempts at tasks that have a second check, and the sample of them that it judges."""
    section, source = ctx.config.audit, ctx.resources.source
    if not section.share:
        return {}, []
    found = {name: scope_of(task, section, source) for name, task in ctx.tasks.items()}
    scopes = {name: scope for name, scope in found.items() if scope is not None}
    verified = [one for rows in ctx.finished("verify").iter_records(VerifiedAttempt) for one in rows]
    populations = populations_of(verified, scopes)
    kinds = {name: sorted(part["type"] for part in leaves(ctx.tasks[name].check)) for name in scopes}
    chosen: set[int] = set()
    for scope, population in populations.items():
        for side in ("accepted", "rejected"):
            # Attempts at one kind of check stand side by side, so that an evenly spaced sample has its share of each kind.
            all_ = sorted(population.places[side], key=lambda place: kinds[verified[place].task_id])
            share = min(section.share, section.max_rechecked / max(1, len(all_)))
            least = min(section.min_rechecked, section.max_rechecked)
            taken = sample(len(all_), share, ctx.config.seed, scope, side, ctx.number, at_least=least)
            chosen |= {all_[place] for place in taken}
    attempts = (one for rows in ctx.finished("generate").iter_records(Attempt) for one in rows)
    rechecks = [
        Recheck(ctx.tasks[attempt.task_id], attempt, verified[place].outcome, scopes[attempt.task_id])
        for place, attempt in enumerate(attempts)
        if place in chosen
    ]
    return populations, rechecks


def populations_of(verified: Sequence[VerifiedAttempt], scopes: Mapping[str, Scope]) -> dict[Scope, Population]:
    """The attempts at tasks that have a scope, by scope; scopes without attempts are left out."""
    found: dict[Scope, Population] = {}
    for place, one in enumerate(verified):
        scope = scopes.get(one.task_id)
        side = scope and _side(one, scope)
        if scope and side:
            population = found.setdefault(scope, Population())
            population.places[side].append(place)
            population.by_task[one.task_id] += 1
    return found


def _side(one: VerifiedAttempt, scope: Scope) -> Side | None:
    """What the filter in use did with an attempt; None for an outage, and where nothing tells whether it was wrong.

    A truncated attempt is wrong, as in evaluation. An attempt on which the verifiers abstain is not trained on, so it is rejected.
    Where the second check contains the first, what the first rejects is wrong by the standard of both, and an abstention tells nothing.
    """
    if one.outcome is Outcome.ERROR or one.finish_reason == "error":
        return None
    if one.finish_reason == "length":
        return "known_wrong"
    if one.outcome is Outcome.PASS:
        return "accepted"
    if scope == "independent":
        return "rejected"
    return None if one.outcome is Outcome.ABSTAIN else "known_wrong"


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


def recheck_figures(
    rechecks: Sequence[Recheck],
    second: Sequence[Judged],
    populations: Mapping[Scope, Population],
    *,
    verified_only: bool = True,
) -> dict[str, float]:
    """The error rates of the filter in use with intervals, and how many attempts were judged again, overturned and undecided.

    Of the tasks whose second check can overturn a rejection, if there are any; the false positive rate of the others is then a key of
    its own. `verified_only` False: nothing filters, so only the student's error rate is left.
    """
    if not populations:
        return {}
    found = {scope: _rates(scope, one, rechecks, second) for scope, one in populations.items()}
    figures = found["independent" if "independent" in found else "nested"].metrics(PREFIX)
    if len(found) > 1:
        figures |= flat(f"{PREFIX}/verifier_fpr_nested", found["nested"].psi)
    if not verified_only:
        figures = {key: value for key, value in figures.items() if key.startswith(f"{PREFIX}/verifier_error")}
    pairs = [(one.first, judged.outcome) for one, judged in zip(rechecks, second, strict=True)]
    decided = [(first, again) for first, again in pairs if again in DECIDED]
    overturned = sum(first in DECIDED and (first in WRONG) != (again in WRONG) for first, again in decided)
    return figures | {
        f"{PREFIX}/verifier_checked": len(decided),
        f"{PREFIX}/verifier_overturned": overturned,
        f"{PREFIX}/verifier_undecided": len(pairs) - len(decided),
    }


def _rates(scope: Scope, population: Population, rechecks: Sequence[Recheck], second: Sequence[Judged]) -> Rates:
    rows: dict[Side, list[tuple[Outcome, str]]] = {"accepted": [], "rejected": []}
    for one, judged in zip(rechecks, second, strict=True):
        if one.scope == scope:
            rows["accepted" if one.first is Outcome.PASS else "rejected"].append((judged.outcome, one.task.id))
    accepted, rejected = (
        stratum(len(population.places[side]), [word for word, _ in found], [name for _, name in found])
        for side, found in rows.items()
    )
    return rates(
        accepted,
        rejected if scope == "independent" else None,
        known_wrong=len(population.places["known_wrong"]),
        attempts_worth=worth(population.by_task.elements()),
    )


def notes_of(
    populations: Mapping[Scope, Population], figures: Mapping[str, float], rechecks: Sequence[Recheck], filtered: bool
) -> list[str]:
    """Why rates of the verifier are missing, in sentences; [] where none is, or nothing could be judged again."""
    if not populations:
        return []
    if not filtered:
        return [UNVERIFIED]
    if f"{PREFIX}/verifier_youden_j" in figures:
        return []
    if "independent" not in populations:
        return [ONLY_NESTED]
    if rechecks and not figures[f"{PREFIX}/verifier_checked"]:
        return [
            f"audit: the second check decided none of {len(rechecks)} attempts, so the verifier's rates are left out"
        ]
    return [
        "audit: Youden's J of the verifier is left out, since the second check found only right attempts, only wrong ones, or "
        "decided none of the accepted or of the rejected ones"
    ]
