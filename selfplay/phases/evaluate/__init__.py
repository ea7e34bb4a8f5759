"""Floor 5: the dev set and the test set under the round's weights: greedy, sampled, and likelihood, in chunks.

Dev tasks are sampled at temperature 1, top-p 1, with the same seeds every round, apart from the training sampler.
What the rows come to is computed in `measures`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from selfplay.config.tree import Evaluate
from selfplay.models import Backend
from selfplay.models.student import Encoder
from selfplay.phases.evaluate import drift, measures
from selfplay.records import Outcome, Request, Sampling, Task
from selfplay.runtime.chunk_runner import Json, refuse_outage, run_chunks
from selfplay.runtime.context import RoundContext
from selfplay.runtime.progress import Progress
from selfplay.runtime.sampling import attempt_of, complete_all
from selfplay.runtime.verified import Verifiers, is_outage, verify_with_retry
from selfplay.seeds import seed_of
from selfplay.store import Chunk, ChunkFolder, read_json, write_json
from selfplay.tasks import Fixed
from selfplay.training.rows import anchor_row

Tools = tuple[Backend, Verifiers, Callable[[], Encoder]]


@dataclass(frozen=True)
class Part:
    """One pass over some tasks."""

    name: str
    """`dev`, `test`, `samples` (of the dev set) or `likelihood` (of human text)."""
    tasks: tuple[Task, ...]
    samples: int
    temperature: float


def evaluate(ctx: RoundContext) -> None:
    """Writes chunks with one row a completion, or a text scored; then the round's figures, and in round 0 what is frozen."""
    _evaluate(ctx)
    if ctx.ranks.is_main:
        _measure(ctx)
    ctx.ranks.barrier("measured")


def _measure(ctx: RoundContext) -> None:
    most = ctx.config.verify.max_error_share
    rows = (row for rows in ctx.finished("evaluate").iter_json() for row in rows)
    first = read_json(ctx.run.phase(0, "evaluate") / "dev.json") if ctx.number else None
    figures, frozen = measures.measure(ctx.config.eval, ctx.resources.source.fixed, rows, first, most)
    write_json(ctx.at("evaluate") / "dev.json", frozen)
    write_json(ctx.at("evaluate") / "metrics.json", figures)
    if lost := [f"{figures[key]} of {key.partition('_')[0]}" for key in measures.ERRORS if figures.get(key)]:
        ctx.note(
            f"evaluation could not judge {', '.join(lost)}; they are left out, and above "
            f"verify.max_error_share = {most} there is no figure"
        )


def _evaluate(ctx: RoundContext) -> None:
    section, fixed, round, progress = ctx.config.eval, ctx.resources.source.fixed, ctx.number, ctx.progress
    model, student, out = ctx.run.model(round), ctx.identity("evaluate"), ctx.at("evaluate")
    max_new_tokens, stop = section.max_new_tokens or ctx.config.generate.max_new_tokens, ctx.config.generate.stop
    max_error_share = ctx.config.verify.max_error_share
    first = ctx.run.phase(0, "evaluate") / "dev.json" if round else None
    parts = {part.name: part for part in parts_of(section, fixed)}

    @contextmanager
    def open_tools() -> Iterator[Tools]:
        with ExitStack() as stack:
            backend = stack.enter_context(ctx.resources.student(model, student, keep=True))
            yield backend, stack.enter_context(ctx.resources.verifiers()), lambda: ctx.resources.encoder(model)

    def work(tools: Tools, chunk: Chunk) -> list[Json]:
        part = parts[chunk.members[0].partition("/")[0]]
        chosen = [tasks_by_member[member] for member in chunk.members]
        if part.name == "likelihood":
            return _score(tools, chosen, progress)
        sampling = Sampling(temperature=part.temperature, max_new_tokens=max_new_tokens, stop=stop)
        rows = _answer(tools, chosen, part, sampling, chunk, round, progress, max_error_share)
        if part.name == "samples":
            with progress.timed("evaluate"):
                rows += drift.score(tools[0], frozen() if first else drift.freeze(rows), [t.id for t in chosen])
        return [{k: v for k, v in row.items() if k not in drift.IDS or row["part"] == drift.PART} for row in rows]

    @cache
    def frozen() -> drift.Frozen:
        return drift.read(first) if first else {}

    tasks_by_member = {f"{part.name}/{task.id}": task for part in parts.values() for task in part.tasks}
    passed = Outcome.PASS.value
    run_chunks(
        "evaluate",
        folder_of(section, fixed, student, out),
        open_tools,
        work,
        ranks=ctx.ranks,
        progress=progress,
        accepted=lambda row: bool(row.get("outcome") == passed),
    )


def parts_of(section: Evaluate, fixed: Fixed) -> list[Part]:
    """What is evaluated, in order."""
    parts = [Part("dev", tuple(fixed.dev), 1, 0.0)]
    if section.samples:
        parts.append(Part("samples", tuple(spread(fixed.dev, section.sample_tasks)), section.samples, 1.0))
    if section.test:
        parts.append(Part("test", tuple(fixed.test), 1, 0.0))
    parts.append(Part("likelihood", tuple(fixed.human_text), 0, 1.0))
    return [part for part in parts if part.tasks]


def spread(tasks: Sequence[Task], count: int | None) -> list[Task]:
    """`count` tasks at even distances: sources lay the dev set out by stratum, so every stratum keeps its share."""
    if count is None or count >= len(tasks):
        return list(tasks)
    return [tasks[i * len(tasks) // count] for i in range(count)]


def folder_of(section: Evaluate, fixed: Fixed, student: str, out: Path) -> ChunkFolder:
    """The phase's chunks: the same on every rank, at every start, and with the same seeds in every round."""
    chunks: list[Chunk] = []
    for part in parts_of(section, fixed):
        members = [f"{part.name}/{task.id}" for task in part.tasks]
        for start in range(0, len(members), section.chunk_tasks):
            piece = tuple(members[start : start + section.chunk_tasks])
            seed = seed_of(section.seed, "evaluate", part.name, start)
            chunks.append(Chunk(len(chunks), piece, seed, f"{student}/{part.samples}"))
    return ChunkFolder(out, chunks)


def _answer(
    tools: Tools,
    tasks: Sequence[Task],
    part: Part,
    sampling: Sampling,
    chunk: Chunk,
    round: int,
    progress: Progress,
    max_error_share: float,
) -> list[Json]:
    backend, verifiers, _ = tools
    sampler = sampling.model_dump(mode="json")
    with progress.timed("evaluate"):
        found = complete_all(backend, [Request.of(task) for task in tasks], part.samples, sampling, chunk.seed)
        flat = [
            (
                task,
                attempt_of(task.id, n, completion, sampler, backend.identity, chunk.id, round),
                len(completion.completion_ids or ()),
            )
            for task, row in zip(tasks, found, strict=True)
            for n, completion in enumerate(row)
        ]
        judged = verify_with_retry([task for task, _, _ in flat], [attempt for _, attempt, _ in flat], verifiers)
    lost = sum(map(is_outage, judged))
    refuse_outage("evaluate", chunk, lost, len(judged), max_error_share, "error verdicts or failed completions")
    return [
        {
            "part": part.name,
            "task_id": task.id,
            "sample": attempt.attempt,
            "outcome": one.outcome.value,
            "text": attempt.text,
            "finish_reason": attempt.finish_reason,
            "tokens": tokens,
            "nats": -sum(attempt.logprobs) if attempt.logprobs and part.name == "samples" else None,
            "prompt_ids": attempt.prompt_ids,
            "completion_ids": attempt.completion_ids,
        }
        for (task, attempt, tokens), one in zip(flat, judged, strict=True)
    ]


def _score(tools: Tools, tasks: Sequence[Task], progress: Progress) -> list[Json]:
    """Log-likelihood of human text; nothing from backends that cannot score."""
    backend, _, open_encoder = tools
    score = getattr(backend, "likelihood", None)
    if score is None:
        return []
    encoder = open_encoder()
    rows = [anchor_row(encoder, task) for task in tasks]
    with progress.timed("evaluate"):
        scored = score(rows)
    return [
        {"part": "likelihood", "task_id": task.id, "nats": -float(total), "tokens": int(count)}
        for task, (total, count) in zip(tasks, scored, strict=True)
    ]
