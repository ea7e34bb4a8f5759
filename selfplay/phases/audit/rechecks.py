"""Attempts that a second check judges again, and the error rates of the filter in use that follow."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from selfplay.records import Attempt, Outcome
from selfplay.runtime.attempts import VerifiedAttempt
from selfplay.runtime.context import RoundContext
from selfplay.runtime.second_checks import Recheck, Scope, scope_of
from selfplay.verify import Judged
from selfplay.verify.audit_rates import DECIDED, WRONG, flat, sample, stratum, worth
from selfplay.verify.audit_rates import Audit as Rates
from selfplay.verify.audit_rates import audit as rates
from selfplay.verify.routing import leaves

PREFIX = "collapse_quality"
Side = Literal["accepted", "rejected", "known_wrong"]
"""What the filter in use did with an attempt: kept it, rejected it, or rejected what is wrong for certain."""
UNVERIFIED = (
    "audit: curate.verified_only is false, so no verifier filters: its true and false positive rates are 1 and Youden's J is 0 by "
    "construction, and they are left out"
)
ONLY_NESTED = (
    "audit: the second checks contain the first ones, so they can overturn no rejection: verifier_tpr and verifier_youden_j are left "
    "out; give tasks a `stronger` check of another kind, or set audit.judge for tasks that only a judge decides"
)


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
