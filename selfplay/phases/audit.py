"""The phase `audit`: measures the error rates of this round's verifiers.

It judges canaries, which are solutions known to be right or wrong, and judges a share of the round's attempts again by a stronger
check. Runs on rank 0 alone. Reads the round's tasks, attempts (`generate`) and verdicts (`verify`). Writes `audit/canaries.jsonl`,
`audit/rechecked.jsonl` and the error rates in `audit/DONE`. Nothing of it is trained on.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from selfplay.config.judging import Audit
from selfplay.errors import OutageError
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.runtime.attempts import VerifiedAttempt, is_outage, row_of, verify_with_retry
from selfplay.runtime.chunk_runner import Json
from selfplay.runtime.context import RoundContext
from selfplay.seeds import rng_of
from selfplay.store import write_json, write_whole
from selfplay.tasks import Source
from selfplay.verify import Judged, Verifier
from selfplay.verify.audit_rates import audit as rates
from selfplay.verify.audit_rates import canaries, sample, stratum
from selfplay.verify.base import VerifierSet, registered_name, verifier_class
from selfplay.verify.routing import leaves

PREFIX = "collapse_quality"
Side = Literal["accepted", "rejected"]
SPARE = 3
"""Wrong canaries are drawn for this many times `audit.canaries` tasks, since some of them may turn out to be right."""
_SIDES: Mapping[str, Side] = {"pass": "accepted", "fail": "rejected", "invalid": "rejected"}


class Canary(NamedTuple):
    """A solution that is known to be right or wrong."""

    own: Task
    """The task with its own check."""
    task: Task
    """The task with the check that judges it, which `verify.check` may have replaced."""
    attempt: Attempt
    truth: Literal["right", "wrong"]


class Recheck(NamedTuple):
    """An attempt that is judged again by a stronger check."""

    task: Task
    attempt: Attempt
    first: Outcome


def audit(ctx: RoundContext) -> None:
    """Writes both sets of verdicts, and DONE with the error rates; on rank 0 alone."""
    ctx.on_main_rank("audit", lambda: _audit(ctx))


def _audit(ctx: RoundContext) -> None:
    section, source, out, most = (
        ctx.config.audit,
        ctx.resources.source,
        ctx.at("audit"),
        ctx.config.verify.max_error_share,
    )
    candidates = canaries_of(section.canaries, ctx.proposed, source, ctx.resources.routed, ctx.config.seed, ctx.number)
    totals, rechecks = _draw_rechecks(ctx)
    if not candidates and not rechecks:
        write_json(out / "DONE", {"metrics": {}})
        return
    with ctx.resources.auditors() as opened, ctx.progress.timed("audit"):
        canaries_used = select_canaries(section.canaries, candidates, opened.primary, most)
        first = verify_with_retry(
            [one.task for one in canaries_used], [one.attempt for one in canaries_used], opened.primary
        )
        second = _second_verdicts(section, rechecks, opened, source, ctx.config.seed)
    for what, judged in (("canaries", first), ("second verdicts", second)):
        _refuse_errors(what, judged, most)
    _write(
        out / "canaries.jsonl",
        (
            {"truth": c.truth, "text": c.attempt.text, **row_of(c.attempt, j)}
            for c, j in zip(canaries_used, first, strict=True)
        ),
    )
    _write(
        out / "rechecked.jsonl",
        ({"first": a.first.value, **row_of(a.attempt, j)} for a, j in zip(rechecks, second, strict=True)),
    )
    figures = {**canary_figures(canaries_used, first), **recheck_figures(rechecks, second, totals)}
    write_json(out / "DONE", {"metrics": {key: round_(value) for key, value in figures.items()}})


def _refuse_errors(what: str, judged: Sequence[Judged], max_error_share: float) -> None:
    """Raises OutageError if an outage left more than `max_error_share` of the verdicts as `error`."""
    failed = [one for one in judged if is_outage(one)]
    if judged and len(failed) / len(judged) > max_error_share:
        why = next((v.reason for one in failed for v in one.verdicts if v.outcome is Outcome.ERROR), "")
        raise OutageError(
            f"audit: {len(failed)} of {len(judged)} {what} are error ({why}), more than verify.max_error_share = {max_error_share}; "
            "fix this and rerun the same command"
        )


def round_(value: float) -> float:
    """Rounds to six digits, which are stable and readable."""
    return round(value, 6)


# ---- canaries ----


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
    _refuse_errors("near misses", judged, max_error_share)
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


# ---- attempts that are judged again ----


def _draw_rechecks(ctx: RoundContext) -> tuple[dict[Side, int], list[Recheck]]:
    """The number of accepted and of rejected attempts that a stronger check could judge, and the sample that it does judge."""
    section, source = ctx.config.audit, ctx.resources.source
    if not section.share:
        return {}, []
    checkable = {name for name, task in ctx.tasks.items() if can_be_stronger(task, section, source)}
    verified = [one for rows in ctx.finished("verify").iter_records(VerifiedAttempt) for one in rows]
    places: dict[Side, list[int]] = {"accepted": [], "rejected": []}
    for place, one in enumerate(verified):
        side = _SIDES.get(one.outcome.value)
        if side and one.task_id in checkable and one.finish_reason == "stop":
            places[side].append(place)
    chosen: set[int] = set()
    for kind, all_ in places.items():
        share = min(section.share, section.max_rechecked / max(1, len(all_)))
        taken = sample(
            len(all_),
            share,
            ctx.config.seed,
            kind,
            ctx.number,
            at_least=min(section.min_rechecked, section.max_rechecked),
        )
        chosen |= {all_[i] for i in taken}
    attempts = (one for rows in ctx.finished("generate").iter_records(Attempt) for one in rows)
    rechecks = [
        Recheck(ctx.tasks[attempt.task_id], attempt, verified[place].outcome)
        for place, attempt in enumerate(attempts)
        if place in chosen
    ]
    return {kind: len(all_) for kind, all_ in places.items()}, rechecks


def solution_of(task: Task, source: Source) -> str | None:
    """A known solution of a task, or None. A synthesized task, which the source does not know, has its reference."""
    return task.reference if task.synthesized_by else source.solution(task)


def can_be_stronger(task: Task, section: Audit, source: Source) -> bool:
    """Whether a stronger check exists: the task names one or has hidden cases or a known solution, or `audit.judge` is set."""
    if isinstance(task.check.get("stronger"), dict):
        return True
    parts = list(leaves(task.check))
    if section.judge is not None and any(verifier_class(part["type"]).needs_judge for part in parts):
        return True
    code = [part for part in parts if verifier_class(part["type"]).takes_cases(part)]
    if any("hidden_cases" in part for part in code):
        return True
    known = task.reference is not None if task.synthesized_by else source.has_solution(task)
    return bool(code and section.hidden_cases) and known


def _second_verdicts(
    section: Audit, rechecks: Sequence[Recheck], opened: VerifierSet, source: Source, seed: int
) -> list[Judged]:
    """The verdicts of the stronger checks; `abstain` for a task for which no further test case could be generated."""
    more = _hidden(section, rechecks, opened, source, seed)
    checks = [_stronger(one.task.check, more.get(one.task.id, [])) for one in rechecks]
    asked = [n for n, check in enumerate(checks) if check is not None or section.judge is not None]
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
    if not isinstance(parts, list):
        return strengthened(check, cases)
    code = _code_of(check)
    return {**check, "of": [_stronger(p, cases) if _code_of(p) is code and code is not None else p for p in parts]}


def recheck_figures(
    rechecks: Sequence[Recheck], second: Sequence[Judged], totals: Mapping[Side, int]
) -> dict[str, float]:
    """The verifiers' error rates with intervals, the number of attempts judged again, and of verdicts that were overturned."""
    if not rechecks:
        return {}
    outcomes: dict[Side, list[Outcome]] = {"accepted": [], "rejected": []}
    for one, judged in zip(rechecks, second, strict=True):
        outcomes[_SIDES[one.first.value]].append(judged.outcome)
    strata = {side: stratum(totals[side], row) for side, row in outcomes.items()}
    checked = sum(one.checked for one in strata.values())
    if not checked:
        return {}
    figures = rates(strata["accepted"], strata["rejected"]).metrics(PREFIX)
    overturned = strata["accepted"].wrong + strata["rejected"].right
    return {**figures, f"{PREFIX}/verifier_checked": checked, f"{PREFIX}/verifier_overturned": overturned}


def _write(path: Path, rows: Iterator[Json]) -> None:
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))
