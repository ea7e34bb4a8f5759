"""The phase `generate`: samples the student's attempts at the round's tasks, `generate.samples_per_task` for each.

All ranks share its chunks of tasks. Reads the tasks of `propose` and `synthesize` and the parent's weights; writes the attempts to
`generate/chunk-NNNNN.jsonl`, and `generate/DONE`.
"""

from collections.abc import Sequence

from selfplay.models import Backend
from selfplay.records import Attempt, Completion, Request, Sampling
from selfplay.runtime.attempts import attempt_of, complete_all
from selfplay.runtime.chunk_runner import plan, refuse_outage, run_chunks
from selfplay.runtime.context import RoundContext
from selfplay.seeds import seed_of
from selfplay.store import Chunk, ChunkFolder


def generate(ctx: RoundContext) -> None:
    """Writes chunks of attempts, sorted by task and attempt number."""
    section, sampling, student = ctx.config.generate, ctx.sampling, ctx.identity("generate")
    sampler, origin, counts = sampling.model_dump(mode="json"), ctx.resources.origin, samples_of(ctx)

    def work(backend: Backend, chunk: Chunk) -> list[Attempt]:
        with ctx.progress.timed("generate"):
            requests = [(Request.of(ctx.tasks[name]), counts[name]) for name in chunk.members]
            completions = _sampled(backend, requests, sampling, chunk.seed)
        failed = [c for row in completions for c in row if c.finish_reason == "error"]
        example = failed[0].error or "?" if failed else ""
        refuse_outage(
            "generate", chunk, len(failed), sum(map(len, completions)), ctx.config.verify.max_error_share, example
        )
        return [
            attempt_of(task_id, number, completion, sampler, backend.identity, chunk.id, ctx.number, origin)
            for task_id, row in zip(chunk.members, completions, strict=True)
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
    """The number of attempts for each task, by id; tasks up to the curriculum's level may get fewer."""
    section, level = ctx.config.generate, ctx.level
    mastered = section.samples_mastered or section.samples_per_task
    return {
        name: mastered if level is not None and (task.difficulty or 0) <= level else section.samples_per_task
        for name, task in ctx.tasks.items()
    }


def _sampled(
    backend: Backend, requests: Sequence[tuple[Request, int]], sampling: Sampling, seed: int
) -> list[list[Completion]]:
    """Completions for each request, in the numbers given; requests with equal numbers are sampled in one batch."""
    completions: dict[str, list[Completion]] = {}
    for n in sorted({count for _, count in requests}):
        group = [request for request, count in requests if count == n]
        rows = complete_all(backend, group, n, sampling, seed_of(seed, n))
        completions |= {request.task_id: row for request, row in zip(group, rows, strict=True)}
    return [completions[request.task_id] for request, _ in requests]
