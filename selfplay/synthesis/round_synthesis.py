"""Synthesis inside a round: adds tasks to the proposed ones, in chunks that resume like those of any phase.

One chunk is a part of one method's input: some parent tasks, draws, topics or texts. Each new task is tested with its own
verifier in the same chunk; refused replies are written beside the tasks, so that the number requested always equals the tasks
plus the refused replies.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfplay.config.synthesis import RoundSynthesis
from selfplay.errors import ConfigError
from selfplay.records import SYNTHESIZED_BY, SYNTHESIZED_SOURCE, Attempt, Task, Trace, digest
from selfplay.runtime.chunk_runner import Json, refuse_outage, run_chunks
from selfplay.runtime.context import write_tasks
from selfplay.runtime.distributed import Ranks
from selfplay.runtime.progress import Progress
from selfplay.seeds import rng_of, seed_of
from selfplay.store import Chunk, ChunkFolder, FinishedChunks, write_json
from selfplay.synthesis.coverage import Gap, Taxonomy, draw_scenarios, gap_weights
from selfplay.synthesis.method_result import MethodResult, answer_of
from selfplay.synthesis.teacher_methods import (
    KEEP_PARENT_CHECK,
    MethodInput,
    SynthesisTools,
    admit_result,
    run_teacher_method,
)
from selfplay.synthesis.teacher_tasks import leaves_of
from selfplay.tasks import Evolver
from selfplay.tasks.base import WeightedSource
from selfplay.verify import admit

METRICS_FILE = "metrics.json"
SHARPNESS = 4.0
"""Exponent of the weights that a run's own gaps give: many values fall a little short, and the shortest are to be drawn."""
_TAKE_TASKS = ("procedural", "evolve", "variants", "backtranslate")
"""Methods whose input is parent tasks."""


@dataclass(frozen=True)
class RoundInput:
    """What the methods of a round start from."""

    parents: Sequence[Task]
    """Tasks that earlier rounds solved, and the anchor."""
    proposed: Collection[str] = frozenset()
    """Ids of the tasks that the round proposed; none of them is synthesized again."""
    gaps: Sequence[Gap] = ()
    """Coverage of every value of every axis."""
    source_axes: Taxonomy = field(default_factory=dict)
    """Tag axes by which the task source itself can draw and evolve tasks; empty where it has none."""
    texts: Sequence[tuple[str, str]] = ()
    """(id, text) of the texts that `instruct` starts from."""
    shares: Mapping[int, float] | None = None
    """The proposal's shares by difficulty, for `rare` without a taxonomy; None: the source's own."""
    level: int | None = None
    """Level of the curriculum: procedural evolution takes parents at or above it first. None without a curriculum."""
    longest: int | None = None
    """Procedural evolution adds no step beyond this many; None: no bound."""
    can_evolve: Callable[[Task], bool] = lambda task: False
    """Whether the source can evolve a task by program: see `Evolver.can_evolve`."""


@dataclass(frozen=True)
class ChunkInput:
    """What one chunk works on."""

    method: str
    items: tuple[Any, ...]
    """Ids of parents or texts, draws, topics, or plain numbers where the method draws for itself."""
    inputs: str = ""
    """Hash of the contents of the items and of the gaps."""


@dataclass
class RoundOutput:
    """What the methods of a round synthesized."""

    tasks: list[Task] = field(default_factory=list)
    """Sorted by id, each once."""
    requested: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Refused replies by reason."""

    def metrics(self) -> dict[str, float]:
        """Flat metrics of the round."""
        by_method = Counter(task.synthesized_by for task in self.tasks)
        return {
            "data/synthesized": len(self.tasks),
            "data/synthesized_requested": self.requested,
            **{f"data/synthesized_{method}": count for method, count in sorted(by_method.items(), key=str)},
            **{f"data/refused_{_key(reason)}": count for reason, count in sorted(self.refused.items())},
        }


def synthesize_tasks(
    section: RoundSynthesis,
    given: RoundInput,
    *,
    open_tools: Callable[[], AbstractContextManager[SynthesisTools]],
    max_error_share: float,
    seed: int,
    round: int,
    out: Path,
    ranks: Ranks,
    progress: Progress,
) -> None:
    """Writes chunks of tasks and refused replies to `out`; rank 0 then writes tasks.jsonl and metrics.json.

    Raises OutageError where more than `max_error_share` of a chunk's requests were lost to outages.
    """
    inputs = chunk_inputs(section, given, seed_of(seed, round, "make"))
    parents = {task.id: task for task in given.parents}

    def work(tools: SynthesisTools, chunk: Chunk) -> list[Json]:
        one = inputs[chunk.id]
        with progress.timed("synthesize"):
            result = _checked(section, tools, _run(section, one, given, parents, tools, chunk.seed), chunk.seed)
        lost = sum(reply.reason == "outage" for reply in result.refused)
        refuse_outage(
            "synthesize", chunk, lost, result.requested, max_error_share, f"{one.method}: replies or verdicts were lost"
        )
        return [
            *({"task": _tagged(task, one.method).model_dump(mode="json", by_alias=True)} for task in result.tasks),
            *({"refused": reply.reason, "parent": reply.parent, "text": reply.text} for reply in result.refused),
        ]

    chunks = [
        Chunk(n, tuple(map(str, one.items)), seed_of(seed, round, "make", n), digest([one.method, one.inputs]))
        for n, one in enumerate(inputs)
    ]
    run_chunks(
        "synthesize",
        ChunkFolder(out, chunks),
        open_tools,
        work,
        ranks=ranks,
        progress=progress,
        accepted=lambda row: "task" in row,
    )
    if ranks.is_main:
        output = _collect(FinishedChunks(out), {*given.proposed, *parents})
        write_tasks(out, output.tasks)
        write_json(out / METRICS_FILE, output.metrics())
    ranks.barrier("synthesized")


# ---- the input of each chunk ----


def chunk_inputs(section: RoundSynthesis, given: RoundInput, seed: int) -> list[ChunkInput]:
    """The inputs of a round's chunks, the same at every start and on every rank."""
    found = []
    for method, count in section.methods.items():
        rng, gaps = rng_of(seed, method), [vars(gap) for gap in given.gaps]
        items, contents = _items(method, section, given, count, rng)
        for start in range(0, len(items), section.chunk_tasks):
            end = start + section.chunk_tasks
            found.append(ChunkInput(method, tuple(items[start:end]), digest([contents[start:end], gaps])))
    return found


def _items(
    method: str, section: RoundSynthesis, given: RoundInput, count: int, rng: random.Random
) -> tuple[Sequence[Any], Sequence[Any]]:
    """The items that a method works on in this round, and the contents that its chunks are identified by."""
    if method in _TAKE_TASKS:
        chosen = _choose_parents(method, section, given, count, rng)
        return [task.id for task in chosen], [task.model_dump(mode="json") for task in chosen]
    found: Sequence[Any]
    if method == "textbook":
        topics = [" > ".join(path) for path in leaves_of(section.textbook.topics if section.textbook else {})]
        found = rng.sample(topics, min(count, len(topics)))
    elif method == "instruct":
        found = [name for name, _ in rng.sample(list(given.texts), min(count, len(given.texts)))]
    elif section.rare is not None:
        gaps = [gap for gap in given.gaps if gap.axis in section.rare.taxonomy]
        draw_seed = rng.randrange(2**31)
        found = draw_scenarios(
            section.rare.taxonomy, count, gaps=gaps, boost=section.boost, sharpness=SHARPNESS, seed=draw_seed
        )
    else:
        found = list(range(count))
    return found, found


def _choose_parents(
    method: str, section: RoundSynthesis, given: RoundInput, count: int, rng: random.Random
) -> list[Task]:
    able = [task for task in given.parents if _suits(method, task, section.depth, given.can_evolve)]
    able.sort(key=lambda task: task.id)
    rng.shuffle(able)
    level = given.level
    if method == "procedural" and level is not None:
        able.sort(key=lambda task: (task.difficulty or 0) < level)
    return able[:count]


def _suits(method: str, task: Task, depth: int, can_evolve: Callable[[Task], bool]) -> bool:
    """Whether a method may work on a task. Only evolution builds on synthesized tasks; the others would drift from the source."""
    if "correction" in task.tags:
        return False
    if method in ("procedural", "evolve"):
        return int(task.tag("depth") or 0) < depth and (method == "evolve" or can_evolve(task))
    if task.synthesized_by is not None:
        return False
    return method != "variants" or bool(task.check["type"] == "math" and answer_of(task))


# ---- one chunk ----


def _run(
    section: RoundSynthesis,
    one: ChunkInput,
    given: RoundInput,
    parents: Mapping[str, Task],
    tools: SynthesisTools,
    seed: int,
) -> MethodResult:
    if one.method == "procedural":
        return _evolve_by_program(section, [parents[name] for name in one.items], given, tools, seed)
    if one.method == "rare" and section.rare is None:
        return _draw_by_program(section, len(one.items), given, tools, seed)
    method_input = MethodInput(
        tasks=[parents[name] for name in one.items] if one.method in _TAKE_TASKS else (),
        draws=one.items if one.method == "rare" else (),
        kind=section.rare.kind if section.rare else "math",
        topics=dict.fromkeys(one.items, ()) if one.method == "textbook" else {},
        texts=[text for text in given.texts if text[0] in one.items] if one.method == "instruct" else (),
    )
    return run_teacher_method(one.method, section, tools, method_input, seed)


def _evolve_by_program(
    section: RoundSynthesis, parents: Sequence[Task], given: RoundInput, tools: SynthesisTools, seed: int
) -> MethodResult:
    """One evolution a parent, without a teacher; operations that fall short are drawn more often."""
    result, source = MethodResult("procedural", len(parents)), tools.source
    if not isinstance(source, Evolver):
        raise ConfigError(
            "propose.synthesize.methods: procedural evolves the tasks of procedural sources alone; leave it out"
        )
    for one in source.evolve(parents, weights=_axis_weights(section, given), longest=given.longest, seed=seed):
        if one.task is None:
            result.refuse(one.parent.id, one.reason, one.parent.text)
        else:
            result.add(one.task.model_copy(update={"reference": source.solution(one.task)}))
    return result


def _draw_by_program(
    section: RoundSynthesis, count: int, given: RoundInput, tools: SynthesisTools, seed: int
) -> MethodResult:
    """`count` tasks of the source, without a teacher; values of its axes that fall short are drawn more often."""
    source = tools.source
    if not isinstance(source, WeightedSource):
        raise ConfigError(
            "propose.synthesize.methods: rare without a taxonomy needs a task source that draws by its own axes, such as "
            "list_programs; add propose.synthesize.rare"
        )
    found = source.propose_weighted(count, given.shares, seed, _axis_weights(section, given))
    result = MethodResult("rare", count + found.filtered)
    for _ in range(found.filtered + count - len(found.tasks)):
        result.refuse("", "held_out")
    for task in found.tasks:
        result.add(task.model_copy(update={"reference": tools.source.solution(task)}))
    return result


def _axis_weights(section: RoundSynthesis, given: RoundInput) -> dict[str, float] | None:
    """Weights of the values of the source's own axes; None (all equal) where no gap was measured on them."""
    gaps = [gap for gap in given.gaps if gap.axis in given.source_axes]
    if not gaps:
        return None
    by_axis = gap_weights(given.source_axes, gaps, section.boost, SHARPNESS)
    return {value: weight for weights in by_axis.values() for value, weight in weights.items()}


def _checked(section: RoundSynthesis, tools: SynthesisTools, result: MethodResult, seed: int) -> MethodResult:
    """The result with the tasks whose verifier works and that repeat no evaluation task."""
    if result.method == "procedural" or (result.method == "rare" and section.rare is None):
        result = _admit_by_program(tools, result)
    elif result.method not in KEEP_PARENT_CHECK:
        result = admit_result(section, tools, result, seed_of(seed, "admission"))
    if tools.screen is None or not result.tasks:
        return result
    attempts = [
        Attempt(task_id=t.id, attempt=0, round=0, text=t.reference or "", origin="teacher") for t in result.tasks
    ]
    flags = tools.screen([Trace(task=t, attempt=a) for t, a in zip(result.tasks, attempts, strict=True)]).flags
    return _without_faulty(result, [flags.get(attempt.id, "") for attempt in attempts])


def _admit_by_program(tools: SynthesisTools, result: MethodResult) -> MethodResult:
    """Admission of tasks that a program wrote: the solution passes the task's own tests, and near misses fail."""
    misses = [tools.source.near_misses(task) for task in result.tasks]
    found = admit(result.tasks, misses, tools.verifiers) if result.tasks else []
    faults = ("outage" if "error verdict" in one.problem else "not_admitted" if one.problem else "" for one in found)
    return _without_faulty(result, list(faults))


def _without_faulty(result: MethodResult, faults: Sequence[str]) -> MethodResult:
    """The result with the tasks that have a fault refused; `faults`: one word a task, "" where there is none."""
    checked = result.without_tasks()
    for task, fault in zip(result.tasks, faults, strict=True):
        if fault:
            checked.refuse(task.parents[0] if task.parents else task.id, fault, task.text)
        else:
            checked.add(task)
    return checked


def _tagged(task: Task, method: str) -> Task:
    tags = (*(tag for tag in task.tags if not tag.startswith(f"{SYNTHESIZED_BY}:")), f"{SYNTHESIZED_BY}:{method}")
    return task.model_copy(update={"tags": tags, "source": f"{SYNTHESIZED_SOURCE}{method}", "split": "train"})


# ---- all chunks ----


def _collect(chunks: FinishedChunks, known: Collection[str]) -> RoundOutput:
    """All chunks together; a task that was proposed, synthesized or solved before is refused as `known`."""
    output, seen = RoundOutput(), set(known)
    for row in (row for rows in chunks.iter_json() for row in rows):
        output.requested += 1
        if "task" not in row:
            output.refused[row["refused"]] += 1
        elif row["task"]["id"] in seen:
            output.refused["known"] += 1
        else:
            seen.add(row["task"]["id"])
            output.tasks.append(Task.model_validate(row["task"]))
    output.tasks.sort(key=lambda task: task.id)
    return output


def _key(reason: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", reason)
