"""The base of all sections, and of the settings of task sources, students and engines.

Every key is *science* (it changes what a run finds; it is fingerprinted, and a run refuses to go on with another
value) or *operation* (marked by `operation(...)`; free to change between two starts). Unknown keys are refused.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from selfplay.config.registry import ENGINES, STUDENTS, TASK_SOURCES, PartOf
from selfplay.records import Task


def operation(default: Any, **limits: Any) -> Any:
    """A field that may change between two starts of one run without making its rounds incomparable."""
    return Field(default, json_schema_extra={"operation": True}, **limits)


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused, a default is held to its limits too."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


# ---- what all parts of one kind have ----


class TaskSettings(Section):
    """Base of the settings of a task source; each source's own stand in its file, and say what the source can do."""

    source: str

    endless: ClassVar[bool] = False
    """Whether new tasks are made without end, so that `propose.tasks_per_round` must say how many."""
    templated: ClassVar[bool] = False
    """Whether all prompts are written from one template. Then the source keeps held-out tasks apart itself, since a search for
    shared words or near-duplicates would hit every task."""
    evolves: ClassVar[bool] = False
    """Whether tasks can be evolved by program: the open source is an `Evolver`."""
    axes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Tag names by whose values tasks can be drawn, each with its values: `rare` needs no taxonomy then."""
    evaluation_only: ClassVar[bool] = False
    """Whether there are test tasks alone, which no run may train on."""
    scripted_student: ClassVar[bool] = True
    """Whether a scripted student, which adds up the numbers of a prompt's first line, can answer."""

    def open(
        self, *, seed: int, eval_seed: int, folder: Path, fault_of: Callable[[Mapping[str, Any]], str] | None = None
    ) -> Any:
        """Opens the source: a `selfplay.tasks.Source`.

        `seed`: the run's, for what is trained on; `eval_seed`: for what is held out. Relative paths count from `folder`.
        `fault_of` says what is wrong with the verifier of a row; None: verifiers are not looked at. Raises DataError where
        a file is missing, empty or malformed: all faults at once, one a line, each with file and line.
        """
        raise NotImplementedError(f"{type(self).__name__}.open")


class StudentSettings(Section):
    """Base of the settings of a student. Each kind's own stand in its engine's file, in `selfplay.models`."""

    kind: str
    model_family: tuple[str, ...] = ()
    """Words for the family of its base model; a judge that shares one is refused. Rounds inherit it."""

    @property
    def prompt_form(self) -> Literal["chat", "plain"]:
        """How a prompt reaches the model: as chat messages, or as bare text."""
        return "plain"

    def located(self, folder: Path) -> Self:
        """The same with paths that count from `folder`, the configuration's, made absolute."""
        return self

    def files(self, folder: Path) -> dict[str, Path]:
        """Files and folders that the student depends on, by the names that they have in the run's fingerprint."""
        return {}

    def make_initial(self, anchor: Sequence[Task], out: Path, seed: int) -> None:
        """Writes the model folder that round 0 starts from. `anchor`: texts that a tokenizer may be trained on."""
        raise NotImplementedError

    def open(self, opening: Any) -> Any:
        """Opens the weights in this process. Takes a `selfplay.models.base.Opening` with `student`, gives a `Backend`."""
        raise NotImplementedError

    def encoder(self, folder: Path) -> Any:
        """A `selfplay.models.base.Encoder` with the tokenizer of a model folder."""
        raise NotImplementedError


class EngineSettings(Section):
    """Base of the settings of an engine: something that completes prompts. Each engine's own stand in its file, in
    `selfplay.models`."""

    kind: str
    model_family: tuple[str, ...] = ()
    """Words for the family of its base model; a served student has the student's own."""

    @property
    def is_student(self) -> bool:
        """Whether it samples the run's own student, in this process or behind a server."""
        return False

    @property
    def origin(self) -> Literal["student", "teacher"]:
        """Whom its attempts count as written by."""
        return "student" if self.is_student else "teacher"

    @property
    def answers_corrections(self) -> bool:
        """Whether it can be asked for a second attempt."""
        return True

    @property
    def name(self) -> str:
        """What messages call it: the model's name, where it has one."""
        return self.kind

    def prompt_form(self, student: StudentSettings) -> Literal["chat", "plain"]:
        """How a prompt reaches the model: as chat messages, or as bare text."""
        return "chat"

    def misfits(self, student: StudentSettings) -> Iterator[str]:
        """Why it cannot write the attempts of this student, as `key is value, problem; remedy`; nothing where it can."""
        return iter(())

    def files(self, folder: Path) -> dict[str, Path]:
        """Files that its completions depend on, by the names that they have in the run's fingerprint."""
        return {}

    def check(self, folder: Path) -> None:
        """Raises DataError where its files cannot be read, before any model is loaded."""

    def open(self, opening: Any) -> Any:
        """Opens it. Takes a `selfplay.models.base.Opening`, gives a `selfplay.models.base.Backend`."""
        raise NotImplementedError


# ---- where tasks come from ----


Tasks = Annotated[TaskSettings, PartOf(TASK_SOURCES)]


# ---- who writes ----

Student = Annotated[StudentSettings, PartOf(STUDENTS)]
Sampler = Annotated[EngineSettings, PartOf(ENGINES)]
TeacherEngine = Annotated[EngineSettings, PartOf(ENGINES, but=("student", "recorded"))]
"""A model beside the student: a teacher or a judge."""
