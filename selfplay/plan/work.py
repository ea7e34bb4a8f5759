"""The work of a round by phase, from the configuration and the tasks: requests, tokens and programs, expected and at most.

`expected` values rest on two assumptions, which the plan names: a completion is as long as the references are, and half of the
attempts are right. Upper bounds rest on the limits in the configuration alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from selfplay.config.judging import Judge
from selfplay.config.tree import Config
from selfplay.models.base import Encoder
from selfplay.phases.evaluate.parts import LIKELIHOOD, SAMPLES, parts_of
from selfplay.records import Request, Task
from selfplay.tasks import Source
from selfplay.verify.base import verifier_class
from selfplay.verify.routing import leaves

RIGHT = 0.5
"""Share of attempts assumed to be right."""
SAMPLED_TASKS = 200
"""Tasks whose texts are encoded to measure the mean lengths."""
CHARS_PER_TOKEN = 3.5
"""Of English text and code, where the student's tokenizer is not at hand."""
STUDENT, TEACHER, JUDGE, SANDBOX = "student", "teacher", "judge", "sandbox"


@dataclass(frozen=True)
class Work:
    """What one phase asks of one party."""

    phase: str
    by: str
    """Who does it: the student, a teacher, a judge, or the sandbox."""
    requests: int = 0
    """Completions, expected."""
    most_requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    most_completion_tokens: int = 0
    """Requests at most, times the limit of each."""
    programs: int = 0
    """Runs of a program in the sandbox, expected."""
    trained_tokens: int = 0
    """Tokens that go through a forward and a backward pass."""
    scored_tokens: int = 0
    """Tokens that go through a forward pass alone."""
    steps: int = 0
    """Optimizer steps."""
    longest: int = 0
    """Tokens of a sequence at most."""


@dataclass(frozen=True)
class Lengths:
    """Mean lengths in tokens of a run's texts."""

    prompt: float
    completion: float
    """Of the references; half the limit of a completion where there are none."""
    measured: bool
    """Whether the student's own tokenizer counted; otherwise CHARS_PER_TOKEN was assumed."""
    from_references: bool


def lengths_of(config: Config, source: Source, encoder: Encoder | None) -> Lengths:
    """Measures the texts of some tasks: the anchor, the dev set and the pool, evenly."""
    tasks = [*source.fixed.anchor, *source.fixed.dev, *source.pool]
    shown = tasks[:: max(1, len(tasks) // SAMPLED_TASKS)]
    prompts = [_tokens(encoder, task) for task in shown]
    limit = config.generate.max_new_tokens
    references = [_reference_tokens(encoder, task.reference) for task in shown if task.reference]
    completion = min(limit, fmean(references)) if references else limit / 2
    return Lengths(fmean(prompts) if prompts else 0.0, completion, encoder is not None, bool(references))


def _tokens(encoder: Encoder | None, task: Task) -> float:
    return len(encoder.prompt(Request.of(task))) if encoder else len(task.text) / CHARS_PER_TOKEN


def _reference_tokens(encoder: Encoder | None, reference: str) -> float:
    return len(encoder.completion(reference)) if encoder else len(reference) / CHARS_PER_TOKEN


def tasks_per_round(config: Config, source: Source) -> tuple[int, int]:
    """(drawn tasks of a round, synthesized ones at most)."""
    drawn = config.propose.tasks_per_round or len(source.pool)
    synthesis = config.propose.synthesize
    return drawn, sum(synthesis.methods.values()) if synthesis is not None else 0


def attempts_per_round(config: Config, source: Source) -> tuple[int, int]:
    """(attempts of a round that are expected, attempts at most)."""
    drawn, made = tasks_per_round(config, source)
    section, curriculum = config.generate, config.propose.curriculum
    most = (drawn + made) * max(section.samples_per_task, section.samples_mastered or 0)
    if curriculum is None or section.samples_mastered is None:
        return (drawn + made) * section.samples_per_task, most
    above = curriculum.next_share + curriculum.after_share
    mean = above * section.samples_per_task + (1 - above) * section.samples_mastered
    return round((drawn + made) * mean), most


def round_work(config: Config, source: Source, lengths: Lengths, number: int) -> list[Work]:
    """The work of a round; round 0 trains on the anchor and is evaluated, a later one has all phases."""
    evaluated = [_evaluate(config, source, lengths, number)]
    verified = [*_verified("evaluate", config, source, evaluated[0].requests, evaluated[0].requests, dev=True)]
    if number == 0:
        return [*_warmup(config, lengths), *evaluated, *verified]
    expected, most = attempts_per_round(config, source)
    writer = STUDENT if config.generate.backend.is_student else TEACHER
    return [
        *_synthesize(config),
        _sampled("generate", writer, expected, most, lengths, config.generate.max_new_tokens),
        *_verified("verify", config, source, expected, most),
        *_correct(config, source, lengths, expected, most, writer),
        *_audit(config, expected),
        _train(config, source, lengths, expected),
        *evaluated,
        *verified,
    ]


def _sampled(phase: str, by: str, expected: int, most: int, lengths: Lengths, limit: int, extra: float = 0) -> Work:
    prompt = lengths.prompt + extra
    return Work(
        phase,
        by,
        requests=expected,
        most_requests=most,
        prompt_tokens=round(expected * prompt),
        completion_tokens=round(expected * min(lengths.completion, limit)),
        most_completion_tokens=most * limit,
        longest=round(prompt + limit),
    )


def _verified(phase: str, config: Config, source: Source, expected: int, most: int, *, dev: bool = False) -> list[Work]:
    """The sandbox's and the judge's part in verifying so many attempts."""
    fixed = source.fixed
    tasks: Sequence[Task] = [*fixed.dev, *fixed.test] if dev else [*source.pool, *fixed.anchor]
    check = None if dev else config.verify.check
    shown = tasks[:: max(1, len(tasks) // SAMPLED_TASKS)]
    needs = [_needs(check or task.check) for task in shown] or [(False, False)]
    programs = fmean(code for code, _ in needs)
    judged = fmean(judge for _, judge in needs)
    found = [Work(phase, SANDBOX, programs=round(expected * programs))] if programs else []
    if judged and config.judge is not None:
        found.append(_judged(phase, config.judge, round(expected * judged), most))
    return found


def _needs(check: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a check runs programs, and whether it asks the judge."""
    parts = [verifier_class(part["type"]) for part in leaves(check)]
    return any(part.needs_sandbox for part in parts), any(part.needs_judge for part in parts)


def _judged(phase: str, judge: Judge, expected: int, most: int) -> Work:
    """Grades of a judge; its prompt is taken as long as a whole reply of its own."""
    return Work(
        phase,
        JUDGE,
        requests=expected * judge.samples,
        most_requests=most * judge.samples,
        prompt_tokens=expected * judge.samples * judge.max_new_tokens,
        completion_tokens=expected * judge.samples * judge.max_new_tokens // 3,
        most_completion_tokens=most * judge.samples * judge.max_new_tokens,
    )


def _correct(config: Config, source: Source, lengths: Lengths, expected: int, most: int, writer: str) -> list[Work]:
    section = config.correct
    if not section.attempts:
        return []
    if section.per_task is not None:
        most = min(most, sum(tasks_per_round(config, source)) * section.per_task)
    again = min(round((1 - RIGHT) * expected), most)
    limit = section.max_new_tokens or config.generate.max_new_tokens
    extra = lengths.completion + section.evidence_chars / CHARS_PER_TOKEN
    asked = _sampled("correct", writer, again, most, lengths, limit, extra)
    return [asked, *_verified("correct", config, source, again, most)]


def _audit(config: Config, expected: int) -> list[Work]:
    section = config.audit
    rechecked = min(2 * section.max_rechecked, max(2 * section.min_rechecked, round(section.share * expected)))
    programs = 2 * section.canaries + (rechecked if section.share else 0)
    return [Work("audit", SANDBOX, programs=programs)] if programs else []


def _synthesize(config: Config) -> list[Work]:
    """What a teacher is asked: each item and its independent solutions. A method may ask more; the plan says so."""
    synthesis = config.propose.synthesize
    if synthesis is None or synthesis.teacher is None:
        return []
    items = sum(count for method, count in synthesis.methods.items() if method in synthesis.asking)
    requests = items * (1 + synthesis.solutions)
    limit = synthesis.teacher.max_new_tokens
    return [
        Work(
            "synthesize",
            TEACHER,
            requests=requests,
            most_requests=0,
            prompt_tokens=requests * limit // 2,
            completion_tokens=requests * limit // 2,
        )
    ]


def _warmup(config: Config, lengths: Lengths) -> list[Work]:
    warmup = config.train.warmup
    if warmup is None:
        return []
    examples = warmup.steps * config.train.batch_size
    tokens = round(examples * (lengths.prompt + lengths.completion))
    return [Work("train", STUDENT, trained_tokens=tokens, steps=warmup.steps)]


def _train(config: Config, source: Source, lengths: Lengths, attempts: int) -> Work:
    """The steps of a later round. With `epochs` their number follows from the accepted attempts, for which RIGHT is assumed."""
    section = config.train
    steps = section.steps
    if steps is None:
        kept = (
            attempts
            if not config.curate.verified_only
            else RIGHT * attempts * (1 - config.curate.drop_bottom_share / 2)
        )
        rows = kept / (1 - (config.curate.anchor_share or 0.0)) if source.fixed.anchor else kept
        steps = max(1, round((section.epochs or 1) * rows / section.batch_size))
    sides = 1 if section.method == "sft" else 2  # a pair is two sequences
    tokens = round(steps * section.batch_size * sides * (lengths.prompt + lengths.completion))
    return Work("train", STUDENT, trained_tokens=tokens, steps=steps)


def _evaluate(config: Config, source: Source, lengths: Lengths, number: int) -> Work:
    """All parts of an evaluation. How many tasks the round was trained on is unknown: all that were drawn, at most."""
    parts = parts_of(config.eval, source.fixed)
    requests = sum(len(part.tasks) * part.samples for part in parts)
    drawn = sum(tasks_per_round(config, source)) if number else 0
    seen = (min(config.eval.seen_tasks, round(RIGHT * drawn)), min(config.eval.seen_tasks, drawn))
    limit = config.eval.max_new_tokens or config.generate.max_new_tokens
    whole = lengths.prompt + lengths.completion
    scored = sum(len(part.tasks) for part in parts if part.name == LIKELIHOOD)
    scored += sum(len(part.tasks) * part.samples for part in parts if part.name == SAMPLES)  # the drift from round 0
    work = _sampled("evaluate", STUDENT, requests + seen[0], requests + seen[1], lengths, limit)
    return Work(**{**vars(work), "scored_tokens": round(scored * whole)})
