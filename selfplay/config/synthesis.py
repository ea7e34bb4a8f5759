"""The settings of synthesis in a run: which methods write how many tasks a round, from what, with which teacher.

`synthesis_dataset` holds the settings of a data set without training. Both share `SynthesisSettings` and its checks.
"""

from collections.abc import Collection, Iterator
from typing import Literal

from pydantic import Field, model_validator

from selfplay.config.sections import Count, Section, TaskSettings, TeacherEngine

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
    """The model that writes tasks and solutions: any chat server, or a model in this process."""

    backend: TeacherEngine
    temperature: float = Field(0.8, ge=0)
    """Sampling temperature. 0: greedy."""
    max_new_tokens: Count = 1024
    """Most tokens of a reply."""


class CoverageGap(Section):
    """Coverage of one value of an axis, as a run's report gives it: `have` of `wanted`."""

    axis: str
    """The axis of the taxonomy."""
    value: str
    """The value on it."""
    have: float = Field(ge=0)
    """How much of it there is."""
    wanted: float = Field(gt=0)
    """How much of it there should be."""


class RareScenarios(Section):
    """The taxonomy from which the method `rare` draws."""

    taxonomy: dict[str, tuple[str, ...]]
    """Axis -> values, such as topic, construct, edge, persona."""
    gaps: tuple[CoverageGap, ...] = ()
    """Values that fall short and are drawn more often. A run measures its own gaps after its first round."""
    kind: Literal["math", "code"] = "math"
    """How the tasks are verified: by a final answer, or by tests."""


class TextbookPlan(Section):
    """The topics on which the method `textbook` writes exercises."""

    topics: dict[str, tuple[str, ...]]
    """Topic -> subtopics; a topic without an entry is a leaf, and the leaves are written about."""
    sections: Count = 3
    """Sections a leaf topic."""
    exercises: Count = 3
    """Exercises a section."""


class SynthesisSettings(Section):
    """How the methods work, in a run and in `selfplay synthesize` alike."""

    teacher: Teacher | None = None
    """None: only methods that ask no teacher, `procedural` and `rare` without a taxonomy."""
    depth: Count = 3
    """Most generations of evolution in depth, by `procedural` and `evolve`."""
    textbook: TextbookPlan | None = None
    texts: str | None = None
    """JSON Lines with `id` and `text`: good texts for which `instruct` writes instructions."""
    pivot: str = "French"
    """The language into which `backtranslate` translates, and back."""
    language: str = "English"
    """The language of the tasks that `backtranslate` rewords."""
    variants: Count = 3
    """Variants requested a task."""
    samples: Count = 2
    """Teacher traces a task (`traces`), and instructions a text (`instruct`)."""
    solutions: int = Field(2, ge=0)
    """Independent solutions that a teacher's task is compared with; 0, or no teacher: none."""


class RoundSynthesis(SynthesisSettings):
    """Tasks that are synthesized each round beside the proposed ones, from what earlier rounds solved."""

    methods: dict[RoundMethod, Count]
    """Method -> its number of items a round: parent tasks, draws (`rare`), topics (`textbook`), texts (`instruct`)."""
    rare: RareScenarios | None = None
    """None: `rare` draws by the axes of the task source (operations of list programs), without a teacher."""
    boost: float = Field(40.0, ge=0)
    """A value that is covered to a share c of what the dev set asks for is drawn with weight 1 + boost (1 - c)^4."""
    chunk_tasks: Count = 32
    """Items a chunk: what one rank takes at once, and the most that a crash costs."""

    @model_validator(mode="after")
    def _methods_fit(self) -> "RoundSynthesis":
        if faults := list(method_faults(self, self.methods, self.asking)):
            raise ValueError("\n".join(faults))
        return self

    @property
    def asking(self) -> list[str]:
        """The methods that ask a teacher."""
        return [m for m in self.methods if m != "procedural" and not (m == "rare" and self.rare is None)]

    def check_types(self, own: set[str]) -> set[str]:
        """The types of the checks that admission needs beside the run's. `own`: those of the source's tasks."""
        found = set(own)
        if "evolve" in self.methods and own - {"code_tests"}:
            found.add("math")
        if self.rare is not None:
            found.add("code_tests" if self.rare.kind == "code" else "math")
        if "textbook" in self.methods or "variants" in self.methods:
            found.add("math")
        return found | ({"judge"} if "instruct" in self.methods else set())


def method_faults(settings: SynthesisSettings, methods: Collection[str], asking: Collection[str]) -> Iterator[str]:
    """Settings that are missing for a method, or that no method reads. `asking`: the methods that ask a teacher."""
    if not methods or len(set(methods)) != len(methods):
        yield f"methods is {list(methods)}; name at least one, each once, such as procedural"
    if asking and settings.teacher is None:
        yield f"methods has {', '.join(asking)}, which ask a teacher, and there is none; add teacher, or leave them out"
    if settings.teacher is not None and not asking:
        yield "teacher is set, but no method asks it; add one such as evolve, or remove teacher"
    for method, key in _NEEDS.items():
        if method in methods and getattr(settings, key) is None:
            yield f"methods has {method}, and {key} is missing; add {key}, or leave {method} out"
    fields = type(settings).model_fields
    for key, readers in _READ_BY.items():
        if not set(readers) & set(methods) and getattr(settings, key) != fields[key].default:
            known = " and ".join(readers)
            yield f"{key} is set, but methods lacks {known}, which alone reads it; add {readers[0]}, or remove {key}"


def round_faults(synthesis: RoundSynthesis, tasks: TaskSettings, judged: bool) -> Iterator[str]:
    """What of `propose.synthesize` cannot work with the run's task source, or without a judge."""
    key, methods = "propose.synthesize", synthesis.methods
    if "procedural" in methods and not tasks.evolves:
        yield f"{key}.methods has procedural, but tasks of {tasks.source} cannot be evolved by program; leave it out"
    if "rare" in methods and synthesis.rare is None and not tasks.axes:
        yield f"{key}.methods has rare, and {key}.rare is missing; add its taxonomy ({tasks.source} has no axes of its own)"
    if synthesis.teacher is not None and synthesis.teacher.backend.is_student:
        yield f"{key}.teacher.backend.model is {{student}}, which cannot teach itself; name another model"
    if "instruct" in methods and not judged:
        yield f"{key}.methods has instruct, whose tasks only a judge can grade, and there is none; add judge"
