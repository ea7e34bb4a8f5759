"""Failed attempts tried once more with the evidence of their failure, and the new attempts verified afresh.

Chunk i holds the corrections of generation's chunk i, attempts and verdicts together, so that it is there whole or owed.
What was cut off or lost to an outage is not tried again: nothing is known to be wrong with it. A correction that repeats
the attempt it corrects keeps that attempt's failure and is asked of no verifier: judging a failure again until it passes
would let a flaky test in.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from selfplay.config.tree import Correct
from selfplay.curate.solution_key import canonical_code, exact_key
from selfplay.models import Backend
from selfplay.prompts.correction import evidence_of, request_of
from selfplay.records import Attempt, Outcome, Request, Sampling, Task, Verdict, digest
from selfplay.runtime.chunk_runner import Json, refuse_outage, run_chunks
from selfplay.runtime.context import RoundContext
from selfplay.runtime.sampling import attempt_of, complete_all
from selfplay.runtime.verified import COPY, VerifiedAttempt, Verifiers, is_outage, row_of, verify_with_retry
from selfplay.seeds import seed_of
from selfplay.store import Chunk, ChunkFolder
from selfplay.verify import Judged
from selfplay.verify.math import StepOutcome, check_steps

Template = Literal["chat", "plain"]
_STEPS = 40
_DEFINES = re.compile(r"^(?:async def|def|class) +(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Failed:
    """An attempt to be tried again."""

    task: Task
    attempt: Attempt
    outcome: Outcome
    number: int
    """The attempt number of its correction."""
    request: Request


def correct(ctx: RoundContext) -> None:
    """Writes one row a correction: the attempt (turn 1, its parent's number) with its verdicts and outcome."""
    section, student = ctx.config.correct, ctx.identity("correct")
    template = ctx.config.generate.backend.prompt_form(
        ctx.config.student
    )  # a second attempt is asked for in the writer's form
    attempts, verified = ctx.finished("generate"), ctx.finished("verify")
    most = ctx.config.verify.max_error_share

    @contextmanager
    def open_both() -> Iterator[tuple[Backend, Verifiers]]:
        with ctx.resources.sampler(ctx.student, student) as backend, ctx.resources.verifiers() as verifiers:
            yield backend, verifiers

    def work(tools: tuple[Backend, Verifiers], chunk: Chunk) -> list[Json]:
        rows = zip(
            attempts.read(chunk.id).records(Attempt), verified.read(chunk.id).records(VerifiedAttempt), strict=True
        )
        failed = failed_of(section, ctx.tasks, list(rows), template)
        with ctx.progress.timed("correct"):
            made = _second_attempts(ctx, tools[0], failed, chunk)
            judged = verify_second(failed, made, tools[1])
        refuse_outage("correct", chunk, sum(map(is_outage, judged)), len(judged), most, "verdicts are error")
        return [
            {"made": a.model_dump(mode="json"), "asked": f.request.model_dump(mode="json"), **row_of(a, one)}
            for f, a, one in zip(failed, made, judged, strict=True)
        ]

    # a chunk for each of generation's; its members are the attempts that it looks at, by their places
    chunks = [
        Chunk(
            one.id,
            tuple(map(str, range(one.rows))),
            seed_of(ctx.config.seed, ctx.number, "correct", one.id),
            digest([student, template, one.sha256, told.sha256]),
        )
        for one, told in zip(attempts.chunks, verified.chunks, strict=True)
    ]
    run_chunks(
        "correct",
        ChunkFolder(ctx.at("correct"), chunks),
        open_both,
        work,
        ranks=ctx.ranks,
        progress=ctx.progress,
        accepted=lambda row: bool(row["outcome"] == Outcome.PASS.value),
    )


def sampling_of(ctx: RoundContext) -> Sampling:
    """How corrections are sampled: as attempts are, but for what `correct` sets."""
    section, sampling = ctx.config.correct, ctx.sampling
    changed = {
        "temperature": section.temperature if section.temperature is not None else sampling.temperature,
        "max_new_tokens": section.max_new_tokens or sampling.max_new_tokens,
    }
    return sampling.model_copy(update=changed)


def failed_of(
    section: Correct,
    tasks: Mapping[str, Task],
    rows: Sequence[tuple[Attempt, VerifiedAttempt]],
    template: Template = "plain",
) -> list[Failed]:
    """What is tried again, in order. `rows`: the attempts of a chunk with their verdicts; attempts of a task stand together."""
    counts = Counter(attempt.task_id for attempt, _ in rows)
    taken: Counter[str] = Counter()
    found = []
    for attempt, verified in rows:
        task = tasks[attempt.task_id]
        full = section.per_task is not None and taken[task.id] >= section.per_task
        wrong = verified.outcome in (Outcome.FAIL, Outcome.INVALID)
        if full or not wrong or attempt.finish_reason != "stop":
            continue
        math = any(verdict.verifier.startswith("math/") for verdict in verified.verdicts)
        step = wrong_step(attempt.text) if math else None
        evidence = evidence_of(task, verified.verdicts, step, section.evidence_chars)
        request = request_of(task, attempt.attempt, attempt.text, evidence, template)
        found.append(Failed(task, attempt, verified.outcome, counts[task.id] + taken[task.id], request))
        taken[task.id] += 1
    return found


def wrong_step(text: str) -> str | None:
    """The first line that claims a calculation which does not hold; None where none is known not to."""
    lines = [line for line in text.splitlines() if line.strip()][:_STEPS]
    said = check_steps(lines)
    return next((lines[one.index] for one in said if one.outcome is StepOutcome.WRONG), None)


def is_copy(first: str, second: str) -> bool:
    """Whether a second attempt is the first again: the same text, or the same program with the same names at its top."""
    if exact_key("", first) == exact_key("", second):
        return True
    # an entry point by another name is the whole correction of some failures, and canonical form renames it away
    if set(_DEFINES.findall(first)) != set(_DEFINES.findall(second)):
        return False
    code = canonical_code(first)
    return code is not None and code == canonical_code(second)


def verify_second(failed: Sequence[Failed], made: Sequence[Attempt], verifiers: Verifiers) -> list[Judged]:
    """Verdicts of the corrections, in order; copies keep the failure of what they repeat."""
    copies = [
        attempt.finish_reason == "stop" and is_copy(one.attempt.text, attempt.text)
        for one, attempt in zip(failed, made, strict=True)
    ]
    fresh = [i for i, copy in enumerate(copies) if not copy]
    words = iter(verify_with_retry([failed[i].task for i in fresh], [made[i] for i in fresh], verifiers))
    return [_kept(one) if copy else next(words) for one, copy in zip(failed, copies, strict=True)]


def _kept(failed: Failed) -> Judged:
    reason = f"repeats attempt {failed.attempt.attempt}"
    return Judged((Verdict(verifier=COPY, outcome=failed.outcome, reason=reason),), failed.outcome)


def _second_attempts(ctx: RoundContext, backend: Backend, failed: Sequence[Failed], chunk: Chunk) -> list[Attempt]:
    if not failed:
        return []
    sampling, most = sampling_of(ctx), ctx.config.verify.max_error_share
    sampler, origin = sampling.model_dump(mode="json"), ctx.resources.origin
    found = complete_all(backend, [one.request for one in failed], 1, sampling, chunk.seed)
    lost = [row[0] for row in found if row[0].finish_reason == "error"]
    refuse_outage("correct", chunk, len(lost), len(found), most, (lost[0].error or "?") if lost else "")
    return [
        attempt_of(one.task.id, one.number, row[0], sampler, backend.identity, chunk.id, ctx.number, origin).model_copy(
            update={"turn": 1, "parent": one.attempt.attempt}
        )
        for one, row in zip(failed, found, strict=True)
    ]
