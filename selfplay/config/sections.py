"""Floor 0: the sections that say where tasks come from and who writes the attempts; and the base of all sections.

Every key is *science* (it changes what a run finds; it is fingerprinted, and a run refuses to go on with another
value) or *operation* (marked by `operation(...)`; free to change between two starts). Unknown keys are refused.
"""

from typing import Annotated, Any, Literal

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
    """Base of the settings of a task source; each kind's own stand in its file."""

    source: str


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
