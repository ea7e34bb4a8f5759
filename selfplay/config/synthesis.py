"""Floor 0: the sections on data that is made: teacher, taxonomy, topics, which maker makes how much each round; shares by tag."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from selfplay.config.sections import Count, Section, Share, TaskSettings, TeacherEngine

RoundMaker = Literal["procedural", "evolve", "rare", "textbook", "variants", "backtranslate", "instruct"]


_READERS: dict[str, RoundMaker] = {
    "textbook": "textbook",
    "texts": "instruct",
    "samples": "instruct",
    "rare": "rare",
    "variants": "variants",
    "pivot": "backtranslate",
    "language": "backtranslate",
}
"""Setting -> the one maker that reads it in a round."""


class Teacher(Section):
    """Who writes: any chat server, or a model in this process."""

    backend: TeacherEngine
    temperature: float = Field(0.8, ge=0)
    max_new_tokens: Count = 1024


class TailGap(Section):
    """Measured coverage of one value of an axis, from a run's report: `have` of `wanted`."""

    axis: str
    value: str
    have: float = Field(ge=0)
    wanted: float = Field(gt=0)


class Scenarios(Section):
    """What rare tasks are drawn from."""

    taxonomy: dict[str, tuple[str, ...]]
    """Axis -> values, such as topic, construct, edge, persona."""
    gaps: tuple[TailGap, ...] = ()
    """Where the tail falls short; such values are drawn more often. A run measures its own after its first round."""
    kind: Literal["math", "code"] = "math"


class TextbookPlan(Section):
    """Exercises from topics."""

    topics: dict[str, tuple[str, ...]]
    """Topic -> subtopics; a topic without an entry is a leaf."""
    sections: Count = 3
    exercises: Count = 3


class MakerSettings(Section):
    """How the makers work, in a run and in `selfplay make` alike."""

    teacher: Teacher | None = None
    depth: Count = 3
    """Most times that a task is evolved in depth, generation by generation; `procedural` and `evolve`."""
    textbook: TextbookPlan | None = None
    texts: str | None = None
    """JSON Lines with `id` and `text`: good texts for `instruct`."""
    pivot: str = "French"
    """The other language of `backtranslate`."""
    language: str = "English"
    variants: Count = 3
    """Variants asked for a task."""
    samples: Count = 2
    """Teacher traces a task, and instructions a text."""
    solutions: int = Field(2, ge=0)
    """Independent solutions that a made task is held to; none without a teacher."""


class MakeTasks(MakerSettings):
    """Tasks that are made each round, beside the drawn ones, from what earlier rounds solved."""

    makers: dict[RoundMaker, Count]
    """Maker -> how many it is asked for a round: parents that it works on, draws (`rare`), topics, texts."""
    rare: Scenarios | None = None
    """None, for list programs: `rare` draws operations, without a teacher."""
    boost: float = Field(40.0, ge=0)
    """A stratum covered to a share c of what the dev set asks for is drawn with weight 1 + boost (1 - c)^4."""
    chunk_tasks: Count = 32
    """Items a chunk: what one rank takes at once, and the most that a crash costs."""

    @model_validator(mode="after")
    def _parts_fit(self) -> "MakeTasks":
        if not self.makers:
            raise ValueError("makers is empty; name at least one, such as {procedural: 100}, or remove make")
        for maker, key in (("textbook", "textbook"), ("instruct", "texts")):
            if maker in self.makers and getattr(self, key) is None:
                raise ValueError(f"makers has {maker}, and {key} is missing; add {key}, or leave {maker} out")
        for key, maker in _READERS.items():
            if maker not in self.makers and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"{key} is set, but makers lacks {maker}, which alone reads it; add it, or remove {key}"
                )
        return self

    @property
    def asking(self) -> tuple[str, ...]:
        """The makers that ask a teacher."""
        return tuple(m for m in self.makers if m != "procedural" and not (m == "rare" and self.rare is None))

    def kinds(self, own: set[str]) -> set[str]:
        """Types of the checks that admission needs beside the run's. `own`: those of the source's tasks."""
        found = set(own)
        if "evolve" in self.makers and own - {"code_tests"}:
            found.add("math")
        if self.rare is not None:
            found.add("code_tests" if self.rare.kind == "code" else "math")
        if "textbook" in self.makers or "variants" in self.makers:
            found.add("math")
        return found | ({"judge"} if "instruct" in self.makers else set())


class QuotaWish(Section):
    """A wish about the shares of the accepted attempts of a round."""

    tag: str
    """`operation:twice`, a bare tag, or `maker:*`: every value of the name is a stratum of its own."""
    minimum: Share = 0.0
    """Takes back what passed and was dropped for rank alone, while there is any."""
    maximum: Share = 1.0
    """Drops the lowest-ranked of the stratum, fullest tasks first."""

    @model_validator(mode="after")
    def _acts(self) -> "QuotaWish":
        if not self.tag:
            raise ValueError("tag is empty; give a tag such as topic:sets, or name:* for each of its values")
        if not (self.minimum < 1 and self.maximum > 0 and self.minimum <= self.maximum):
            raise ValueError(f"{self.tag} asks for {self.minimum} to {self.maximum}; shares are minimum <= maximum")
        if self.minimum == 0 and self.maximum == 1:
            raise ValueError(f"{self.tag} has neither minimum nor maximum, so no effect; give one or remove it")
        return self


def making_faults(make: MakeTasks, tasks: TaskSettings, judged: bool) -> Iterator[str]:
    """What of `propose.make` cannot work with the run's source, or without a judge."""
    if "procedural" in make.makers and not tasks.evolves:
        yield f"propose.make.makers has procedural, but tasks of {tasks.source} cannot be evolved by program; leave it out"
    if "rare" in make.makers and make.rare is None and not tasks.axes:
        yield f"propose.make.makers has rare, and propose.make.rare is missing; add its taxonomy ({tasks.source} has no axes of its own)"
    if make.asking and make.teacher is None:
        yield f"propose.make.makers has {', '.join(make.asking)}, which ask a teacher, and there is none; add propose.make.teacher"
    if make.teacher is not None and not make.asking:
        yield "propose.make.teacher is set, but no maker asks it; name one such as evolve, or remove it"
    if make.teacher is not None and make.teacher.backend.is_student:
        yield "propose.make.teacher.backend.model is {student}, and the student teaches nobody; name another model"
    if "instruct" in make.makers and not judged:
        yield "propose.make.makers has instruct, whose tasks only a judge can grade, and there is none; add judge"
