"""A data set from seed tasks: runs each method in turn, tests every task with its verifier, decides on every row.

No method works on what another one wrote, so that nothing drifts far from what people wrote; only evolution builds on its own
tasks, generation by generation, up to its depth.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from selfplay.config.synthesis import DatasetSynthesis
from selfplay.curate import Archive, SelectRules, select
from selfplay.errors import ConfigError, OutageError
from selfplay.models import Backend
from selfplay.records import Attempt, Outcome, Sampling, Task, Trace, Verdict
from selfplay.runtime.progress import Progress
from selfplay.seeds import seed_of
from selfplay.synthesis.coverage import count_values, draw_scenarios
from selfplay.synthesis.method_result import MethodResult, answer_of, kind_of, query_solutions
from selfplay.synthesis.teacher_methods import (
    KEEP_PARENT_CHECK,
    MethodInput,
    SynthesisTools,
    admit_result,
    configured_gaps,
    run_teacher_method,
    teacher_of,
)
from selfplay.synthesis.teacher_tasks import evolve
from selfplay.synthesis.text_filters import solution_fault
from selfplay.tasks import Evolver, Source, draw
from selfplay.verify import Judged, Verifier, verify

PROCEDURAL = "procedural"


@dataclass(frozen=True)
class SynthesizedDataset:
    """The rows of a data set, and how they came to be."""

    traces: list[Trace]
    """Sorted by (task, attempt), each with its decision."""
    results: list[MethodResult]
    """One a method."""
    before: dict[str, int] = field(default_factory=dict)
    """Tasks by `axis:value` of the taxonomy among the seed tasks."""
    after: dict[str, int] = field(default_factory=dict)
    """The same among the accepted tasks."""

    def summary(self) -> dict[str, Any]:
        """Rows by decision and reason, replies by method and what became of them, coverage of the taxonomy."""
        decisions = [trace.decision.reason for trace in self.traces if trace.decision]
        return {
            "rows": len(self.traces),
            "accepted": decisions.count("accepted"),
            "reasons": {reason: decisions.count(reason) for reason in sorted(set(decisions))},
            "methods": {one.method: {"requested": one.requested, **one.counts} for one in self.results},
            "coverage": {key: [self.before[key], self.after[key]] for key in self.before},
        }


def synthesize_dataset(
    settings: DatasetSynthesis, tools: SynthesisTools, progress: Progress | None = None
) -> SynthesizedDataset:
    """Runs every method of `settings.methods`. `progress` hears of each method as of a phase.

    Raises OutageError where more than `max_error_share` of all replies were lost.
    """
    progress = progress or Progress()
    seeds = draw(tools.source.fixed.anchor, settings.seed_tasks, seed_of(settings.seed, "making/seeds"))
    results, traces = list[MethodResult](), list[Trace]()
    for method in settings.methods:
        result, found = _run(method, settings, tools, seeds, progress)
        results.append(result)
        traces += found
    _refuse_outage(settings, results)
    decided = _decide(settings, tools, traces)
    taxonomy = settings.rare.taxonomy if settings.rare else {}
    accepted = [t.task.tags for t in decided if t.decision and t.decision.decision == "accepted"]
    before = count_values([task.tags for task in seeds], taxonomy)
    return SynthesizedDataset(decided, results, before, count_values(accepted, taxonomy))


def _run(
    method: str, settings: DatasetSynthesis, tools: SynthesisTools, seeds: Sequence[Task], progress: Progress
) -> tuple[MethodResult, list[Trace]]:
    """A method's tasks and their traces. The steps that the display counts: writing, admission, verification."""
    progress.phase(method, 3)
    if method == "traces":
        traces = _write_traces(settings, tools)
        result = _traces_result(traces)
        progress.advance(3)
    else:
        result = _write_tasks(method, settings, tools, seeds)
        progress.advance(1)
        if method not in KEEP_PARENT_CHECK:
            seed = seed_of(settings.seed, "making/admission", method)
            result = admit_result(settings, tools, result, seed, method != PROCEDURAL)
        progress.advance(1)
        traces = _reference_traces(result, tools)
        progress.advance(1)
    progress.end(method)
    return result, traces


def _write_tasks(method: str, settings: DatasetSynthesis, tools: SynthesisTools, seeds: Sequence[Task]) -> MethodResult:
    if method == PROCEDURAL:
        return evolve_by_program(settings, tools.source, seeds)
    seed = seed_of(settings.seed, "making", method)
    if method == "evolve":
        teacher, sampling = teacher_of(settings, tools)
        return _evolve_by_teacher(settings, seeds, teacher, sampling, seed)
    given = MethodInput(tasks=seeds, texts=tools.texts, topics=settings.textbook.topics if settings.textbook else {})
    if method == "rare" and settings.rare is not None:
        section = settings.rare
        gaps = configured_gaps(section)
        draws = draw_scenarios(section.taxonomy, section.count, gaps=gaps, boost=settings.boost, seed=seed)
        given = MethodInput(draws=draws, kind=section.kind)
    return run_teacher_method(method, settings, tools, given, seed)


def evolve_by_program(settings: DatasetSynthesis, source: Source, seeds: Sequence[Task]) -> MethodResult:
    """Tasks evolved without a teacher, `depth` generations; the source writes their solutions. Seeds that it cannot read stay out.

    Raises ConfigError where the source cannot evolve tasks.
    """
    if not isinstance(source, Evolver):
        raise ConfigError("methods: procedural evolves the tasks of procedural sources alone; leave it out")
    generation = [task for task in seeds if source.can_evolve(task)]
    result, known = MethodResult(PROCEDURAL), {task.id for task in seeds}
    for depth in range(settings.depth):
        seed = seed_of(settings.seed, "making/procedural", depth)
        found = source.evolve(generation, weights=None, longest=None, seed=seed)
        result.requested += len(found)
        generation = []
        for one in found:
            if one.task is None or one.task.id in known:
                result.refuse(one.parent.id, one.reason or "known", one.parent.text)
                continue
            known.add(one.task.id)
            generation.append(one.task.model_copy(update={"reference": source.solution(one.task)}))
        result.tasks += generation
    return result


def _evolve_by_teacher(
    settings: DatasetSynthesis, seeds: Sequence[Task], teacher: Backend, sampling: Sampling, seed: int
) -> MethodResult:
    """`depth` generations of evolution; a task that is refused has no further generation."""
    total, generation = MethodResult("evolve"), list(seeds)
    for depth in range(settings.depth):
        if not generation:
            break
        found = evolve(generation, teacher, depth_limit=settings.depth, sampling=sampling, seed=seed_of(seed, depth))
        total.requested += found.requested
        total.refused += found.refused
        before = len(total.refused)
        for task in found.tasks:
            total.add(task)
        duplicates = {reply.parent for reply in total.refused[before:]}
        generation = [task for task in found.tasks if task.id not in duplicates]
    return total


def _write_traces(settings: DatasetSynthesis, tools: SynthesisTools) -> list[Trace]:
    teacher, sampling = teacher_of(settings, tools)
    seed = seed_of(settings.seed, "making/traces")
    tasks = [task for task in tools.source.propose(settings.seed_tasks, None, seed).tasks if task.reference is None]
    return teacher_traces(tasks, teacher, tools.verifiers, samples=settings.samples, sampling=sampling, seed=seed)


def _traces_result(traces: Sequence[Trace]) -> MethodResult:
    """Teacher traces as a result: those that pass are kept, the others refused by their outcome, or as an outage."""
    result = MethodResult("traces", len(traces))
    for trace in traces:
        lost = trace.attempt.finish_reason == "error"
        outcome = "outage" if lost else str(trace.outcome.value if trace.outcome else "unverified")
        if outcome == "pass":
            result.tasks.append(trace.task)
        else:
            result.refuse(trace.task.id, outcome, trace.attempt.text)
    return result


def _reference_traces(result: MethodResult, tools: SynthesisTools) -> list[Trace]:
    """A trace of each task with its reference, or else its final answer, as the attempt, judged like any other."""
    writer = tools.teacher.identity if tools.teacher is not None and result.method != PROCEDURAL else result.method
    human = result.method == "instruct"
    attempts = [
        Attempt(
            task_id=task.id,
            attempt=0,
            round=0,
            text=task.reference or f"A: {answer_of(task)}",
            model="" if human else writer,
            origin="human" if human else "teacher",
        )
        for task in result.tasks
    ]
    judged = verify(result.tasks, attempts, tools.verifiers) if attempts else []
    return [
        Trace(task=task, attempt=attempt, verdicts=one.verdicts, outcome=one.outcome)
        for task, attempt, one in zip(result.tasks, attempts, judged, strict=True)
    ]


def _decide(settings: DatasetSynthesis, tools: SynthesisTools, traces: list[Trace]) -> list[Trace]:
    """One decision a trace. Near duplicates are looked for over all tasks, but not where a source writes them all
    from one template.
    """
    near = () if settings.tasks.templated else ("near",)
    rules = SelectRules(drop_share=0.0, cap=None, order=("exact", *near, "signature"), near_scope="all")
    unique = list({trace.attempt.id: trace for trace in traces}.values())
    decisions = select(unique, rules, Archive(), tools.screen(unique).flags if tools.screen else None)
    decided = [t.model_copy(update={"decision": d}) for t, d in zip(unique, decisions, strict=True)]
    return sorted(decided, key=lambda trace: (trace.task.id, trace.attempt.attempt))


def _refuse_outage(settings: DatasetSynthesis, results: Sequence[MethodResult]) -> None:
    requested = sum(result.requested for result in results)
    lost = sum(reply.reason == "outage" for result in results for reply in result.refused)
    if requested and lost / requested > settings.max_error_share:
        raise OutageError(
            f"synthesize: {lost} of {requested} replies were lost to outages, over max_error_share = "
            f"{settings.max_error_share}; fix this and rerun the same command: replies that arrived come from the cache"
        )


COLUMNS = {
    "prompt, text": "the task and its solution",
    "task": "JSON: the whole task with its check (`verifier`), reference, parents, tags",
    "outcome, verdicts": "what the verifiers said about the solution",
    "decision, reason": "`accepted`, or why the row was dropped: train on accepted rows alone",
    "tags, source": "method, way, depth, axes of the taxonomy",
    "origin, model": "who wrote the solution",
}
TRUST = (
    "A row is accepted only where its solution passes its own check. Tests that a teacher wrote were tested themselves: the reference "
    "passes, programs that return a constant fail, most one-place mutants fail, independent solutions agree. Final answers were "
    "compared with independent solutions. That does not show that a task is worth learning from, and a teacher that errs in the same "
    "way every time passes. No person has read the rows. Patterns of personal data were searched for; that is no claim of compliance."
)


def dataset_card(
    name: str, summary: Mapping[str, Any], versions: Mapping[str, str], fingerprint: str, source: str
) -> str:
    """The card as Markdown. `summary`: that of the data set; `fingerprint`: of its configuration; `source`: of its seed tasks."""
    methods = [
        f"| {_cell(method)} | {row['requested']} | {row['kept']} | {_reasons(row)} |"
        for method, row in summary["methods"].items()
    ]
    reasons = [f"| {_cell(reason)} | {count} |" for reason, count in summary["reasons"].items()]
    covered = [f"| {_cell(key)} | {before} | {after} |" for key, (before, after) in summary["coverage"].items()]
    origin = {**versions, "configuration": fingerprint}
    parts = [
        f"# {name}\n\nSynthetic tasks with solutions, written by `selfplay synthesize` from seed tasks of `{source}`. "
        f"{summary['accepted']} of {summary['rows']} rows are accepted; the others are kept with the reason why not.",
        _table("Methods", ("method", "replies", "kept", "refused, by reason"), methods),
        _table("Decisions", ("reason", "rows"), reasons),
        _table("Coverage of the taxonomy", ("axis and value", "seed tasks", "accepted"), covered) if covered else "",
        "## Columns\n\n" + "\n".join(f"- `{key}`: {text}" for key, text in COLUMNS.items()),
        f"## Limits of trust\n\n{TRUST}",
        "## Provenance\n\n" + "\n".join(f"- {key}: {value}" for key, value in origin.items()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(title: str, heads: Sequence[str], rows: Sequence[str]) -> str:
    rule = "|" + "---|" * len(heads)
    return "\n".join([f"## {title}\n", f"| {' | '.join(heads)} |", rule, *rows])


def _reasons(row: Mapping[str, int]) -> str:
    return ", ".join(f"{_cell(k)} {v}" for k, v in row.items() if k not in ("requested", "kept")) or "-"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


FILTER = "solution_form/1"
"""Verifier name in the verdict that fails a passing solution whose steps do not hold."""


def teacher_traces(
    tasks: Sequence[Task],
    teacher: Backend,
    verifiers: Mapping[str, Verifier],
    *,
    samples: int = 1,
    sampling: Sampling,
    seed: int,
) -> list[Trace]:
    """`samples` traces a task, of origin teacher and numbered from 0, with verdicts and outcome; none is left out.

    A reply that cannot be read becomes an attempt without text (invalid); an outage, one with `finish_reason` error. A worked
    answer that passes but has a fault (`text_filters.solution_fault`) fails by a verdict of its own.
    """
    read = query_solutions(teacher, "trace", tasks, sampling=sampling, seed=seed, n=samples)
    whose, attempts = list[Task](), list[Attempt]()
    for task, row in zip(tasks, read, strict=True):
        for number, answer in enumerate(row):
            whose.append(task)
            attempts.append(
                Attempt(
                    task_id=task.id,
                    attempt=number,
                    round=0,
                    text=answer.value.solution if answer.value else "",
                    finish_reason="error" if answer.outage else "stop",
                    sampler=sampling.model_dump(mode="json"),
                    model=teacher.identity,
                    origin="teacher",
                )
            )
    judged = verify(whose, attempts, verifiers)
    return [
        Trace(task=task, attempt=attempt, verdicts=one.verdicts, outcome=one.outcome)
        for task, attempt, one in zip(whose, attempts, map(_with_form_verdict, whose, attempts, judged), strict=True)
    ]


def _with_form_verdict(task: Task, attempt: Attempt, judged: Judged) -> Judged:
    if judged.outcome is not Outcome.PASS or kind_of(task) == "code":
        return judged
    fault = solution_fault(attempt.text, task.text)
    if not fault:
        return judged
    verdict = Verdict(verifier=FILTER, outcome=Outcome.FAIL, reason=fault)
    return Judged((*judged.verdicts, verdict), Outcome.FAIL)
