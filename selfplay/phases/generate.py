"""Floor 5: the student's attempts, k a task, in chunks of tasks sharded over the ranks."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from selfplay.config.tree import Generate
from selfplay.models import Backend
from selfplay.records import Attempt, Completion, Request, Sampling
from selfplay.runtime.chunk_runner import plan, refuse_outage, run_chunks
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.progress import Progress
from selfplay.runtime.sampling import Origin, attempt_of, complete_all
from selfplay.seeds import seed_of
from selfplay.store import Chunk, ChunkFolder
from selfplay.tasks.book import TaskBook


def generate(
    section: Generate,
    tasks: TaskBook,
    *,
    sampling: Sampling,
    student: str,
    open_backend: Callable[[], AbstractContextManager[Backend]],
    max_error_share: float,
    seed: int,
    round: int,
    out: Path,
    ranks: Ranks,
    progress: Progress,
    mastered: Collection[str] = (),
    origin: Origin = "student",
) -> None:
    """Writes chunks of attempts, sorted by (task, attempt). `student` is the identity of the weights that write.

    `mastered`: ids of tasks up to the curriculum's edge, which get `samples_mastered` attempts.
    """
    few, sampler = section.samples_mastered or section.samples, sampling.model_dump(mode="json")

    def count(name: str) -> int:
        return few if name in mastered else section.samples

    def work(backend: Backend, chunk: Chunk) -> list[Attempt]:
        with progress.timed("generate"):
            asked = [(Request.of(tasks.named(name)), count(name)) for name in chunk.members]
            found = _drawn(backend, asked, sampling, chunk.seed)
        lost = [c for row in found for c in row if c.finish_reason == "error"]
        refuse_outage(
            "generate", chunk, len(lost), sum(map(len, found)), max_error_share, lost[0].error or "?" if lost else ""
        )
        return [
            attempt_of(task_id, number, completion, sampler, backend.identity, chunk.id, round, origin)
            for task_id, row in zip(chunk.members, found, strict=True)
            for number, completion in enumerate(row)
        ]

    run_chunks(
        "generate",
        folder_of(section, tasks, student, seed, round, out),
        open_backend,
        work,
        ranks=ranks,
        progress=progress,
    )


def _drawn(
    backend: Backend, asked: Sequence[tuple[Request, int]], sampling: Sampling, seed: int
) -> list[list[Completion]]:
    """Completions of each request, as many as it is to have; requests of one number are drawn together."""
    found: dict[str, list[Completion]] = {}
    for n in sorted({count for _, count in asked}):
        group = [request for request, count in asked if count == n]
        rows = complete_all(backend, group, n, sampling, seed_of(seed, n))
        found |= {request.task_id: row for request, row in zip(group, rows, strict=True)}
    return [found[request.task_id] for request, _ in asked]


def folder_of(section: Generate, tasks: TaskBook, student: str, seed: int, round: int, out: Path) -> ChunkFolder:
    """The phase's chunks: the same on every rank and at every start."""
    return ChunkFolder(
        out, plan(tasks.ids, section.chunk_tasks, lambda n: seed_of(seed, round, "generate", n), lambda n: student)
    )
