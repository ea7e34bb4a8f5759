"""The phase `generate`: samples the student's attempts at the round's tasks, `generate.samples_per_task` for each.

All ranks share its chunks of tasks. Reads the tasks of `propose` and `synthesize` and the parent's weights; writes the attempts to
`generate/chunk-NNNNN.jsonl`, and `generate/DONE`.
"""

from selfplay.models import Backend
from selfplay.records import Attempt, Completion, Request
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
        completions: dict[str, list[Completion]] = {}
        with ctx.progress.timed("generate"):
            for n in sorted({counts[name] for name in chunk.members}):  # tasks with equal numbers go in one batch
                group = [name for name in chunk.members if counts[name] == n]
                requests = [Request.of(ctx.tasks[name]) for name in group]
                rows = complete_all(backend, requests, n, sampling, seed_of(chunk.seed, n), ctx.progress)
                completions |= dict(zip(group, rows, strict=True))
        sampled = [one for name in chunk.members for one in completions[name]]
        failed = [one for one in sampled if one.finish_reason == "error"]
        example = failed[0].error or "?" if failed else ""
        refuse_outage("generate", chunk, len(failed), len(sampled), ctx.config.verify.max_error_share, example)
        return [
            attempt_of(name, number, completion, sampler, backend.identity, chunk.id, ctx.number, origin)
            for name in chunk.members
            for number, completion in enumerate(completions[name])
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
        size=counts.__getitem__,
    )


def samples_of(ctx: RoundContext) -> dict[str, int]:
    """The number of attempts for each task, by id; tasks up to the curriculum's level may get fewer."""
    section, level = ctx.config.generate, ctx.level
    mastered = section.samples_mastered or section.samples_per_task
    return {
        name: mastered if level is not None and (task.difficulty or 0) <= level else section.samples_per_task
        for name, task in ctx.tasks.items()
    }
