"""The phase `evaluate`: measures the round's weights on the dev set, the test set and human text.

All ranks share its chunks. It reads `train/model` and the fixed tasks, answers dev and test tasks, and some of the tasks that the round
was trained on, greedily, samples dev tasks at temperature 1 and top-p 1 with the same seeds in every round, and scores the likelihood
of human text and of round 0's samples. The student is sampled by the same engine as in `generate`. Writes `evaluate/chunk-NNNNN.jsonl`
and DONE; then rank 0 computes the metrics (`selfplay.runtime.metrics`) and writes `evaluate/metrics.json`, and `evaluate/dev.json`,
with which later rounds compare.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

from selfplay.models.base import Backend, Encoder, scorer_of
from selfplay.models.encode import anchor_row
from selfplay.phases.evaluate import drift
from selfplay.phases.evaluate.origin import data_under_round_0
from selfplay.phases.evaluate.parts import LIKELIHOOD, SAMPLES, Part, chunks_of, parts_of
from selfplay.records import Attempt, Outcome, Request, Sampling, Task
from selfplay.runtime.attempts import (
    Verifiers,
    attempt_of,
    complete_all,
    is_outage,
    outage_example,
    passed,
    verify_with_retry,
)
from selfplay.runtime.chunk_runner import Json, refuse_outage, run_chunks
from selfplay.runtime.context import RoundContext
from selfplay.runtime.metrics import RoundView, measure
from selfplay.runtime.metrics.drift import DATA
from selfplay.runtime.metrics.drift import PART as DRIFT
from selfplay.runtime.prompt_lengths import fitting, limits_of
from selfplay.store import Chunk, ChunkFolder, read_json, write_json
from selfplay.store.traces import read_parquet
from selfplay.tasks import Fixed
from selfplay.training.prompts import PROMPTS_FILE, read_prompts

FROZEN = "dev.json"
"""What a round keeps for comparison with later rounds, which read the file of round 0."""

REMARKS = "remarks.json"
"""What round 0 says of the fixed tasks, for its line in the terminal and in the report."""
TOKEN_DIGITS = 4
"""Decimals of the nats of a single token of human text in the phase's rows."""

ERRORS = ("eval/greedy_accuracy_errors", "eval/samples_errors", "test/greedy_accuracy_errors")
"""Counts of attempts that could not be judged."""


def evaluate(ctx: RoundContext) -> None:
    """Writes a row for each completion and each scored text; then rank 0 writes `metrics.json` and `dev.json`."""
    work = _Work(ctx)
    run_chunks(
        "evaluate",
        ChunkFolder(ctx.at("evaluate"), chunks_of(ctx.config.eval, work.parts, work.identity)),
        work.open_tools,
        work.rows,
        ranks=ctx.ranks,
        progress=ctx.progress,
        accepted=lambda row: passed(row["outcome"]) if "outcome" in row else None,
        size=work.size,
    )
    if ctx.ranks.is_main:
        _measure(ctx, work.parts, work.fixed)
    ctx.ranks.barrier("measured")


def _fixed(ctx: RoundContext) -> Fixed:
    """The fixed tasks whose prompts leave room for a reply, the same in every round; the others are named in round 0."""
    fixed, model = ctx.resources.source.fixed, ctx.run.model(ctx.number)
    limit = limits_of(ctx.resources.student_section.context(model))
    found = [fitting(tasks, limit, lambda: ctx.resources.encoder(model)) for tasks in (fixed.dev, fixed.test)]
    notes = [f"{part}: {fits.note}" for part, fits in zip(("dev set", "test set"), found, strict=True) if fits.note]
    if notes and ctx.ranks.is_main and not ctx.number:
        write_json(ctx.at("evaluate") / REMARKS, {"remarks": notes})
        for note in notes:
            ctx.note(note)
    return replace(fixed, dev=found[0].tasks, test=found[1].tasks)


def _measure(ctx: RoundContext, parts: Sequence[Part], fixed: Fixed) -> None:
    """Computes the round's metrics from its rows, and notes which are missing."""
    rows: dict[str, list[Json]] = defaultdict(list)
    for row in chain.from_iterable(ctx.finished("evaluate").iter_json()):
        rows[row["part"]].append(row)
    if DRIFT in rows:  # the engine can score
        rows[DATA] = data_under_round_0(ctx)
    view = RoundView(
        number=ctx.number,
        config=ctx.config,
        folder=ctx.run.round(ctx.number),
        fixed=fixed,
        tasks=len(ctx.tasks) if ctx.number else 0,
        evaluated=rows,
        baseline=_round_0(ctx),
        before=read_json(ctx.run.phase(ctx.parent, "evaluate") / FROZEN) if ctx.parent is not None else None,
        chain=ctx.chain,
    )
    figures, kept = measure(view)
    write_json(ctx.at("evaluate") / FROZEN, kept)
    write_json(ctx.at("evaluate") / "metrics.json", figures)
    if unjudged := [f"{figures[key]} of {key.partition('_')[0]}" for key in ERRORS if figures.get(key)]:
        ctx.note(
            f"evaluation could not judge {', '.join(unjudged)}; they are left out; above verify.max_error_share = "
            f"{ctx.config.verify.max_error_share} the accuracy is left out too"
        )
    if figures.get("collapse_data/compared_tokens") == 0:
        ctx.note(
            "the figures of wording are left out: the dev samples have less text than one draw, an eighth of round 0's; raise "
            f"eval.samples, which is {ctx.config.eval.samples}, or look whether the student still writes out its solutions"
        )
    wanted = {part.name for part in parts} & {LIKELIHOOD, SAMPLES}
    if wanted and not {LIKELIHOOD, DRIFT} & rows.keys():
        ctx.note(
            "the likelihood of human text and the drift from round 0 are left out: they need token ids and their "
            f"likelihoods, which a {ctx.config.student.kind} student in engine {ctx.resources.student_engine.kind} does not give"
        )


def _round_0(ctx: RoundContext) -> Json | None:
    """What round 0 kept for comparison; None in round 0 itself."""
    if ctx.number == 0:
        return None
    frozen: Json = read_json(ctx.run.phase(0, "evaluate") / FROZEN)
    return frozen


def _trained(ctx: RoundContext) -> list[Task]:
    """The drawn tasks that this round trained on: those of its prompts, or of which an attempt was accepted; none in round 0.

    Synthesized ones are like no dev task.
    """
    folder = ctx.run.round(ctx.number)
    path = folder / "traces.parquet"
    if not ctx.number or not path.is_file():
        return []
    accepted = {prompt.task.id for prompt in read_prompts(folder / PROMPTS_FILE)} or {
        row["task_id"] for row in read_parquet(path, ["task_id", "decision"]) if row["decision"] == "accepted"
    }
    return [task for name, task in ctx.tasks.items() if name in accepted and task.synthesized_by is None]


@dataclass(frozen=True)
class _Tools:
    """The resources that a rank opens at its first chunk."""

    backend: Backend
    verifiers: Verifiers
    open_encoder: Callable[[], Encoder]

    @cached_property
    def encoder(self) -> Encoder:
        """The student's tokenizer, which only the scoring of texts needs."""
        return self.open_encoder()


class _Work:
    """Computes the rows of a chunk."""

    def __init__(self, ctx: RoundContext) -> None:
        section, generate = ctx.config.eval, ctx.config.generate
        self._ctx = ctx
        self.identity = ctx.identity("evaluate")
        self.fixed = _fixed(ctx)
        self.parts = parts_of(section, self.fixed, _trained(ctx) if section.seen_tasks else ())
        self._tasks = {f"{part.name}/{task.id}": (part, task) for part in self.parts for task in part.tasks}
        self._limits: dict[str, Any] = {
            "max_new_tokens": section.max_new_tokens or generate.max_new_tokens,
            "stop": generate.stop,
        }

    def size(self, member: str) -> int:
        """Rows of one member: attempts, or 1 for a text that is scored."""
        return max(1, self._tasks[member][0].samples)

    @contextmanager
    def open_tools(self) -> Iterator[_Tools]:
        """Opens the engine that samples the student, and the verifiers."""
        resources, model = self._ctx.resources, self._ctx.run.model(self._ctx.number)
        with resources.student(model, self.identity, keep=True) as backend, resources.verifiers() as verifiers:
            yield _Tools(backend, verifiers, lambda: resources.encoder(model))

    def rows(self, tools: _Tools, chunk: Chunk) -> list[Json]:
        """The rows of a chunk: one for each completion or scored text."""
        members = [self._tasks[member] for member in chunk.members]
        part, tasks = members[0][0], [task for _, task in members]
        if part.name == LIKELIHOOD:
            return self._scored(tools, tasks)
        answered = self._answered(tools, tasks, part, chunk)
        rows = [_row(part, task, attempt, outcome) for task, attempt, outcome in answered]
        if part.name == SAMPLES:
            rows += self._drift(
                tools, tasks, [attempt for _, attempt, outcome in answered if outcome is not Outcome.ERROR]
            )
        return rows

    def _answered(
        self, tools: _Tools, tasks: Sequence[Task], part: Part, chunk: Chunk
    ) -> list[tuple[Task, Attempt, Outcome]]:
        """Attempts at the tasks with their outcomes. Raises OutageError if too many of them failed through an outage."""
        sampling = Sampling(temperature=part.temperature, **self._limits)
        sampler = sampling.model_dump(mode="json")
        with self._ctx.progress.timed("evaluate"):
            sampled = complete_all(
                tools.backend,
                [Request.of(task) for task in tasks],
                part.samples,
                sampling,
                chunk.seed,
                self._ctx.progress,
            )
            asked, attempts = list[Task](), list[Attempt]()
            for task, completions in zip(tasks, sampled, strict=True):
                for n, completion in enumerate(completions):
                    asked.append(task)
                    attempts.append(
                        attempt_of(task.id, n, completion, sampler, tools.backend.identity, chunk.id, self._ctx.number)
                    )
            judged = verify_with_retry(asked, attempts, tools.verifiers)
        failed, most = [one for one in judged if is_outage(one)], self._ctx.config.verify.max_error_share
        refuse_outage("evaluate", chunk, len(failed), len(judged), most, outage_example(failed))
        return [(task, attempt, one.outcome) for task, attempt, one in zip(asked, attempts, judged, strict=True)]

    def _drift(self, tools: _Tools, tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Json]:
        """Scores round 0's samples of these tasks under the round's weights; in round 0 its own. Empty if the engine cannot score."""
        scorer = scorer_of(tools.backend)
        if scorer is None:
            return []
        with self._ctx.progress.timed("evaluate"):
            frozen = drift.freeze(attempts) if self._first is None else drift.read(self._first)
            return drift.score(scorer, frozen, [task.id for task in tasks])

    @cached_property
    def _first(self) -> Json | None:
        return _round_0(self._ctx)

    def _scored(self, tools: _Tools, tasks: Sequence[Task]) -> list[Json]:
        """Scores the log-likelihood of human text; empty if the engine cannot score."""
        scorer = scorer_of(tools.backend)
        if scorer is None:
            return []
        rows = [anchor_row(tools.encoder, task) for task in tasks]
        with self._ctx.progress.timed("evaluate"), self._ctx.progress.sampling(len(rows), 0):
            scored = scorer.likelihood(rows)
        return [
            {
                "part": LIKELIHOOD,
                "task_id": task.id,
                "nats": -math.fsum(found),
                "tokens": len(found),
                "ids": [label for label in row.labels[1:] if label != -100],
                "token_nats": [round(-x, TOKEN_DIGITS) for x in found],
            }
            for task, row, found in zip(tasks, rows, scored, strict=True)
        ]


def _row(part: Part, task: Task, attempt: Attempt, outcome: Outcome) -> Json:
    return {
        "part": part.name,
        "task_id": task.id,
        "sample": attempt.attempt,
        "outcome": outcome.value,
        "text": attempt.text,
        "finish_reason": attempt.finish_reason,
        "tokens": len(attempt.completion_ids or ()),
        "nats": -sum(attempt.logprobs) if attempt.logprobs and part.name == SAMPLES else None,
    }
