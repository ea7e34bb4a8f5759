"""Floor 5: a verdict for every attempt, in the chunks that generation made."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path

from selfplay.config.tree import Verify
from selfplay.records import Attempt, Outcome
from selfplay.runtime.chunk_runner import refuse_outage, run_chunks
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.progress import Progress
from selfplay.runtime.verified import VerifiedAttempt, Verifiers, is_outage, verify_with_retry
from selfplay.store import Chunk, ChunkFolder
from selfplay.tasks.book import TaskBook
from selfplay.verify import Judged
from selfplay.verify.custom import AT, RAISED

_MARK = f'"{RAISED}"'.encode()


def verify_attempts(
    section: Verify,
    tasks: TaskBook,
    attempts: ChunkFolder,
    *,
    open_verifiers: Callable[[], AbstractContextManager[Verifiers]],
    out: Path,
    ranks: Ranks,
    progress: Progress,
) -> None:
    """Writes one row an attempt, a `Said`."""

    def work(verifiers: Verifiers, chunk: Chunk) -> list[VerifiedAttempt]:
        body = attempts.body(attempts.chunks[chunk.id])
        rows = body.records(Attempt) if body else []
        with progress.timed("verify"):
            judged = verify_with_retry([tasks.named(a.task_id) for a in rows], rows, verifiers)
        broken = [j for j in judged if is_outage(j)]
        refuse_outage("verify", chunk, len(broken), len(judged), section.max_error_share, _why(broken))
        return [VerifiedAttempt.of(attempt, one) for attempt, one in zip(rows, judged, strict=True)]

    folder = folder_of(attempts, out)
    was_done = folder.done() is not None
    run_chunks(
        "verify",
        folder,
        open_verifiers,
        work,
        ranks=ranks,
        progress=progress,
        accepted=lambda said: said.outcome is Outcome.PASS,
    )
    if ranks.is_main and not was_done:
        for line in raised_in(folder):
            progress.note(line)


def raised_in(folder: ChunkFolder) -> list[str]:
    """How many attempts have no outcome since a verifier of the user's raised on them: a line a kind, over all ranks' chunks."""
    counts: Counter[tuple[str, str, str]] = Counter()
    # as good as all lines hold no such word, and are not parsed
    marked = (line for _, body in folder.bodies() for line in body.lines if _MARK in line)
    for said in map(VerifiedAttempt.from_line, marked):
        raised = [verdict for verdict in said.verdicts if RAISED in verdict.details]
        for verdict in raised if said.outcome is Outcome.ERROR else ():
            name, place = str(verdict.details[RAISED]), str(verdict.details.get(AT, ""))
            counts[verdict.verifier.rpartition("/")[0], name, place] += 1
    return [
        f"verify: {count} attempt{'s' * (count > 1)} of this round without an outcome: {name} of {verifier} ({place})"
        for (verifier, name, place), count in sorted(counts.items())
    ]


def folder_of(attempts: ChunkFolder, out: Path) -> ChunkFolder:
    """One chunk for each of generation's, made from its very content: members are attempts, by their places."""
    chunks = [Chunk(chunk.id, _places(len(body.lines)), 0, body.sha256) for chunk, body in attempts.bodies()]
    return ChunkFolder(out, chunks)


@lru_cache(8)
def _places(count: int) -> tuple[str, ...]:
    """Names of so many places; chunks of one size share them."""
    return tuple(map(str, range(count)))


def _why(broken: Sequence[Judged]) -> str:
    reasons = [v.reason or v.verifier for one in broken for v in one.verdicts if v.outcome is Outcome.ERROR]
    return reasons[0] if reasons else ""
