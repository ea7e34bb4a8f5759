"""Floor 0: the base of all sections, and of the settings of task sources, students and engines.

Every key is *science* (it changes what a run finds; it is fingerprinted, and a run refuses to go on with another
value) or *operation* (marked by `operation(...)`; free to change between two starts). Unknown keys are refused.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from selfplay.config.registry import ENGINES, STUDENTS, TASK_SOURCES, PartOf


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
    """Base of the settings of a student."""

    kind: str
    model_family: tuple[str, ...] = ()
    """Words for the family of its base model; a judge that shares one is refused. Rounds inherit it."""


class EngineSettings(Section):
    """Base of the settings of an engine: something that completes prompts."""

    kind: str
    model_family: tuple[str, ...] = ()
    """Words for the family of its base model."""


# ---- where tasks come from ----


Tasks = Annotated[TaskSettings, PartOf(TASK_SOURCES)]


# ---- who writes ----


class TinyStudent(StudentSettings):
    """A decoder from random weights, its tokenizer trained on the anchor: made by the run, no download."""

    kind: Literal["tiny"]
    template: Literal["plain"] = "plain"
    model_family: tuple[str, ...] = ("tiny",)
    """Words for the family of its base model; a judge that shares one is refused. Rounds inherit it."""
    vocab_size: Annotated[int, Field(ge=280, le=100_000)] = 430
    hidden_size: Count = 128
    layers: Count = 4
    heads: Count = 4
    intermediate_size: Count = 384
    max_positions: Count = 512
    rope_theta: float = Field(10_000.0, ge=1)
    """Base of the rotary positions; a very large one (1e12) keeps near order and blurs far positions, and generalises better
    in length on the quick start's tasks (docs/quickstart-recipe.md)."""


class PretrainedStudent(StudentSettings):
    """A causal language model by hub name or path."""

    kind: Literal["pretrained"]
    model: str
    revision: str | None = None
    template: Literal["chat", "plain"] = "chat"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    model_family: tuple[str, ...] = ()
    """Words for the family of its base model, such as [qwen3]; needed where a judge grades it. Rounds inherit it."""


class ScriptedStudent(StudentSettings):
    """No network at all: solves arithmetic with probability `skill`, and learns from accepted rows. For trying a
    loop, its resume and its speed in seconds."""

    kind: Literal["scripted"]
    skill: Share = 0.3
    gain: Share = 0.3
    """How much of the distance to 1 a round of accepted rows closes."""
    model_family: tuple[str, ...] = ("scripted",)


Student = Annotated[StudentSettings, PartOf(STUDENTS)]


class StudentBackend(EngineSettings):
    """The student itself, in this process."""

    kind: Literal["student"]


class RecordedBackend(EngineSettings):
    """Attempts played from a JSONL(.gz) file, so that real outputs of other models run through the loop."""

    kind: Literal["recorded"]
    path: str
    id_field: str = "task_id"
    text_field: str = "text"
    layout: Literal["rows", "gsm8k_models"] = "rows"
    """`rows`: one attempt a line; `gsm8k_models`: the four graded solutions a problem of OpenAI's release."""


class HttpBackend(EngineSettings):
    """Any OpenAI-compatible server."""

    kind: Literal["http"]
    url: str = operation(..., min_length=8)
    """Base address up to and with `/v1`."""
    model: str
    """Name that the server knows. `{student}` is the folder of the weights that a round starts from: the student itself,
    served (`transformers serve` loads a model by its path)."""
    identity: str | None = None
    """Stands in attempts and cache keys for the weights behind the name; None: the name. Change it when they change."""
    model_family: tuple[str, ...] = ()
    """Words for the family of its base model; `{student}` has the student's own."""
    mode: Literal["chat", "text"] = "chat"
    """Messages, or bare prompts (`student.template: plain` goes with text)."""
    token_ids: bool = False
    """Ask for exact token ids (vLLM); only of use for `{student}`, whose tokens are trained on."""
    logprobs: Literal["off", "raw", "processed"] = "off"
    """What the server's log-probabilities mean, if they are asked for; only of use for `{student}`."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request, for servers whose own sampling defaults have to be overruled."""
    key_env: str | None = operation(None)
    """Name of the environment variable that holds the key; the key itself never stands in a file."""
    concurrency: Count = operation(16)
    timeout_seconds: float = operation(120.0, gt=0)
    max_tokens_spent: int | None = operation(None, ge=1)
    """Hard stop (exit 3) on prompt + completion tokens of the run; None: no limit."""
    max_money_spent: float | None = operation(None, ge=0)
    """The same in money; needs both prices."""
    prompt_price: float | None = operation(None, ge=0)
    """Money a million prompt tokens."""
    completion_price: float | None = operation(None, ge=0)
    """Money a million completion tokens."""
    retries: int = operation(5, ge=0)
    """Failed tries of one request after the first; then it counts as an outage."""
    wait_seconds: float = operation(0.5, gt=0)
    """The first pause before another try; it doubles."""
    privacy: Literal["scrub", "none"] = "scrub"
    """What leaves this machine is scrubbed of personal data, unless said otherwise."""

    @property
    def served_student(self) -> bool:
        """Whether it is the student itself, behind a server."""
        return self.model == SERVED_STUDENT

    @model_validator(mode="after")
    def _priced(self) -> "HttpBackend":
        prices = (self.prompt_price, self.completion_price)
        if (self.max_money_spent is not None or any(prices)) and None in prices:
            raise ValueError(
                f"prompt_price is {prices[0]} and completion_price {prices[1]}; give both, money a million tokens"
            )
        return self


SERVED_STUDENT = "{student}"


class PretrainedBackend(EngineSettings):
    """Another causal language model, by hub name or path, in this process: a teacher or judge without a server."""

    kind: Literal["pretrained"]
    model: str
    revision: str | None = None
    template: Literal["chat", "plain"] = "chat"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    model_family: tuple[str, ...] = ()
    """Words for the family of its base model."""


Sampler = Annotated[EngineSettings, PartOf(ENGINES)]
TeacherEngine = Annotated[EngineSettings, PartOf(ENGINES, only=("http", "pretrained"))]
"""A model beside the student: a teacher or a judge."""
