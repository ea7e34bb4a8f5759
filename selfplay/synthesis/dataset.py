"""Floor 4: a dataset from seeds: each maker in its turn, every task held to its verifier, every row decided with a reason.

What a maker makes is seed for no other one, so that nothing drifts far from what people wrote; only evolution goes on from itself,
generation by generation, up to its depth.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from selfplay.config.synthesis_dataset import Make
from selfplay.curate import Archive, SelectRules, select
from selfplay.errors import OutageError
from selfplay.models import Backend
from selfplay.records import Attempt, Sampling, Task, Trace
from selfplay.seeds import seed_of
from selfplay.synthesis import rare as rare_
from selfplay.synthesis.admission import answer_of
from selfplay.synthesis.batch import Batch
from selfplay.synthesis.evolve import evolve
from selfplay.synthesis.makers import SELF_CHECKED, Material, Tools, admitted, ask, asked, gaps_in
from selfplay.synthesis.solve import teacher_traces
from selfplay.tasks import Source, draw
from selfplay.tasks.list_programs import programs
from selfplay.tasks.list_programs.evolving import evolve as evolve_steps
from selfplay.verify import verify

PROCEDURAL = "procedural"


@dataclass(frozen=True)
class Dataset:
    """What was made."""

    traces: list[Trace]
    """Sorted by (task, attempt), each with its decision."""
    batches: list[Batch]
    before: dict[str, int] = field(default_factory=dict)
    """Tasks by `axis:value` of the taxonomy among the seeds, and `after` among what was accepted."""
    after: dict[str, int] = field(default_factory=dict)


def build(make: Make, tools: Tools) -> Dataset:
    """Makes everything that `make.makers` names. Raises OutageError above `max_error_share` of lost replies."""
    seeds = draw(tools.source.fixed.anchor, make.seeds, seed_of(make.seed, "making/seeds"))
    batches, traces = list[Batch](), list[Trace]()
    for maker in make.makers:
        if maker == "traces":
            found = _traces(make, tools)
            traces += found
            batches.append(_counted("traces", found))
            continue
        batch = _made(maker, make, tools, seeds)
        if maker not in SELF_CHECKED:
            batch = admitted(make, tools, batch, seed_of(make.seed, "making/admission", maker), maker != PROCEDURAL)
        batches.append(batch)
        traces += _as_traces(batch, tools)
    _refuse_outage(make, batches)
    decided = _decided(make, tools, traces)
    taxonomy = make.rare.taxonomy if make.rare else {}
    accepted = [t.task.tags for t in decided if t.decision and t.decision.decision == "accepted"]
    return Dataset(
        decided, batches, rare_.coverage([t.tags for t in seeds], taxonomy), rare_.coverage(accepted, taxonomy)
    )


def _made(maker: str, make: Make, tools: Tools, seeds: Sequence[Task]) -> Batch:
    if maker == PROCEDURAL:
        return procedural(make, tools.source, seeds)
    seed = seed_of(make.seed, "making", maker)
    if maker == "evolve":
        return _generations(make, seeds, *asked(make, tools), seed)
    material = Material(tasks=seeds, texts=tools.texts, topics=make.textbook.topics if make.textbook else {})
    if maker == "rare" and make.rare is not None:
        section = make.rare
        draws = rare_.draw(section.taxonomy, section.count, gaps=gaps_in(section), boost=section.boost, seed=seed)
        material = Material(draws=draws, kind=section.kind)
    return ask(maker, make, tools, material, seed)


def procedural(make: Make, source: Source, seeds: Sequence[Task]) -> Batch:
    """List programs evolved without a teacher, `depth` generations; the solution is written from the steps."""
    held = {programs.sequence_of(task) for task in (*source.fixed.dev, *source.fixed.test)}
    batch, generation, known = Batch(PROCEDURAL), list(seeds), {task.id for task in seeds}
    for depth in range(make.depth):
        found = evolve_steps(generation, seed=seed_of(make.seed, "making/procedural", depth), exclude=held)
        batch.asked += len(found)
        generation = []
        for one in found:
            if one.task is None or one.task.id in known:
                batch.refuse(one.parent.id, one.reason or "known", one.parent.text)
                continue
            known.add(one.task.id)
            solution = programs.solution(programs.chain_of(one.task))
            generation.append(one.task.model_copy(update={"reference": solution}))
        batch.tasks += generation
    return batch


def _generations(make: Make, seeds: Sequence[Task], teacher: Backend, sampling: Sampling, seed: int) -> Batch:
    whole, generation = Batch("evolve"), list(seeds)
    for depth in range(make.depth):
        if not generation:
            break
        found = evolve(generation, teacher, depth_limit=make.depth, sampling=sampling, seed=seed_of(seed, depth))
        whole.asked += found.asked
        whole.refused += found.refused
        before = len(whole.refused)
        for task in found.tasks:
            whole.take(task)
        lost = {one.parent for one in whole.refused[before:]}
        generation = [task for task in found.tasks if task.id not in lost]
    return whole


def _traces(make: Make, tools: Tools) -> list[Trace]:
    teacher, sampling = asked(make, tools)
    seed = seed_of(make.seed, "making/traces")
    tasks = [task for task in tools.source.propose(make.seeds, None, seed).tasks if task.reference is None]
    return teacher_traces(tasks, teacher, tools.verifiers, samples=make.samples, sampling=sampling, seed=seed)


def _counted(maker: str, traces: Sequence[Trace]) -> Batch:
    """Teacher traces as a batch: what is not right is refused by its outcome, an outage by its name."""
    batch = Batch(maker, len(traces))
    for trace in traces:
        lost = trace.attempt.finish_reason == "error"
        word = "outage" if lost else str(trace.outcome.value if trace.outcome else "unverified")
        if word == "pass":
            batch.tasks.append(trace.task)
        else:
            batch.refuse(trace.task.id, word, trace.attempt.text)
    return batch


def _as_traces(batch: Batch, tools: Tools) -> list[Trace]:
    """Each made task with its reference as the attempt, judged like any other; tasks without one have their answer alone."""
    writer = tools.teacher.identity if tools.teacher is not None and batch.maker != PROCEDURAL else batch.maker
    human = batch.maker == "instruct"
    attempts = [
        Attempt(
            task_id=task.id,
            attempt=0,
            round=0,
            text=task.reference or f"A: {answer_of(task)}",
            model="" if human else writer,
            origin="human" if human else "teacher",
        )
        for task in batch.tasks
    ]
    judged = verify(batch.tasks, attempts, tools.verifiers) if attempts else []
    return [
        Trace(task=task, attempt=attempt, verdicts=one.verdicts, outcome=one.outcome)
        for task, attempt, one in zip(batch.tasks, attempts, judged, strict=True)
    ]


def _decided(make: Make, tools: Tools, traces: list[Trace]) -> list[Trace]:
    """One decision a trace; near-duplicates are sought over all tasks, but not among list programs, which share every phrase."""
    near = () if make.tasks.templated else ("near",)
    rules = SelectRules(drop_share=0.0, cap=None, order=("exact", *near, "signature"), near_scope="all")
    unique = list({trace.attempt.id: trace for trace in traces}.values())
    decisions = select(unique, rules, Archive(), tools.screen(unique).flags if tools.screen else None)
    done = [t.model_copy(update={"decision": d}) for t, d in zip(unique, decisions, strict=True)]
    return sorted(done, key=lambda trace: (trace.task.id, trace.attempt.attempt))


def _refuse_outage(make: Make, batches: Sequence[Batch]) -> None:
    asked = sum(batch.asked for batch in batches)
    lost = sum(one.reason == "outage" for batch in batches for one in batch.refused)
    if asked and lost / asked > make.max_error_share:
        raise OutageError(
            f"make: {lost} of {asked} replies were lost to outages, over max_error_share = {make.max_error_share}; mend that and run "
            "the same command: what was answered comes from the cache"
        )
