"""The phase `generate`: samples the student's attempts at the round's tasks, `generate.samples_per_task` for each.

All ranks share its chunks of tasks. Reads the tasks of `propose` and `synthesize` and the parent's weights; writes the attempts to
`generate/chunk-NNNNN.jsonl`, and `generate/DONE`.
"""

from collections.abc import Iterable, Iterator

from selfplay.models import Backend, PromptBatch
from selfplay.records import Attempt, Completion, Request
from selfplay.runtime.attempts import attempt_of, complete_each
from selfplay.runtime.chunk_runner import plan, refuse_outage, stream_chunks
from selfplay.runtime.context import RoundContext
from selfplay.seeds import seed_of
from selfplay.store import Chunk, ChunkFolder


def generate(ctx: RoundContext) -> None:
    """Writes chunks of attempts, sorted by task and attempt number."""
    section, student, counts = ctx.config.generate, ctx.identity("generate"), samples_of(ctx)

    def work(backend: Backend, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, list[Attempt]]]:
        begun: dict[str, tuple[Chunk, dict[str, list[Completion]]]] = {}

        def batches() -> Iterator[PromptBatch]:
            for chunk in chunks:
                begun.update(dict.fromkeys(chunk.members, (chunk, {})))
                yield from _batches(ctx, chunk, counts)

        sampled = complete_each(backend, batches(), ctx.sampling, ctx.progress)
        for batch, rows in ctx.progress.timed_each("generate", sampled):
            chunk, completions = begun[batch.requests[0].task_id]
            completions |= {request.task_id: row for request, row in zip(batch.requests, rows, strict=True)}
            if len(completions) == len(chunk.members):
                for name in chunk.members:
                    del begun[name]
                yield chunk, _attempts(ctx, backend, chunk, completions)

    chunks = plan(
        list(ctx.tasks),
        section.chunk_tasks,
        seed=lambda n: seed_of(ctx.config.seed, ctx.number, "generate", n),
        inputs=lambda n: student,
    )
    stream_chunks(
        "generate",
        ChunkFolder(ctx.at("generate"), chunks),
        lambda: ctx.resources.sampler(ctx.student, student),
        work,
        ranks=ctx.ranks,
        progress=ctx.progress,
        size=counts.__getitem__,
    )


def _batches(ctx: RoundContext, chunk: Chunk, counts: dict[str, int]) -> list[PromptBatch]:
    """The tasks of a chunk, those with equal numbers of samples in one batch."""
    return [
        PromptBatch([Request.of(ctx.tasks[m]) for m in chunk.members if counts[m] == n], n, seed_of(chunk.seed, n))
        for n in sorted({counts[m] for m in chunk.members})
    ]


def _attempts(
    ctx: RoundContext, backend: Backend, chunk: Chunk, completions: dict[str, list[Completion]]
) -> list[Attempt]:
    """The rows of a chunk. Raises OutageError if too many of its completions failed."""
    sampled = [one for name in chunk.members for one in completions[name]]
    failed = [one for one in sampled if one.finish_reason == "error"]
    example = failed[0].error or "?" if failed else ""
    refuse_outage("generate", chunk, len(failed), len(sampled), ctx.config.verify.max_error_share, example)
    sampler, origin = ctx.sampling.model_dump(mode="json"), ctx.resources.origin
    return [
        attempt_of(name, number, completion, sampler, backend.identity, chunk.id, ctx.number, origin)
        for name in chunk.members
        for number, completion in enumerate(completions[name])
    ]


def samples_of(ctx: RoundContext) -> dict[str, int]:
    """The number of attempts for each task, by id; tasks up to the curriculum's level may get fewer."""
    section, level = ctx.config.generate, ctx.level
    mastered = section.samples_mastered or section.samples_per_task
    return {
        name: mastered if level is not None and (task.difficulty or 0) <= level else section.samples_per_task
        for name, task in ctx.tasks.items()
    }
