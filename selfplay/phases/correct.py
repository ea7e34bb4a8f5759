"""The phase `correct`: gives failed attempts a second try, with the evidence of their failure in the prompt, and judges the result.

All ranks share its chunks. Reads the chunks of `generate` and `verify`; writes `correct/chunk-NNNNN.jsonl` with one row per
correction (request, attempt and verdicts; chunk i corrects the attempts of generation's chunk i), and `correct/DONE`.

An attempt that was cut off, or that an outage left without outcome, gets no second try, since it is not known to be wrong. A
correction that repeats the attempt it corrects keeps that attempt's outcome and is not judged: judging the same failure again
until it passes would reward flaky tests.
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
from selfplay.runtime.attempts import (
    COPY,
    VerifiedAttempt,
    Verifiers,
    attempt_of,
    complete_all,
    is_outage,
    passed,
    row_of,
    verify_with_retry,
)
from selfplay.runtime.chunk_runner import Json, refuse_outage, run_chunks
from selfplay.runtime.context import RoundContext
from selfplay.seeds import seed_of
from selfplay.store import Chunk, ChunkFolder
from selfplay.verify import Judged
from selfplay.verify.math import StepOutcome, check_steps

Template = Literal["chat", "plain"]
_STEPS = 40
_DEFINES = re.compile(r"^(?:async def|def|class) +(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Failed:
    """A failed attempt, and the request for its correction."""

    task: Task
    attempt: Attempt
    outcome: Outcome
    number: int
    """The attempt number that the correction gets."""
    request: Request


def correct(ctx: RoundContext) -> None:
    """Writes one row per correction: the attempt (turn 1, `parent` is the number of the failed one), its verdicts and outcome."""
    section, student = ctx.config.correct, ctx.identity("correct")
    template = ctx.config.generate.backend.prompt_form(ctx.config.student)
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

    # one chunk for each of generation's; its members are the numbers of the rows that it reads
    chunks = [
        Chunk(
            one.id,
            tuple(map(str, range(one.rows))),
            seed_of(ctx.config.seed, ctx.number, "correct", one.id),
            digest([student, template, one.sha256, judged.sha256]),
        )
        for one, judged in zip(attempts.chunks, verified.chunks, strict=True)
    ]
    run_chunks(
        "correct",
        ChunkFolder(ctx.at("correct"), chunks),
        open_both,
        work,
        ranks=ctx.ranks,
        progress=ctx.progress,
        accepted=lambda row: passed(row["outcome"]),
    )


def sampling_of(ctx: RoundContext) -> Sampling:
    """How corrections are sampled: like attempts, except for the settings that `correct` overrides."""
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
    """The failed attempts that get a second try, in order. `rows`: the attempts of a chunk with their verdicts, grouped by task."""
    counts = Counter(attempt.task_id for attempt, _ in rows)
    taken: Counter[str] = Counter()
    requests = []
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
        requests.append(Failed(task, attempt, verified.outcome, counts[task.id] + taken[task.id], request))
        taken[task.id] += 1
    return requests


def wrong_step(text: str) -> str | None:
    """The first line whose calculation is known to be wrong; None if there is none."""
    lines = [line for line in text.splitlines() if line.strip()][:_STEPS]
    checked = check_steps(lines)
    return next((lines[one.index] for one in checked if one.outcome is StepOutcome.WRONG), None)


def is_copy(first: str, second: str) -> bool:
    """Whether a second attempt repeats the first: the same text, or the same program with the same top-level names."""
    if exact_key("", first) == exact_key("", second):
        return True
    # some failures are corrected by the right name of the entry point alone, which the canonical form would ignore
    if set(_DEFINES.findall(first)) != set(_DEFINES.findall(second)):
        return False
    code = canonical_code(first)
    return code is not None and code == canonical_code(second)


def verify_second(failed: Sequence[Failed], made: Sequence[Attempt], verifiers: Verifiers) -> list[Judged]:
    """The verdicts on the corrections, in order; a copy keeps the outcome of the attempt that it repeats."""
    copies = [
        attempt.finish_reason == "stop" and is_copy(one.attempt.text, attempt.text)
        for one, attempt in zip(failed, made, strict=True)
    ]
    fresh = [i for i, copy in enumerate(copies) if not copy]
    judged = iter(verify_with_retry([failed[i].task for i in fresh], [made[i] for i in fresh], verifiers))
    return [_copy_verdict(one) if copy else next(judged) for one, copy in zip(failed, copies, strict=True)]


def _copy_verdict(failed: Failed) -> Judged:
    reason = f"repeats attempt {failed.attempt.attempt}"
    return Judged((Verdict(verifier=COPY, outcome=failed.outcome, reason=reason),), failed.outcome)


def _second_attempts(ctx: RoundContext, backend: Backend, failed: Sequence[Failed], chunk: Chunk) -> list[Attempt]:
    if not failed:
        return []
    sampling, most = sampling_of(ctx), ctx.config.verify.max_error_share
    sampler, origin = sampling.model_dump(mode="json"), ctx.resources.origin
    completions = complete_all(backend, [one.request for one in failed], 1, sampling, chunk.seed, ctx.progress)
    failures = [row[0] for row in completions if row[0].finish_reason == "error"]
    example = (failures[0].error or "?") if failures else ""
    refuse_outage("correct", chunk, len(failures), len(completions), most, example)
    return [
        attempt_of(one.task.id, one.number, row[0], sampler, backend.identity, chunk.id, ctx.number, origin).model_copy(
            update={"turn": 1, "parent": one.attempt.attempt}
        )
        for one, row in zip(failed, completions, strict=True)
    ]
