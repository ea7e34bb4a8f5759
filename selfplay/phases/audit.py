"""How far this round's verifiers may be trusted: canaries of known truth, and a share judged again more strongly.

Rank 0 alone, idempotent until its DONE. Nothing of it is trained on: canaries stand in `canaries.jsonl` of the phase's
folder, second verdicts in `rechecked.jsonl`, and only figures leave.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from selfplay.config.judging import Audit
from selfplay.errors import OutageError
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.runtime.chunk_runner import Json
from selfplay.runtime.context import RoundContext
from selfplay.runtime.verified import VerifiedAttempt, is_outage, row_of, verify_with_retry
from selfplay.seeds import rng_of
from selfplay.store import write_json, write_whole
from selfplay.tasks import Source
from selfplay.verify import Judged, Verifier
from selfplay.verify.audit_rates import audit as rates
from selfplay.verify.audit_rates import canaries, sample, stratum
from selfplay.verify.routing import leaves
from selfplay.verify.verifier_set import VerifierSet

PREFIX = "collapse_quality"
Side = Literal["accepted", "rejected"]
SPARE = 3
"""Replies that are to be wrong are drawn for so many times the tasks, as some may turn out right."""
_SIDES: Mapping[str, Side] = {"pass": "accepted", "fail": "rejected", "invalid": "rejected"}


class Canary(NamedTuple):
    """A solution of known truth."""

    own: Task
    """As it was proposed, with its own check."""
    task: Task
    """As it is judged."""
    attempt: Attempt
    truth: Literal["right", "wrong"]


class Again(NamedTuple):
    """An attempt that is judged again."""

    task: Task
    attempt: Attempt
    first: Outcome


def audit(ctx: RoundContext) -> None:
    """Writes the evidence, and DONE with the figures; rank 0 alone."""
    ctx.on_main_rank("audit", lambda: _audit(ctx))


def _audit(ctx: RoundContext) -> None:
    section, source, out, most = (
        ctx.config.audit,
        ctx.resources.source,
        ctx.at("audit"),
        ctx.config.verify.max_error_share,
    )
    drawn = canaries_of(section.canaries, ctx.proposed, source, ctx.resources.routed, ctx.config.seed, ctx.number)
    totals, again = _drawn(ctx)
    if not drawn and not again:
        write_json(out / "DONE", {"metrics": {}})
        return
    with ctx.resources.auditors() as opened, ctx.progress.timed("audit"):
        known = proven(section.canaries, drawn, opened.primary, most)
        found = verify_with_retry([one.task for one in known], [one.attempt for one in known], opened.primary)
        second = _second(section, again, opened, source, ctx.config.seed)
    for what, judged in (("canaries", found), ("second verdicts", second)):
        _refuse_errors(what, judged, most)
    _write(
        out / "canaries.jsonl",
        ({"truth": c.truth, "text": c.attempt.text, **row_of(c.attempt, j)} for c, j in zip(known, found, strict=True)),
    )
    _write(
        out / "rechecked.jsonl",
        ({"first": a.first.value, **row_of(a.attempt, j)} for a, j in zip(again, second, strict=True)),
    )
    figures = {**canary_figures(known, found), **recheck_figures(again, second, totals)}
    write_json(out / "DONE", {"metrics": {key: round_(value) for key, value in figures.items()}})


def _refuse_errors(what: str, words: Sequence[Judged], max_error_share: float) -> None:
    """Raises OutageError where too many verdicts are `error` by an outage."""
    lost = [one for one in words if is_outage(one)]
    if words and len(lost) / len(words) > max_error_share:
        why = next((v.reason for one in lost for v in one.verdicts if v.outcome is Outcome.ERROR), "")
        raise OutageError(
            f"audit: {len(lost)} of {len(words)} {what} are error ({why}), over verify.max_error_share = {max_error_share}; "
            "mend that and run the same command"
        )


def round_(value: float) -> float:
    """Six digits: what is stable and readable."""
    return round(value, 6)


# ---- canaries ----


def canaries_of(
    count: int, tasks: Mapping[str, Task], source: Source, route: Callable[[Task], Task], seed: int, number: int
) -> list[Canary]:
    """Up to `count` known right solutions of drawn tasks and the anchor's, by seed and round, and some more replies that
    are to be wrong: see `proven`."""
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


def proven(
    count: int, drawn: Sequence[Canary], verifiers: Mapping[str, Verifier], max_error_share: float
) -> list[Canary]:
    """Those of the drawn that are used: all that are right, and up to `count` that their task's own check does not accept.

    A reply that was made to be wrong may be right by chance, and would then stop a sound run. A judge is not asked: it
    is what the canaries are to test, and replies to its tasks are wrong because a person says so.
    """
    asked = [one for one in drawn if one.truth == "wrong" and _kinds(one.own) <= verifiers.keys() - {"judge"}]
    words = verify_with_retry([one.own for one in asked], [one.attempt for one in asked], verifiers)
    _refuse_errors("near misses", words, max_error_share)
    refused = {Outcome.FAIL, Outcome.INVALID}
    doubtful = {one.attempt.id for one, said in zip(asked, words, strict=True) if said.outcome not in refused}
    wrong = [one for one in drawn if one.truth == "wrong" and one.attempt.id not in doubtful]
    return [*(one for one in drawn if one.truth == "right"), *wrong[:count]]


def _kinds(task: Task) -> set[str]:
    """The types of the verifiers of a task's own check, `python` for a function."""
    return {str(part["type"]).partition(":")[0] for part in leaves(task.check)}


def canary_figures(known: Sequence[Canary], found: Sequence[Judged]) -> dict[str, float]:
    """Counts; `canary_false_accepts` above 0 stops the run."""
    if not known:
        return {}
    said = canaries(
        {one.attempt.id: one.truth for one in known},
        {one.attempt.id: judged.outcome for one, judged in zip(known, found, strict=True)},
    )
    return {
        f"{PREFIX}/canary_false_accepts": len(said.wrong_accepted),
        f"{PREFIX}/canary_wrong": said.wrong,
        f"{PREFIX}/canary_false_rejects": len(said.right_dropped),
        f"{PREFIX}/canary_right": said.right,
        f"{PREFIX}/canary_undecided": said.undecided,
    }


# ---- a share judged again ----


def _drawn(ctx: RoundContext) -> tuple[dict[Side, int], list[Again]]:
    """How many attempts of either kind could be judged again, and those that are."""
    section, source = ctx.config.audit, ctx.resources.source
    if not section.share:
        return {}, []
    able = {name for name, task in ctx.tasks.items() if can_be_stronger(task, section, source)}
    verified = [one for rows in ctx.finished("verify").iter_records(VerifiedAttempt) for one in rows]
    places: dict[Side, list[int]] = {"accepted": [], "rejected": []}
    for place, one in enumerate(verified):
        side = _SIDES.get(one.outcome.value)
        if side and one.task_id in able and one.finish_reason == "stop":
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
    again = [
        Again(ctx.tasks[attempt.task_id], attempt, verified[place].outcome)
        for place, attempt in enumerate(attempts)
        if place in chosen
    ]
    return {kind: len(all_) for kind, all_ in places.items()}, again


def solution_of(task: Task, source: Source) -> str | None:
    """A known solution; of a synthesized task, which the source does not know, its reference."""
    return task.reference if task.synthesized_by else source.solution(task)


def can_be_stronger(task: Task, section: Audit, source: Source) -> bool:
    """Whether there is a stronger check: the task names one, has hidden cases or a known solution, or a second judge is there."""
    if isinstance(task.check.get("stronger"), dict):
        return True
    parts = list(leaves(task.check))
    if section.judge is not None and any(part["type"] == "judge" for part in parts):
        return True
    code = [part for part in parts if part["type"] == "code_tests" and "entry_point" in part]
    if any("hidden_cases" in part for part in code):
        return True
    known = task.reference is not None if task.synthesized_by else source.has_solution(task)
    return bool(code and section.hidden_cases) and known


def _second(section: Audit, again: Sequence[Again], opened: VerifierSet, source: Source, seed: int) -> list[Judged]:
    """Second verdicts; abstained from where no further case could be made after all."""
    more = _hidden(section, again, opened, source, seed)
    checks = [_stronger(one.task.check, more.get(one.task.id, [])) for one in again]
    asked = [n for n, check in enumerate(checks) if check is not None or section.judge is not None]
    changed = [again[n].task.model_copy(update={"check": checks[n] or again[n].task.check}) for n in asked]
    words = iter(verify_with_retry(changed, [again[n].attempt for n in asked], opened.audit))
    silent = Judged(
        (Verdict(verifier="audit/1", outcome=Outcome.ABSTAIN, reason="no stronger check"),), Outcome.ABSTAIN
    )
    return [next(words) if n in set(asked) else silent for n in range(len(again))]


def _hidden(
    section: Audit, again: Sequence[Again], opened: VerifierSet, source: Source, seed: int
) -> dict[str, list[tuple[Any, Any]]]:
    """Further cases by task id: its own hidden ones, or made in the sandbox from a known solution."""
    tasks = {one.task.id: one.task for one in again if "stronger" not in one.task.check}
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
    """The first part that runs code by calling an entry point."""
    return next((c for c in leaves(check) if c["type"] == "code_tests" and "entry_point" in c), None)


def _stronger(check: Mapping[str, Any], cases: Sequence[tuple[Any, Any]]) -> dict[str, Any] | None:
    """The check of the second verdict; None where it would be the first one again."""
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


def recheck_figures(again: Sequence[Again], second: Sequence[Judged], totals: Mapping[Side, int]) -> dict[str, float]:
    """The verifiers' rates with intervals, how many attempts were judged again and how many verdicts that overturned."""
    if not again:
        return {}
    said: dict[Side, list[Outcome]] = {"accepted": [], "rejected": []}
    for one, judged in zip(again, second, strict=True):
        said[_SIDES[one.first.value]].append(judged.outcome)
    strata = {side: stratum(totals[side], words) for side, words in said.items()}
    checked = sum(one.checked for one in strata.values())
    if not checked:
        return {}
    figures = rates(strata["accepted"], strata["rejected"]).metrics(PREFIX)
    overturned = strata["accepted"].wrong + strata["rejected"].right
    return {**figures, f"{PREFIX}/verifier_checked": checked, f"{PREFIX}/verifier_overturned": overturned}


def _write(path: Path, rows: Iterator[Json]) -> None:
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))
