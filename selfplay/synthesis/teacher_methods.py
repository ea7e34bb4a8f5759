"""Runs the methods that ask a teacher by their name, and admits what they write; for a round and a data set alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from selfplay.config.synthesis import RareScenarios, SynthesisSettings
from selfplay.curate.screening import Screen
from selfplay.errors import ConfigError
from selfplay.models import Backend
from selfplay.prompts.synthesis import Kind
from selfplay.records import Sampling, Task
from selfplay.synthesis.backtranslate import backtranslate
from selfplay.synthesis.coverage import Gap
from selfplay.synthesis.method_result import AdmissionRules, MethodResult, admit_tasks
from selfplay.synthesis.teacher_tasks import TopicTree, evolve, instruct, textbook, write_rare_tasks
from selfplay.synthesis.variants import vary
from selfplay.tasks import Source
from selfplay.verify import Verifier

KEEP_PARENT_CHECK = ("variants", "backtranslate", "instruct")
"""Methods whose checks need no admission: they follow from the parent's check, or are a judge."""


@dataclass(frozen=True)
class SynthesisTools:
    """What the methods work with. `teacher` None: only methods that ask no teacher can run."""

    source: Source
    verifiers: Mapping[str, Verifier]
    teacher: Backend | None
    texts: Sequence[tuple[str, str]] = ()
    """(id, text) of the good texts that `instruct` starts from."""
    screen: Screen | None = None
    """Flags tasks that repeat an evaluation task or hold personal data; None: nothing to look for."""


@dataclass(frozen=True)
class MethodInput:
    """What a method starts from; each method reads its own field."""

    tasks: Sequence[Task] = ()
    """For evolve, variants and backtranslate."""
    draws: Sequence[Mapping[str, str]] = ()
    """For rare: axis -> value."""
    kind: Kind = "math"
    """How the tasks of rare are verified."""
    topics: TopicTree = field(default_factory=dict)
    texts: Sequence[tuple[str, str]] = ()


def run_teacher_method(
    method: str, settings: SynthesisSettings, tools: SynthesisTools, given: MethodInput, seed: int
) -> MethodResult:
    """The tasks that a method writes from its input, before admission. Raises ConfigError without a teacher."""
    teacher, sampling = teacher_of(settings, tools)
    if method == "evolve":
        return evolve(given.tasks, teacher, depth_limit=settings.depth, sampling=sampling, seed=seed)
    if method == "rare":
        return write_rare_tasks(given.draws, teacher, kind=given.kind, sampling=sampling, seed=seed)
    if method == "textbook" and settings.textbook is not None:
        sizes = {"sections": settings.textbook.sections, "exercises": settings.textbook.exercises}
        return textbook(given.topics, teacher, **sizes, sampling=sampling, seed=seed)
    if method == "variants":
        return vary(given.tasks, teacher, count=settings.variants, sampling=sampling, seed=seed)
    if method == "backtranslate":
        return backtranslate(
            given.tasks,
            teacher,
            pivot=settings.pivot,
            language=settings.language,
            solver=teacher,
            verifiers=tools.verifiers,
            sampling=sampling,
            seed=seed,
        )
    return instruct(given.texts, teacher, samples=settings.samples, sampling=sampling, seed=seed)


def teacher_of(settings: SynthesisSettings, tools: SynthesisTools) -> tuple[Backend, Sampling]:
    """The teacher and how it is sampled. Raises ConfigError where there is none."""
    if tools.teacher is None or settings.teacher is None:
        raise ConfigError(
            "synthesize: a method asks a teacher, and none is configured; add teacher, or leave the method out"
        )
    section = settings.teacher
    return tools.teacher, Sampling(temperature=section.temperature, max_new_tokens=section.max_new_tokens)


def admit_result(
    settings: SynthesisSettings, tools: SynthesisTools, result: MethodResult, seed: int, solving: bool = True
) -> MethodResult:
    """The result with its admitted tasks; `solving` False requests no independent solutions from the teacher."""
    teacher = tools.teacher if solving and settings.solutions else None
    sampling = teacher_of(settings, tools)[1] if teacher else Sampling(temperature=0.0)
    rules = AdmissionRules(solutions=settings.solutions if teacher else 0)
    return admit_tasks(result, tools.verifiers, teacher, rules=rules, sampling=sampling, seed=seed)


def configured_gaps(section: RareScenarios) -> list[Gap]:
    """The gaps that a configuration gives."""
    return [Gap(gap.axis, gap.value, gap.have, gap.wanted) for gap in section.gaps]
