"""Floor 4: a verdict for every attempt, in the chunks that generation made."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from selfplay.config.tree import Verify
from selfplay.phases.chunked import Json, refuse_outage, run_chunks
from selfplay.phases.judging import Verifiers, judge_all, row_of
from selfplay.phases.watch import Watch
from selfplay.ranks import Ranks
from selfplay.records import Attempt, Outcome, Task, digest
from selfplay.store import Chunk, ChunkFolder
from selfplay.verify import Judged


def verify_attempts(
    section: Verify,
    tasks: Sequence[Task],
    attempts: ChunkFolder,
    *,
    open_verifiers: Callable[[], AbstractContextManager[Verifiers]],
    out: Path,
    ranks: Ranks,
    watch: Watch,
) -> None:
    """Writes one row an attempt: task_id, attempt, verdicts, outcome."""
    by_id = {task.id: task for task in tasks}

    def work(verifiers: Verifiers, chunk: Chunk) -> list[Json]:
        rows = [Attempt.model_validate(row) for row in attempts.read(attempts.chunks[chunk.id]) or []]
        with watch.inside("verify"):
            judged = judge_all([by_id[a.task_id] for a in rows], rows, verifiers)
        broken = [j for j in judged if j.outcome is Outcome.ERROR]
        refuse_outage("verify", chunk, len(broken), len(judged), section.max_error_share, _why(broken))
        return [row_of(attempt, one) for attempt, one in zip(rows, judged, strict=True)]

    folder = folder_of(attempts, out)
    passed = Outcome.PASS.value
    run_chunks(
        "verify",
        folder,
        open_verifiers,
        work,
        ranks=ranks,
        watch=watch,
        accepted=lambda row: bool(row["outcome"] == passed),
    )


def folder_of(attempts: ChunkFolder, out: Path) -> ChunkFolder:
    """One chunk for each of generation's, made from its very content: members are attempts."""
    chunks = []
    for chunk, rows in attempts.each():
        members = tuple(f"{row['task_id']}/{row['attempt']}" for row in rows)
        chunks.append(Chunk(chunk.id, members, 0, digest([row["text"] for row in rows])))
    return ChunkFolder(out, chunks)


def _why(broken: Sequence[Judged]) -> str:
    reasons = [v.reason or v.verifier for one in broken for v in one.verdicts if v.outcome is Outcome.ERROR]
    return reasons[0] if reasons else ""
