"""Floor 4: the makers that ask a teacher behind one call, and admission of what they make; for a round and for a dataset alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from selfplay.config.synthesis import MakerSettings, Scenarios
from selfplay.errors import ConfigError
from selfplay.models import Backend
from selfplay.prompts.making import Kind
from selfplay.records import Sampling, Task
from selfplay.runtime.screens import Screen
from selfplay.synthesis.admission import Rules, admit_made
from selfplay.synthesis.backtranslate import backtranslate
from selfplay.synthesis.batch import Batch
from selfplay.synthesis.evolve import evolve
from selfplay.synthesis.instruct import instruct
from selfplay.synthesis.rare import Gap, rare
from selfplay.synthesis.textbook import Tree, textbook
from selfplay.synthesis.vary import vary
from selfplay.tasks import Source
from selfplay.verify import Verifier

SELF_CHECKED = ("variants", "backtranslate", "instruct")
"""Makers whose checks are not a teacher's word: carried along from the parent, or a judge's affair."""


@dataclass(frozen=True)
class Tools:
    """What the makers work with. `teacher` None: only makers that ask nobody."""

    source: Source
    verifiers: Mapping[str, Verifier]
    teacher: Backend | None
    texts: Sequence[tuple[str, str]] = ()
    screen: Screen | None = None


@dataclass(frozen=True)
class Material:
    """What a maker works on; each reads its own part."""

    tasks: Sequence[Task] = ()
    """For evolve, variants, backtranslate."""
    draws: Sequence[Mapping[str, str]] = ()
    kind: Kind = "math"
    """How tasks to order are verified."""
    topics: Tree = field(default_factory=dict)
    texts: Sequence[tuple[str, str]] = ()


def ask(maker: str, settings: MakerSettings, tools: Tools, material: Material, seed: int) -> Batch:
    """What a maker makes of its material, before admission. Raises ConfigError without a teacher."""
    teacher, sampling = asked(settings, tools)
    if maker == "evolve":
        return evolve(material.tasks, teacher, depth_limit=settings.depth, sampling=sampling, seed=seed)
    if maker == "rare":
        return rare(material.draws, teacher, kind=material.kind, sampling=sampling, seed=seed)
    if maker == "textbook" and settings.textbook is not None:
        sizes = {"sections": settings.textbook.sections, "exercises": settings.textbook.exercises}
        return textbook(material.topics, teacher, **sizes, sampling=sampling, seed=seed)
    if maker == "variants":
        return vary(material.tasks, teacher, count=settings.variants, sampling=sampling, seed=seed)
    if maker == "backtranslate":
        return backtranslate(
            material.tasks,
            teacher,
            pivot=settings.pivot,
            language=settings.language,
            solver=teacher,
            verifiers=tools.verifiers,
            sampling=sampling,
            seed=seed,
        )
    return instruct(material.texts, teacher, samples=settings.samples, sampling=sampling, seed=seed)


def asked(settings: MakerSettings, tools: Tools) -> tuple[Backend, Sampling]:
    """The teacher, and how it is sampled. Raises ConfigError where there is none."""
    if tools.teacher is None or settings.teacher is None:
        raise ConfigError("making: a maker asks a teacher, and there is none; add teacher, or leave the maker out")
    section = settings.teacher
    return tools.teacher, Sampling(temperature=section.temperature, max_new_tokens=section.max_new_tokens)


def admitted(settings: MakerSettings, tools: Tools, batch: Batch, seed: int, solving: bool = True) -> Batch:
    """The batch held to admission; `solving` False asks the teacher for no solutions."""
    teacher = tools.teacher if solving and settings.solutions else None
    sampling = asked(settings, tools)[1] if teacher else Sampling(temperature=0.0)
    rules = Rules(solutions=settings.solutions if teacher else 0)
    return admit_made(batch, tools.verifiers, teacher, rules=rules, sampling=sampling, seed=seed)


def gaps_in(section: Scenarios) -> list[Gap]:
    """The gaps that a configuration gives."""
    return [Gap(gap.axis, gap.value, gap.have, gap.wanted) for gap in section.gaps]
