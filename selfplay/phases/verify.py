"""The phase `verify`: judges every attempt with the verifiers that its task's check names.

All ranks share its chunks. Reads the chunks of `generate`; writes `verify/chunk-NNNNN.jsonl` with one `VerifiedAttempt` per
attempt, in the same order, and `verify/DONE`.
"""

from collections import Counter

from selfplay.records import Attempt, Outcome
from selfplay.runtime.attempts import VerifiedAttempt, Verifiers, is_outage, outage_example, passed, verify_with_retry
from selfplay.runtime.chunk_runner import refuse_outage, run_chunks
from selfplay.runtime.context import RoundContext
from selfplay.store import Chunk, ChunkFolder, FinishedChunks
from selfplay.verify.python_function import AT, RAISED


def verify(ctx: RoundContext) -> None:
    """Writes one `VerifiedAttempt` per attempt, in the order of the attempts."""
    attempts = ctx.finished("generate")

    def work(verifiers: Verifiers, chunk: Chunk) -> list[VerifiedAttempt]:
        rows = attempts.read(chunk.id).records(Attempt)
        with ctx.progress.timed("verify"):
            judged = verify_with_retry([ctx.tasks[a.task_id] for a in rows], rows, verifiers)
        failed = [j for j in judged if is_outage(j)]
        refuse_outage(
            "verify", chunk, len(failed), len(judged), ctx.config.verify.max_error_share, outage_example(failed)
        )
        return [VerifiedAttempt.of(attempt, one) for attempt, one in zip(rows, judged, strict=True)]

    # members are row numbers; the key of a chunk includes the content of generation's chunk
    chunks = [Chunk(one.id, tuple(map(str, range(one.rows))), 0, one.sha256) for one in attempts.chunks]
    folder = ChunkFolder(ctx.at("verify"), chunks)
    was_done = folder.done() is not None
    run_chunks(
        "verify",
        folder,
        ctx.resources.verifiers,
        work,
        ranks=ctx.ranks,
        progress=ctx.progress,
        accepted=lambda row: passed(row.outcome),
    )
    if ctx.ranks.is_main and not was_done:
        for line in raised_in(ctx.finished("verify")):
            ctx.progress.note(line)


def raised_in(verified: FinishedChunks) -> list[str]:
    """Notes on attempts without outcome because a function of the user's raised on them: one line per kind of exception."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for row in (row for rows in verified.iter_records(VerifiedAttempt) for row in rows):
        raised = [verdict for verdict in row.verdicts if RAISED in verdict.details]
        for verdict in raised if row.outcome is Outcome.ERROR else ():
            name, place = str(verdict.details[RAISED]), str(verdict.details.get(AT, ""))
            counts[verdict.verifier.rpartition("/")[0], name, place] += 1
    return [
        f"verify: {count} attempt{'s' * (count > 1)} of this round without an outcome: {name} of {verifier} ({place})"
        for (verifier, name, place), count in sorted(counts.items())
    ]
