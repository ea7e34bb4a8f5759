"""The records every part speaks in. Frozen, standard library and pydantic only; they know nothing else.

Words are the design's: task, attempt, verdict, outcome, decision, trace, row. A verdict is never a bool: asking
for its truth value raises. A score is `float | None`; None means not scored, never 0.
"""

import hashlib
import json
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticSerializationError

SCHEMA_VERSION = 2
"""Stands in every run folder and record file; another version, older or newer, is refused. Version 1 was selfplay 0.1."""
SYNTHESIZED_BY = "synthesized_by"
"""Name of the tag that a synthesized task carries; its value is the method."""
SYNTHESIZED_SOURCE = "synthesized/"
"""Begins the `source` of a synthesized task; the method follows."""

EVIDENCE_CHARS = 4000
"""Bound on the evidence text of one verdict."""


class Record(BaseModel):
    """Base of all records: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, ser_json_inf_nan="constants")

    def to_line(self) -> str:
        """As JSON on one line. Raises ValueError on NaN and infinities, which are no JSON.

        pydantic writes it, five times faster than the standard library. That one takes over where pydantic fails, at text with lone
        surrogates (a tokenizer or a hostile server can give some), and where a number may be NaN, which only it refuses.
        """
        try:
            line = self.model_dump_json(by_alias=True)
            if "NaN" not in line and "Infinity" not in line:
                return line
        except PydanticSerializationError:
            pass
        return json.dumps(self.model_dump(mode="json", by_alias=True), allow_nan=False)

    @classmethod
    def from_line(cls, line: bytes | str) -> Self:
        """Reads what `to_line` wrote. Raises ValueError on anything else."""
        try:
            return cls.model_validate_json(line)
        except ValidationError:
            return cls.model_validate(json.loads(line))


class Outcome(StrEnum):
    """What a verifier says of one attempt, and what the task's rule makes of several such words."""

    PASS = "pass"
    FAIL = "fail"
    """Wrong; a candidate's own time-out or crash included."""
    INVALID = "invalid"
    """No answer was found, or none that can be read."""
    ABSTAIN = "abstain"
    """No opinion: the next verifier decides."""
    ERROR = "error"
    """Ours: sandbox or teacher outage. Retried, counted nowhere, never trained on."""

    def __bool__(self) -> bool:
        """Refused: every word would be true, `fail` included."""
        raise TypeError(
            f"an outcome is not a yes/no: compare it, as in `outcome is Outcome.PASS` (this one: {self.value})"
        )


class Message(Record):
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


class Task(Record):
    """A prompt and how to verify an answer to it."""

    id: str = Field(min_length=1)
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    """Exactly one of `prompt` and `messages` is given."""
    check: dict[str, Any] = Field(alias="verifier")
    """Data that says how to verify an answer: `type` and that verifier's own keys."""
    reference: str | None = None
    """A known right solution or answer; never shown to the student."""
    source: str = ""
    parents: tuple[str, ...] = ()
    """Ids of the tasks this one was made from."""
    tags: tuple[str, ...] = ()
    """Words such as `difficulty:3` or `rare`; strata and quotas go by them. A mapping {k: v} is read as `k:v`."""
    split: Literal["train", "anchor", "dev", "test"] = "train"

    @field_validator("tags", mode="before")
    @classmethod
    def _tags_from_mapping(cls, value: Any) -> Any:
        return tuple(f"{k}:{v}" for k, v in value.items()) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _one_prompt(self) -> "Task":
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("needs exactly one of prompt and messages")
        if not isinstance(self.check.get("type"), str):
            raise ValueError(
                "verifier has no type; give verifier: {type: code_tests | math | judge | python:package.module:function}"
            )
        return self

    @property
    def synthesized_by(self) -> str | None:
        """The synthesis method that wrote the task, from its tag `synthesized_by:METHOD`; None for a task of the source."""
        return self.tag(SYNTHESIZED_BY)

    @property
    def text(self) -> str:
        """The prompt as plain text: the messages' contents joined by blank lines where it is a chat."""
        return self.prompt if self.prompt is not None else "\n\n".join(m.content for m in self.messages or ())

    def tag(self, name: str) -> str | None:
        """The value of the first tag `name:value`, or None."""
        start = f"{name}:"
        for tag in self.tags:
            if tag.startswith(start):
                return tag[len(start) :]
        return None

    @property
    def difficulty(self) -> int | None:
        """The level of difficulty, n of the tag `difficulty:n`; None where there is no such tag, or n is no whole number."""
        value = self.tag("difficulty") or ""
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 4 else None


class Sampling(Record):
    """How completions are drawn; every field is set, so that no model default leaks in."""

    temperature: float = Field(1.0, ge=0)
    """0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    """0 keeps all tokens."""
    max_new_tokens: int = Field(256, ge=1)
    stop: tuple[str, ...] = ()


class Request(Record):
    """What a model backend is asked: one prompt, by the task's id."""

    task_id: str
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None

    @classmethod
    def of(cls, task: Task) -> "Request":
        """The request that a task's own prompt makes."""
        return cls(task_id=task.id, prompt=task.prompt, messages=task.messages)


class Completion(Record):
    """One sampled reply of a model backend."""

    text: str
    prompt_ids: tuple[int, ...] | None = None
    completion_ids: tuple[int, ...] | None = None
    """Token ids, the end token included where the model wrote it; None from servers that give none."""
    logprobs: tuple[float, ...] | None = None
    """Natural-log probabilities under the sampler's distribution, one a completion token."""
    finish_reason: Literal["stop", "length", "error"] = "stop"
    error: str | None = None
    """Set where the backend failed on this one (finish_reason error): an outage, never the student's answer."""
    usage: dict[str, int] = Field(default_factory=dict)
    """Token counts as the backend gives them: prompt_tokens, completion_tokens."""
    retokenised: bool = False
    """Token ids were made from the text here, not given by the model that sampled it."""


class Attempt(Record):
    """One sampled solution of one task."""

    task_id: str
    attempt: int = Field(ge=0)
    """Sample index within (task, round), corrections numbered on after the first turn's."""
    round: int = Field(ge=0)
    text: str
    prompt_ids: tuple[int, ...] | None = None
    completion_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    finish_reason: Literal["stop", "length", "error"] = "stop"
    sampler: dict[str, Any] = Field(default_factory=dict)
    model: str = ""
    """Identity of what sampled it: a hash of weights, or a server's model name."""
    chunk: int = 0
    turn: int = 0
    """0 first try, 1 the correction of a failed one."""
    parent: int | None = None
    """The `attempt` number that this one corrects."""
    origin: Literal["student", "teacher", "human", "canary", "rollout"] = "student"
    retokenised: bool = False

    @property
    def id(self) -> str:
        """Unique within a run."""
        return f"r{self.round}/{self.task_id}/{self.attempt}"


class Verdict(Record):
    """What one verifier says of one attempt."""

    verifier: str
    """The type of its check and a version, such as `code_tests/1`."""
    outcome: Outcome
    reason: str = ""
    """A short word or sentence: `wrong_answer`, `no answer found`."""
    evidence: str = ""
    """Bounded text that a correction may be shown; never the expected answer."""
    score: float | None = None
    """In [0, 1]; None means not scored."""
    seconds: float = 0.0
    details: dict[str, Any] = Field(default_factory=dict)
    """Verifier-specific data such as tier and trust; JSON types only."""

    @field_validator("evidence", mode="before")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        return value[:EVIDENCE_CHARS] if isinstance(value, str) else value


class Decision(Record):
    """What curation made of one attempt."""

    decision: Literal["accepted", "dropped"]
    reason: str
    """Why: `accepted`, or the first filter that dropped it (`failed`, `over_cap`, `exact_duplicate`, ...)."""
    rank: int | None = None
    """Place within the task's attempts, 0 best; None where it was never ranked."""


class Trace(Record):
    """The read-only join of a task, an attempt, its verdicts, the outcome and the decision."""

    task: Task
    attempt: Attempt
    verdicts: tuple[Verdict, ...] = ()
    outcome: Outcome | None = None
    """None before verification."""
    decision: Decision | None = None
    """None before curation."""


class Row(Record):
    """What TRL sees: one training example on exact token ids."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    """-100 where no loss is taken (the prompt)."""
    weight: float = 1.0
    """The loss of the row's tokens is multiplied by it. The divisor of a step still counts tokens, so a weight of 2 is twice the
    row's pull on the weights, and 0 takes the row out of the loss."""
    kind: Literal["new", "older", "anchor"] = "new"
    source: str = ""
    """Id of the attempt, or of the anchor task, that it came from."""
    difficulty: int | None = None
    """The task's level of difficulty; None where it has none. `curate.above_level_share` goes by it."""


class Preference(Record):
    """A right attempt against a wrong one of the same task, on exact token ids."""

    task_id: str
    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    """Completion ids of the accepted attempt."""
    rejected_ids: tuple[int, ...]
    chosen: str
    """Id of the accepted attempt."""
    rejected: str
    """Id of the wrong one."""
    reason: str = ""
    """Why the rejected side lost, in the verifier's words."""
    round: int = 0
    """The round in which the pair was made."""
    kind: Literal["new", "older"] = "new"


def digest(value: Any, length: int = 16) -> str:
    """Hex sha256 over canonical JSON (sorted keys), the first `length` digits. Raises TypeError on non-JSON values."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
