"""Floor 5: failed attempts tried once more with the evidence of their failure, and the new attempts verified afresh.

Chunk i holds the corrections of generation's chunk i, attempts and verdicts together, so that it is there whole or owed.
What was cut off or lost to an outage is not tried again: nothing is known to be wrong with it. A correction that repeats
the attempt it corrects keeps that attempt's failure and is asked of no verifier: judging a failure again until it passes
would let a flaky test in.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from selfplay.config.tree import Correct
from selfplay.curate.solution_key import canonical_code, exact_key
from selfplay.models import Backend
from selfplay.prompts.correction import evidence_of, request_of
from selfplay.records import Attempt, Outcome, Request, Sampling, Task, Verdict, digest
from selfplay.runtime.chunk_runner import Json, refuse_outage, run_chunks
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.progress import Progress
from selfplay.runtime.sampling import Origin, attempt_of, complete_all
from selfplay.runtime.verified import COPY, Verifiers, is_outage, row_of, verify_with_retry
from selfplay.seeds import seed_of
from selfplay.store import Chunk, ChunkFolder
from selfplay.tasks.book import TaskBook
from selfplay.verify import Judged
from selfplay.verify.math import StepOutcome, check_steps

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


def correct(
    section: Correct,
    tasks: TaskBook,
    attempts: ChunkFolder,
    judged: ChunkFolder,
    *,
    sampling: Sampling,
    template: Literal["chat", "plain"],
    student: str,
    open_backend: Callable[[], AbstractContextManager[Backend]],
    open_verifiers: Callable[[], AbstractContextManager[Verifiers]],
    max_error_share: float,
    seed: int,
    round: int,
    out: Path,
    ranks: Ranks,
    progress: Progress,
    origin: Origin = "student",
) -> None:
    """Writes one row a correction: the attempt (turn 1, its parent's number) with its verdicts and outcome."""

    @contextmanager
    def open_both() -> Iterator[tuple[Backend, Verifiers]]:
        with open_backend() as backend, open_verifiers() as verifiers:
            yield backend, verifiers

    def work(tools: tuple[Backend, Verifiers], chunk: Chunk) -> list[Json]:
        source = attempts.chunks[chunk.id]
        rows = zip(attempts.read(source) or [], judged.read(judged.chunks[chunk.id]) or [], strict=True)
        failed = failed_of(section, tasks, list(rows), template)
        with progress.timed("correct"):
            made = _second(tools[0], failed, sampling, chunk, round, max_error_share, origin)
            words = judge_second(failed, made, tools[1])
        broken = sum(map(is_outage, words))
        refuse_outage("correct", chunk, broken, len(words), max_error_share, "verdicts are error")
        return [
            {"made": a.model_dump(mode="json"), "asked": f.request.model_dump(mode="json"), **row_of(a, one)}
            for f, a, one in zip(failed, made, words, strict=True)
        ]

    folder = folder_of(section, tasks, attempts, judged, template, student, seed, round, out)
    passed = Outcome.PASS.value
    run_chunks(
        "correct",
        folder,
        open_both,
        work,
        ranks=ranks,
        progress=progress,
        accepted=lambda row: bool(row["outcome"] == passed),
    )


def folder_of(
    section: Correct,
    tasks: TaskBook,
    attempts: ChunkFolder,
    judged: ChunkFolder,
    template: Literal["chat", "plain"],
    student: str,
    seed: int,
    round: int,
    out: Path,
) -> ChunkFolder:
    """One chunk for each of generation's, made from the very prompts it asks; it may be empty."""
    chunks = []
    for (chunk, rows), (_, words) in zip(attempts.each(), judged.each(), strict=True):
        failed = failed_of(section, tasks, list(zip(rows, words, strict=True)), template)
        members = tuple(f"{f.task.id}/{f.number}" for f in failed)
        asked = [student, [f.request.model_dump(mode="json") for f in failed]]
        chunks.append(Chunk(chunk.id, members, seed_of(seed, round, "correct", chunk.id), digest(asked)))
    return ChunkFolder(out, chunks)


def failed_of(
    section: Correct,
    tasks: TaskBook,
    rows: Sequence[tuple[Json, Json]],
    template: Literal["chat", "plain"] = "plain",
) -> list[Failed]:
    """What is tried again, in order. `rows`: attempts of a chunk with their verdict rows; attempts of a task together."""
    counts = Counter(row["task_id"] for row, _ in rows)
    taken: Counter[str] = Counter()
    found = []
    for row, said in rows:
        task, outcome = tasks.named(row["task_id"]), Outcome(said["outcome"])
        full = section.per_task is not None and taken[task.id] >= section.per_task
        if full or outcome not in (Outcome.FAIL, Outcome.INVALID) or row["finish_reason"] != "stop":
            continue
        attempt = Attempt.model_validate(row)
        verdicts = [Verdict.model_validate(verdict) for verdict in said["verdicts"]]
        math = any(verdict.verifier.startswith("math/") for verdict in verdicts)
        step = wrong_step(attempt.text) if math else None
        evidence = evidence_of(task, verdicts, step, section.evidence_chars)
        request = request_of(task, attempt.attempt, attempt.text, evidence, template)
        found.append(Failed(task, attempt, outcome, counts[task.id] + taken[task.id], request))
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


def judge_second(failed: Sequence[Failed], made: Sequence[Attempt], verifiers: Verifiers) -> list[Judged]:
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


def _second(
    backend: Backend,
    failed: Sequence[Failed],
    sampling: Sampling,
    chunk: Chunk,
    round: int,
    max_error_share: float,
    origin: Origin,
) -> list[Attempt]:
    if not failed:
        return []
    sampler = sampling.model_dump(mode="json")
    found = complete_all(backend, [one.request for one in failed], 1, sampling, chunk.seed)
    lost = [row[0] for row in found if row[0].finish_reason == "error"]
    refuse_outage("correct", chunk, len(lost), len(found), max_error_share, (lost[0].error or "?") if lost else "")
    return [
        attempt_of(one.task.id, one.number, row[0], sampler, backend.identity, chunk.id, round, origin).model_copy(
            update={"turn": 1, "parent": one.attempt.attempt}
        )
        for one, row in zip(failed, found, strict=True)
    ]
