"""Defines the parts of an evaluation, passes over the dev set, the test set and human text, and splits them into chunks."""

from collections.abc import Sequence
from dataclasses import dataclass

from selfplay.config.tree import Evaluate
from selfplay.records import Task
from selfplay.seeds import seed_of
from selfplay.store import Chunk
from selfplay.tasks import Fixed

LIKELIHOOD = "likelihood"
SAMPLES = "samples"
SEEN = "seen"


@dataclass(frozen=True)
class Part:
    """One pass over a set of tasks."""

    name: str
    """`dev` and `test` (greedy), `samples` (of the dev set), `likelihood` (of human text) or `seen` (trained on in the round; greedy)."""
    tasks: tuple[Task, ...]
    samples: int
    """Completions per task; 0 if the reference of the task is scored instead."""
    temperature: float


def parts_of(section: Evaluate, fixed: Fixed, trained: Sequence[Task] = ()) -> list[Part]:
    """The parts of an evaluation, in order; parts without tasks are left out. `trained`: tasks that the round was trained on."""
    parts = [Part("dev", tuple(fixed.dev), 1, 0.0)]
    if section.samples:
        parts.append(Part(SAMPLES, tuple(spread(fixed.dev, section.sample_tasks)), section.samples, 1.0))
    if section.test:
        parts.append(Part("test", tuple(fixed.test), 1, 0.0))
    parts.append(Part(LIKELIHOOD, tuple(fixed.human_text), 0, 1.0))
    parts.append(Part(SEEN, tuple(chosen(trained, section.seen_tasks, section.seed)), 1, 0.0))
    return [part for part in parts if part.tasks]


def chosen(tasks: Sequence[Task], count: int, seed: int) -> list[Task]:
    """At most `count` tasks, chosen by their ids and the seed alone."""
    return sorted(tasks, key=lambda task: (seed_of(seed, SEEN, task.id), task.id))[:count]


def spread(tasks: Sequence[Task], count: int | None) -> list[Task]:
    """`count` evenly spaced tasks. Sources order the dev set by stratum, so every stratum keeps its share."""
    if count is None or count >= len(tasks):
        return list(tasks)
    return [tasks[i * len(tasks) // count] for i in range(count)]


def chunks_of(section: Evaluate, parts: Sequence[Part], weights: str) -> list[Chunk]:
    """The phase's chunks with members `part/task`; they are the same on every rank, and their seeds are the same in every round.

    `weights`: the hash of the weights; with other weights every chunk is pending again.
    """
    chunks: list[Chunk] = []
    for part in parts:
        members = [f"{part.name}/{task.id}" for task in part.tasks]
        for start in range(0, len(members), section.chunk_tasks):
            piece = tuple(members[start : start + section.chunk_tasks])
            seed = seed_of(section.seed, "evaluate", part.name, start)
            chunks.append(Chunk(len(chunks), piece, seed, f"{weights}/{part.samples}"))
    return chunks
