"""Floor 0: the sections that say where tasks come from and who writes the attempts; and the base of all sections.

Every key is *science* (it changes what a run finds; it is fingerprinted, and a run refuses to go on with another
value) or *operation* (marked by `operation(...)`; free to change between two starts). Unknown keys are refused.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

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
    """Base of the settings of a task source; each kind's own stand in its file."""

    source: str


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


class ListPrograms(TaskSettings):
    """Procedural: write a Python function from a chain of list operations in English; endless, with tests."""

    source: Literal["list_programs"]
    anchor: Count = 400
    """Seed tasks with a solution: the data of round 0."""
    per_length: Count = 100
    """Held-out tasks for each operation count, once for the dev set and once for the test set."""
    human_text: Count = 100
    """Further seed solutions, never trained on, whose likelihood is followed."""
    correction_rows: int = Field(0, ge=0)
    """Corrections made by program (a wrong solution, its evidence, the right one) that are added to the anchor, so that a
    small student knows the form of a second try; useful with `correct.attempts: 1`."""


class Arithmetic(TaskSettings):
    """Procedural: compute a chain of additions and subtractions; checked as mathematics, needs no sandbox."""

    source: Literal["arithmetic"]
    anchor: Count = 64
    held_out: Count = 40
    """Tasks in the dev set, and as many in the test set."""
    max_operations: Count = 4


class JsonlTasks(TaskSettings):
    """Your own files, one task a line: id, prompt or messages, verifier, reference, tags, split."""

    source: Literal["jsonl"]
    train: str
    """Path; a task's own `split` wins. A relative path counts from the config file."""
    dev: str | None = None
    """Path of the dev tasks; None takes the lines of `train` with `split: dev`, or every 10th line."""
    test: str | None = None
    anchor: str | None = None
    """Path of tasks with a reference; None takes the training tasks that have one."""


class Gsm8k(TaskSettings):
    """Grade-school word problems (Cobbe et al. 2021): `question`, `answer` with `#### N` at the end."""

    source: Literal["gsm8k"]
    train: str
    """A JSONL(.gz) file, or a hub data set such as openai/gsm8k."""
    test: str
    anchor: int = Field(200, ge=0)
    """Training problems whose written solution is the anchor."""
    dev: Count = 200
    """Training problems held out as the dev set."""
    test_rows: int | None = Field(None, ge=1)
    """None: all of them."""
    train_rows: int | None = Field(None, ge=1)


class Gsm8kRecorded(TaskSettings):
    """The problems of OpenAI's release of graded model solutions, for the recorded backend with layout gsm8k_models.

    They are problems of GSM8K's test split: what learns from them must not be evaluated on it, so dev set and anchor
    come from the training split, and there is no test set.
    """

    source: Literal["gsm8k_recorded"]
    path: str
    """The JSONL(.gz) file of solutions: `question`, `ground_truth`, and four models' `solution` and `is_correct`."""
    train: str
    """GSM8K's training split."""
    anchor: Count = 200
    dev: Count = 50


class Mbpp(TaskSettings):
    """Short Python tasks with asserts (Austin et al. 2021), as `text`/`prompt`, `code`, `test_list`."""

    source: Literal["mbpp"]
    path: str
    """A JSONL(.gz) file, or a hub data set such as google-research-datasets/mbpp."""
    dev: Count = 50
    test: Count = 50
    """Tasks held out when the rows carry no split of their own."""


class HumanEval(TaskSettings):
    """Function completion with hidden tests (Chen et al. 2021): evaluation only, never trained on."""

    source: Literal["humaneval"]
    path: str


class WordProblems(TaskSettings):
    """Problems with one short answer, in the layouts of SVAMP, AQuA-RAT (multiple choice) and GSM-Hard."""

    source: Literal["svamp", "aqua", "gsm_hard"]
    path: str
    """A JSONL(.gz) or JSON file in the publisher's layout, or a hub data set: ChilleD/SVAMP, deepmind/aqua_rat, reasoning-machines/gsm-hard."""
    test: str | None = None
    """The same, for the test set; of a hub data set its test split. None: a part of `path`."""
    anchor: int = Field(200, ge=0)
    """Most problems with a written solution (AQuA alone has these) that are the anchor."""
    dev: Count = 50
    test_rows: Count = 50
    """Problems held out as the test set, where it has no file of its own."""


class ReasoningGym(TaskSettings):
    """Procedural tasks of reasoning-gym (extra `tasks`), by data set name; scored in the sandbox."""

    source: Literal["reasoning_gym"]
    datasets: tuple[str, ...] = Field(min_length=1)
    """Names such as [chain_sum, countdown]."""
    size: Count = 200
    """Training tasks of each."""
    dev: Count = 20
    """Of each, and as many for the test set."""
    threshold: float = Field(1.0, gt=0, le=1)
    """Score that passes."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Data set name -> its own settings, such as {chain_sum: {max_terms: 4}}."""


Tasks = Annotated[TaskSettings, PartOf(TASK_SOURCES)]


# ---- who writes ----

Student = Annotated[StudentSettings, PartOf(STUDENTS)]
Sampler = Annotated[EngineSettings, PartOf(ENGINES)]
TeacherEngine = Annotated[EngineSettings, PartOf(ENGINES, but=("student", "recorded"))]
"""A model beside the student: a teacher or a judge."""
