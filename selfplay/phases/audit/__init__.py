"""The phase `audit`: measures the error rates of this round's verifiers.

It judges canaries, which are solutions known to be right or wrong, and judges a share of the round's attempts again by a second
check. Runs on rank 0 alone. Reads the round's tasks, attempts (`generate`) and verdicts (`verify`). Writes `audit/canaries.jsonl`,
`audit/rechecked.jsonl` and the error rates in `audit/DONE`. Nothing of it is trained on.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from selfplay.phases.audit.canaries import Canary, canaries_of, canary_figures, refuse_errors, select_canaries
from selfplay.phases.audit.rechecks import (
    ONLY_NESTED,
    UNVERIFIED,
    draw_rechecks,
    notes_of,
    recheck_figures,
)
from selfplay.runtime.attempts import row_of, verify_with_retry
from selfplay.runtime.chunk_runner import Json
from selfplay.runtime.context import RoundContext
from selfplay.runtime.second_checks import Recheck, second_verdicts
from selfplay.store import write_json, write_whole
from selfplay.verify import Judged


def audit(ctx: RoundContext) -> None:
    """Writes both sets of verdicts, and DONE with the error rates; on rank 0 alone."""
    ctx.on_main_rank("audit", lambda: _audit(ctx))


def _audit(ctx: RoundContext) -> None:
    section, source, out = ctx.config.audit, ctx.resources.source, ctx.at("audit")
    most, filtered = ctx.config.verify.max_error_share, ctx.config.curate.verified_only
    candidates = canaries_of(section.canaries, ctx.proposed, source, ctx.resources.routed, ctx.config.seed, ctx.number)
    populations, rechecks = draw_rechecks(ctx)
    canaries_used, first, second = list[Canary](), list[Judged](), list[Judged]()
    if candidates or rechecks:
        with ctx.resources.auditors() as opened, ctx.progress.timed("audit"):
            canaries_used = select_canaries(section.canaries, candidates, opened.primary, most)
            first = verify_with_retry(
                [one.task for one in canaries_used], [one.attempt for one in canaries_used], opened.primary
            )
            second = second_verdicts(section, rechecks, opened, source, ctx.config.seed)
        for what, judged in (("canaries", first), ("second verdicts", second)):
            refuse_errors(what, judged, most)
        _write_rows(out, canaries_used, first, rechecks, second)
    figures = {
        **canary_figures(canaries_used, first),
        **recheck_figures(rechecks, second, populations, verified_only=filtered),
    }
    notes = notes_of(populations, figures, rechecks, filtered)
    for note in notes:
        if ctx.number == 1 or note not in (UNVERIFIED, ONLY_NESTED):
            ctx.note(note)
    write_json(out / "DONE", {"metrics": {key: round_(value) for key, value in figures.items()}, "notes": notes})


def _write_rows(
    out: Path, used: Sequence[Canary], first: Sequence[Judged], rechecks: Sequence[Recheck], second: Sequence[Judged]
) -> None:
    _write(
        out / "canaries.jsonl",
        ({"truth": c.truth, "text": c.attempt.text, **row_of(c.attempt, j)} for c, j in zip(used, first, strict=True)),
    )
    _write(
        out / "rechecked.jsonl",
        ({"first": a.first.value, **row_of(a.attempt, j)} for a, j in zip(rechecks, second, strict=True)),
    )


def round_(value: float) -> float:
    """Rounds to six digits, which are stable and readable."""
    return round(value, 6)


def _write(path: Path, rows: Iterator[Json]) -> None:
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))
