"""The base class of all sections, and of the settings of task sources, students and engines.

Every key is either *science* or *operation*. A science key affects results: it is part of the run's fingerprint, and a run does not
resume with another value. An operation key (declared with `operation(...)`) may change between two starts. Unknown keys are errors.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from selfplay.config.registry import ENGINES, STUDENT_ENGINES, STUDENTS, TASK_SOURCES, PartOf
from selfplay.records import Task


def operation(default: Any, **limits: Any) -> Any:
    """Declares an operation key: it may change between two starts of a run, whose rounds stay comparable."""
    return Field(default, json_schema_extra={"operation": True}, **limits)


class Section(BaseModel):
    """Base of all sections: frozen, without unknown keys; defaults are validated too."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


# ---- base classes of the parts ----


class TaskSettings(Section):
    """Base of the settings of a task source. Each source defines its own settings in its file, which also state what it supports."""

    source: str
    license: str | None = operation(None)
    """Licence of the tasks by its name on the hub, such as `cc-by-4.0`. It stands in published cards and changes nothing else. None: that of
    the source where selfplay knows it (gsm8k, mbpp, humaneval, reasoning_gym, and tasks that selfplay itself writes), else unknown."""

    known_license: ClassVar[str | None] = None
    """Licence of the source's tasks where nobody says otherwise; None: unknown."""
    language: ClassVar[str | None] = None
    """Code of the tasks' natural language, for published cards; None: unknown, or none."""
    endless: ClassVar[bool] = False
    """Whether the source generates new tasks without end, so that `propose.tasks_per_round` is required."""
    templated: ClassVar[bool] = False
    """Whether all prompts are written from one template. Such a source keeps held-out tasks apart itself, since a search for shared
    words or near-duplicates would flag every task."""
    evolves: ClassVar[bool] = False
    """Whether tasks can be evolved by a program; the opened source is then an `Evolver`."""
    axes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Tag name -> its values, for tags by which tasks can be drawn. With axes, the method `rare` needs no taxonomy."""
    evaluation_only: ClassVar[bool] = False
    """Whether the source has only test tasks, on which no run may train."""
    scripted_student: ClassVar[bool] = True
    """Whether a scripted student can answer; it adds up the numbers in the first line of a prompt."""

    def open(
        self, *, seed: int, eval_seed: int, folder: Path, fault_of: Callable[[Mapping[str, Any]], str] | None = None
    ) -> Any:
        """Opens the source, a `selfplay.tasks.Source`.

        `seed` draws training tasks, `eval_seed` held-out tasks. Relative paths count from `folder`. `fault_of` returns the fault of
        a row's verifier, or ""; None: verifiers are not checked. Raises DataError if a file is missing, empty or malformed, with all
        faults, one per line, each with file and line.
        """
        raise NotImplementedError(f"{type(self).__name__}.open")


class StudentSettings(Section):
    """Base of the settings of a student. Each kind defines its own settings in `selfplay.models`."""

    kind: str
    model_family: tuple[str, ...] = ()
    """Names of the family of its base model, such as [qwen2.5]. A judge that shares a name with the student is refused."""

    @property
    def prompt_form(self) -> Literal["chat", "plain"]:
        """Whether the model gets a prompt as chat messages or as plain text."""
        return "plain"

    @property
    def served_by(self) -> "EngineSettings | None":
        """The engine that samples it; None: this process."""
        return None

    @property
    def chat_arguments(self) -> dict[str, Any]:
        """The arguments of its chat template; {} where it has none."""
        return {}

    def located(self, folder: Path) -> Self:
        """The same settings with relative paths made absolute; they count from `folder`, that of the configuration."""
        return self

    def files(self, folder: Path) -> dict[str, Path]:
        """Files and folders that the student depends on, by their names in the run's fingerprint."""
        return {}

    def model_fault(self, folder: Path, *, ask_hub: bool) -> str:
        """Why its pretrained model cannot be had, as `is 'x', problem; remedy`; "" if it can, or if there is none. Loads nothing.

        `ask_hub`: whether the hub may be asked for a model that is not here. Raises OSError if it does not answer.
        """
        return ""

    def context(self, folder: Path | None = None) -> int | None:
        """How many tokens the model holds, prompt and reply together; None: not known, or without a limit. Loads nothing.

        `folder`: a round's model; None: that of the settings.
        """
        return None

    def least_tokens(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text, without those of a template; [] where the tokenizer is not at hand. Loads no model."""
        return []

    def make_initial(self, anchor: Sequence[Task], out: Path, seed: int) -> None:
        """Writes the model folder that round 0 starts from. `anchor`: the tasks on whose texts a tokenizer may be trained."""
        raise NotImplementedError

    def open(self, opening: Any) -> Any:
        """Opens the weights in this process. `opening`: a `selfplay.models.base.Opening` with `student`. Returns a `Backend`."""
        raise NotImplementedError

    def encoder(self, folder: Path) -> Any:
        """Returns a `selfplay.models.base.Encoder` with the tokenizer of a model folder."""
        raise NotImplementedError


class EngineSettings(Section):
    """Base of the settings of an engine, which completes prompts. Each engine defines its own settings in `selfplay.models`."""

    kind: str
    model_family: tuple[str, ...] = ()
    """Names of the family of its base model, such as [llama3]; an engine that serves the student takes those of the student."""

    @property
    def is_student(self) -> bool:
        """Whether the engine samples the run's own student, in this process or through a server."""
        return False

    @property
    def origin(self) -> Literal["student", "teacher"]:
        """Who counts as the author of its attempts."""
        return "student" if self.is_student else "teacher"

    @property
    def answers_corrections(self) -> bool:
        """Whether the engine can answer a correction prompt."""
        return True

    @property
    def name(self) -> str:
        """The name for messages: that of the model, or the kind of engine."""
        return self.kind

    def prompt_form(self, student: StudentSettings) -> Literal["chat", "plain"]:
        """Whether the model gets a prompt as chat messages or as plain text."""
        return "chat"

    def misfits(self, student: StudentSettings) -> Iterator[str]:
        """Reasons why the engine cannot write this student's attempts, as `key is value, problem; remedy`; empty if it can."""
        return iter(())

    def limits(self) -> Iterator[str]:
        """What it cannot do as the engine of the student, a sentence each; shown when a run starts."""
        return iter(())

    def training_fault(self, train: Any) -> str:
        """Why it cannot sample what the section `train` trains, as `key is value, problem; remedy`; "" if it can."""
        return ""

    def student_fault(self, model: Path) -> str:
        """Why it cannot serve a student whose base model is this folder or hub name, as `problem; remedy`; "" if it can."""
        return ""

    def files(self, folder: Path) -> dict[str, Path]:
        """Files that its completions depend on, by their names in the run's fingerprint."""
        return {}

    def check(self, folder: Path) -> None:
        """Raises DataError or ConfigError if its files, its address or its key cannot be used; called before any model is loaded."""

    def model_fault(self, folder: Path, *, ask_hub: bool) -> str:
        """See `StudentSettings.model_fault`."""
        return ""

    def unreachable(self, opening: Any) -> str:
        """Why its server cannot be reached, as `http://... does not answer (reason)`; "" if it can, or if there is no server."""
        return ""

    def open(self, opening: Any) -> Any:
        """Opens the engine. `opening`: a `selfplay.models.base.Opening`. Returns a `selfplay.models.base.Backend`."""
        raise NotImplementedError


# ---- fields that name a part ----

Tasks = Annotated[TaskSettings, PartOf(TASK_SOURCES)]

Student = Annotated[StudentSettings, PartOf(STUDENTS)]
StudentsEngine = Annotated[EngineSettings, PartOf(STUDENT_ENGINES)]
Sampler = Annotated[EngineSettings, PartOf(ENGINES)]
TeacherEngine = Annotated[EngineSettings, PartOf(ENGINES, but=("student", "recorded"))]
"""The engine of a teacher or a judge."""
