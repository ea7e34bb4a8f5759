"""Settings of synthesis: inside a round (`synthesize`), and of `selfplay synthesize`, which makes a data set."""

from collections.abc import Collection, Iterator
from typing import Literal

from pydantic import Field, model_validator

from selfplay.config.curation import Decontaminate
from selfplay.config.judging import Judge, Sandbox
from selfplay.config.sections import Count, Section, Share, Tasks, TaskSettings, TeacherEngine, operation

RoundMethod = Literal["procedural", "evolve", "rare", "textbook", "variants", "backtranslate", "instruct"]
_NEEDS = {"textbook": "textbook", "instruct": "texts"}
"""Method -> the setting that it needs."""
_READ_BY = {
    "textbook": ("textbook",),
    "texts": ("instruct",),
    "samples": ("instruct", "traces"),
    "rare": ("rare",),
    "variants": ("variants",),
    "pivot": ("backtranslate",),
    "language": ("backtranslate",),
}
"""Setting -> the methods that read it."""


class Teacher(Section):
    """The model that writes tasks and solutions, on any chat server or in this process."""

    backend: TeacherEngine
    temperature: float = Field(0.8, ge=0)
    """Sampling temperature. 0: greedy."""
    max_new_tokens: Count = 1024
    """Limit on the tokens of one reply."""


class CoverageGap(Section):
    """The coverage of one value of an axis, as a run's report shows it."""

    axis: str
    """Name of the axis in the taxonomy."""
    value: str
    """Value on the axis."""
    have: float = Field(ge=0)
    """Number of tasks, or share, that the value has."""
    wanted: float = Field(gt=0)
    """Number of tasks, or share, that the value should have, in the unit of `have`."""


class RareScenarios(Section):
    """The taxonomy from which the method `rare` draws."""

    taxonomy: dict[str, tuple[str, ...]]
    """Axis -> its values. Typical axes are topic, construct, edge and persona."""
    gaps: tuple[CoverageGap, ...] = ()
    """Values with too little coverage, which are drawn more often. A run measures its own gaps after its first round."""
    kind: Literal["math", "code"] = "math"
    """How the tasks are verified: `math` by their final answer, `code` by tests."""


class TextbookPlan(Section):
    """The topics on which the method `textbook` writes exercises."""

    topics: dict[str, tuple[str, ...]]
    """Topic -> its subtopics. The teacher writes about the leaves: topics with no subtopics or no entry."""
    sections: Count = 3
    """Number of sections per leaf topic."""
    exercises: Count = 3
    """Number of exercises per section."""


class SynthesisSettings(Section):
    """The settings of the methods, both in a run and in `selfplay synthesize`."""

    teacher: Teacher | None = None
    """The teacher that the methods ask. None: only methods without a teacher are possible, `procedural` and `rare` without a taxonomy."""
    depth: Count = 3
    """Limit on the generations by which `procedural` and `evolve` make a task harder."""
    textbook: TextbookPlan | None = None
    texts: str | None = None
    """Path of a JSON Lines file with `id` and `text`: good texts for which `instruct` writes instructions. None: no `instruct`."""
    pivot: str = "French"
    """Language into which `backtranslate` translates a task, and from which it translates back."""
    language: str = "English"
    """Language of the tasks that `backtranslate` rewords."""
    variants: Count = 3
    """Number of variants requested per task."""
    samples: Count = 2
    """Number of solutions per task (`traces`), and of instructions per text (`instruct`)."""
    solutions: int = Field(2, ge=0)
    """Number of independent solutions with which the teacher's answer to its own task is compared. 0: no comparison."""


class RoundSynthesis(SynthesisSettings):
    """Synthesizes further tasks in each round, from tasks that earlier rounds solved."""

    methods: dict[RoundMethod, Count]
    """Method -> its number of items per round: parent tasks, draws (`rare`), topics (`textbook`) or texts (`instruct`)."""
    rare: RareScenarios | None = None
    """Taxonomy for `rare`. None: `rare` uses the axes of the task source (for list programs, the operations) and no teacher."""
    boost: float = Field(40.0, ge=0)
    """Preference of `rare` for values with little coverage: a value has weight 1 + boost (1 - c)^4, c its coverage from 0 to 1."""
    chunk_tasks: Count = 32
    """Items per chunk. A chunk is the unit of work of a rank, and at most one per rank is lost in a crash."""

    @model_validator(mode="after")
    def _methods_fit(self) -> "RoundSynthesis":
        if faults := list(method_faults(self, self.methods, self.asking)):
            raise ValueError("\n".join(faults))
        return self

    @property
    def asking(self) -> list[str]:
        """The configured methods that ask a teacher."""
        return [m for m in self.methods if m != "procedural" and not (m == "rare" and self.rare is None)]

    def check_types(self, own: set[str]) -> set[str]:
        """The types of checks that synthesized tasks may have. `own`: those of the source's tasks."""
        found = set(own)
        if "evolve" in self.methods and own - {"code_tests"}:
            found.add("math")
        if self.rare is not None:
            found.add("code_tests" if self.rare.kind == "code" else "math")
        if "textbook" in self.methods or "variants" in self.methods:
            found.add("math")
        return found | ({"judge"} if "instruct" in self.methods else set())


def method_faults(settings: SynthesisSettings, methods: Collection[str], asking: Collection[str]) -> Iterator[str]:
    """Faults: settings that a method needs and that are missing, or that no method reads. `asking`: methods that ask a teacher."""
    if not methods or len(set(methods)) != len(methods):
        yield f"methods is {list(methods)}; name at least one, each once, such as procedural"
    if asking and settings.teacher is None:
        yield f"methods has {', '.join(asking)}, which ask a teacher, but teacher is not set; add teacher, or leave them out"
    if settings.teacher is not None and not asking:
        yield "teacher is set, but no method asks it; add one such as evolve, or remove teacher"
    for method, key in _NEEDS.items():
        if method in methods and getattr(settings, key) is None:
            yield f"methods has {method}, but {key} is missing; add {key}, or leave {method} out"
    fields = type(settings).model_fields
    for key, readers in _READ_BY.items():
        if not set(readers) & set(methods) and getattr(settings, key) != fields[key].default:
            known = ", ".join(readers)
            yield f"{key} is set, but none of the methods that read it ({known}) is in methods; add {readers[0]}, or remove {key}"


def round_faults(synthesis: RoundSynthesis, tasks: TaskSettings, judged: bool) -> Iterator[str]:
    """Faults of `propose.synthesize` with the run's task source, or without a judge. `judged`: whether a judge is configured."""
    key, methods = "propose.synthesize", synthesis.methods
    if "procedural" in methods and not tasks.evolves:
        yield f"{key}.methods has procedural, but tasks of {tasks.source} cannot be evolved by a program; leave it out"
    if "rare" in methods and synthesis.rare is None and not tasks.axes:
        yield f"{key}.methods has rare, but {key}.rare is missing; add a taxonomy there, since {tasks.source} has no axes of its own"
    if synthesis.teacher is not None and synthesis.teacher.backend.is_student:
        yield f"{key}.teacher.backend.model is {{student}}, which cannot teach itself; name another model"
    if "instruct" in methods and not judged:
        yield f"{key}.methods has instruct, whose tasks only a judge can grade, but judge is not set; add judge"


DatasetMethod = Literal["procedural", "evolve", "rare", "textbook", "variants", "backtranslate", "instruct", "traces"]


class CountedScenarios(RareScenarios):
    """The taxonomy, and how many tasks are drawn from it."""

    count: Count = 100
    """Number of tasks to request."""


class DatasetSynthesis(SynthesisSettings):
    """A data set: where its seed tasks come from, and which methods work on them."""

    name: str = operation("dataset", pattern=r"^[\w][\w.\-]{0,99}$")
    """Name of the data set."""
    seed: int = Field(0, ge=0)
    """Seed of all random draws except those of held-out tasks."""
    eval_seed: int = Field(1, ge=0)
    """Seed of the held-out tasks, which no synthesized task may repeat. Set it to `eval.seed` of the runs that train on the data set."""
    tasks: Tasks
    """The source of the seed tasks."""
    seed_tasks: Count = 100
    """Number of the source's anchor tasks on which the methods work."""
    methods: tuple[DatasetMethod, ...]
    """Names of the methods, each once, in the order in which they run. Each works on the seed tasks, never on tasks of another method."""
    rare: CountedScenarios | None = None
    boost: float = Field(4.0, ge=0)
    """Preference of `rare` for values with little coverage: a value has weight 1 + boost (1 - c), c its coverage from 0 to 1."""
    judge: Judge | None = None
    """Grades the tasks of `instruct`, which neither tests nor an answer can verify. None: no `instruct`."""
    sandbox: Sandbox = Sandbox()
    decontaminate: Decontaminate = Decontaminate()
    privacy: Literal["off", "drop"] = "drop"
    """Personal identifiers in tasks and solutions: `drop` drops a row that contains any, `off` does not search for them."""
    max_error_share: Share = 0.05
    """Limit on the share of replies that fail through an outage. Above it nothing is written (exit 3); the same command resumes."""

    @model_validator(mode="after")
    def _parts_fit(self) -> "DatasetSynthesis":
        asking = [method for method in self.methods if method != "procedural"]
        if faults := [*method_faults(self, self.methods, asking), *_misfits(self)]:
            raise ValueError("\n".join(faults))
        return self


def _misfits(settings: DatasetSynthesis) -> Iterator[str]:
    methods = settings.methods
    if "procedural" in methods and not settings.tasks.evolves:
        yield f"methods has procedural, but tasks of {settings.tasks.source} cannot be evolved by a program; leave it out"
    for method, key in (("rare", "rare"), ("instruct", "judge")):
        if method in methods and getattr(settings, key) is None:
            yield f"methods has {method}, but {key} is missing; add {key}, or leave {method} out"
    if settings.judge is not None and "instruct" not in methods:
        yield "judge is set, but instruct, which reads it, is not in methods; add instruct, or remove judge"
