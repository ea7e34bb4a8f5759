"""The attempts at the round's tasks, several a task, in chunks of tasks that the ranks share."""

from collections.abc import Sequence

from selfplay.models import Backend
from selfplay.records import Attempt, Completion, Request, Sampling
from selfplay.runtime.chunk_runner import plan, refuse_outage, run_chunks
from selfplay.runtime.context import RoundContext
from selfplay.runtime.sampling import attempt_of, complete_all
from selfplay.seeds import seed_of
from selfplay.store import Chunk, ChunkFolder


def generate(ctx: RoundContext) -> None:
    """Writes chunks of attempts, sorted by task and attempt number."""
    section, sampling, student = ctx.config.generate, ctx.sampling, ctx.identity("generate")
    sampler, origin, counts = sampling.model_dump(mode="json"), ctx.resources.origin, samples_of(ctx)

    def work(backend: Backend, chunk: Chunk) -> list[Attempt]:
        with ctx.progress.timed("generate"):
            asked = [(Request.of(ctx.tasks[name]), counts[name]) for name in chunk.members]
            found = _drawn(backend, asked, sampling, chunk.seed)
        lost = [c for row in found for c in row if c.finish_reason == "error"]
        example = lost[0].error or "?" if lost else ""
        refuse_outage("generate", chunk, len(lost), sum(map(len, found)), ctx.config.verify.max_error_share, example)
        return [
            attempt_of(task_id, number, completion, sampler, backend.identity, chunk.id, ctx.number, origin)
            for task_id, row in zip(chunk.members, found, strict=True)
            for number, completion in enumerate(row)
        ]

    chunks = plan(
        list(ctx.tasks),
        section.chunk_tasks,
        seed=lambda n: seed_of(ctx.config.seed, ctx.number, "generate", n),
        inputs=lambda n: student,
    )
    run_chunks(
        "generate",
        ChunkFolder(ctx.at("generate"), chunks),
        lambda: ctx.resources.sampler(ctx.student, student),
        work,
        ranks=ctx.ranks,
        progress=ctx.progress,
    )


def samples_of(ctx: RoundContext) -> dict[str, int]:
    """How many attempts each task gets; tasks up to the curriculum's level may get fewer."""
    section, level = ctx.config.generate, ctx.level
    mastered = section.samples_mastered or section.samples_per_task
    return {
        name: mastered if level is not None and (task.difficulty or 0) <= level else section.samples_per_task
        for name, task in ctx.tasks.items()
    }


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
