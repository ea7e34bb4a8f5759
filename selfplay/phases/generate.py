"""Floor 4: the student's attempts, k a task, in chunks of tasks sharded over the ranks."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from selfplay.config.tree import Generate
from selfplay.models import Backend
from selfplay.phases.attempts import Origin, attempt_of, complete_all
from selfplay.phases.chunked import plan, refuse_outage, run_chunks
from selfplay.phases.watch import Watch
from selfplay.ranks import Ranks
from selfplay.records import Attempt, Completion, Request, Sampling, Task
from selfplay.seeds import seed_of
from selfplay.store import Chunk, ChunkFolder


def generate(
    section: Generate,
    tasks: Sequence[Task],
    *,
    sampling: Sampling,
    student: str,
    open_backend: Callable[[], AbstractContextManager[Backend]],
    max_error_share: float,
    seed: int,
    round: int,
    out: Path,
    ranks: Ranks,
    watch: Watch,
    mastered: Collection[str] = (),
    origin: Origin = "student",
) -> None:
    """Writes chunks of attempts, sorted by (task, attempt). `student` is the identity of the weights that write.

    `mastered`: ids of tasks up to the curriculum's edge, which get `samples_mastered` attempts.
    """
    by_id = {task.id: task for task in tasks}
    few = section.samples_mastered or section.samples
    counts = {task.id: few if task.id in mastered else section.samples for task in tasks}

    def work(backend: Backend, chunk: Chunk) -> list[Attempt]:
        with watch.inside("generate"):
            found = _drawn(backend, [by_id[name] for name in chunk.members], counts, sampling, chunk.seed)
        lost = [c for row in found for c in row if c.finish_reason == "error"]
        refuse_outage(
            "generate", chunk, len(lost), sum(map(len, found)), max_error_share, lost[0].error or "?" if lost else ""
        )
        return [
            attempt_of(task_id, number, completion, sampling, backend.identity, chunk.id, round, origin)
            for task_id, row in zip(chunk.members, found, strict=True)
            for number, completion in enumerate(row)
        ]

    run_chunks(
        "generate", folder_of(section, tasks, student, seed, round, out), open_backend, work, ranks=ranks, watch=watch
    )


def _drawn(
    backend: Backend, tasks: Sequence[Task], counts: Mapping[str, int], sampling: Sampling, seed: int
) -> list[list[Completion]]:
    """Each task's completions, as many as it is to have; tasks of one number are drawn together."""
    found: dict[str, list[Completion]] = {}
    for n in sorted({counts[task.id] for task in tasks}):
        group = [task for task in tasks if counts[task.id] == n]
        rows = complete_all(backend, [Request.of(task) for task in group], n, sampling, seed_of(seed, n))
        found |= {task.id: row for task, row in zip(group, rows, strict=True)}
    return [found[task.id] for task in tasks]


def folder_of(section: Generate, tasks: Sequence[Task], student: str, seed: int, round: int, out: Path) -> ChunkFolder:
    """The phase's chunks: the same on every rank and at every start."""
    members = [task.id for task in tasks]
    return ChunkFolder(
        out, plan(members, section.chunk_tasks, lambda n: seed_of(seed, round, "generate", n), lambda n: student)
    )
