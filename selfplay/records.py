"""The records that all parts exchange: task, request, completion, attempt, verdict, decision, trace, row, preference pair.

Records are frozen and depend on nothing but the standard library and pydantic. An outcome has no truth value: `bool(outcome)`
raises. A score is `float | None`; None means not scored, never 0.
"""

import hashlib
import json
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticSerializationError

SCHEMA_VERSION = 2
"""Written to every run folder and chunk file; files of another version are refused. Version 1 was selfplay 0.1."""
SYNTHESIZED_BY = "synthesized_by"
"""Name of the tag of a synthesized task; the value of the tag is the method."""
SYNTHESIZED_SOURCE = "synthesized/"
"""Prefix of the `source` of a synthesized task; the method follows."""

EVIDENCE_CHARS = 4000
"""Limit on the characters of a verdict's evidence; longer text is cut."""


class Record(BaseModel):
    """Base of all records: frozen, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, ser_json_inf_nan="constants")

    def to_line(self) -> str:
        """The record as JSON on one line. Raises ValueError on NaN and infinities, which are not JSON.

        pydantic is five times faster than the standard library. The latter is used for what pydantic cannot write, text with lone
        surrogates (a tokenizer or a server can produce it), and for what it does not refuse, NaN and infinities.
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
    """The result of one verifier on an attempt, and of all its verifiers together by the task's rule."""

    PASS = "pass"
    FAIL = "fail"
    """The attempt is wrong; this includes a time-out or crash of its program."""
    INVALID = "invalid"
    """No answer was found, or the answer cannot be read."""
    ABSTAIN = "abstain"
    """The verifier cannot decide; the next one does."""
    ERROR = "error"
    """The verifier failed, as in an outage of the sandbox or a teacher. Never counted as wrong, never trained on."""

    def __bool__(self) -> bool:
        """Raises TypeError, since every outcome would count as true, even `fail`."""
        raise TypeError(
            f"an outcome has no truth value: compare it, as in `outcome is Outcome.PASS` (this one is {self.value})"
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
    """The prompt as a chat. Exactly one of `prompt` and `messages` is set."""
    check: dict[str, Any] = Field(alias="verifier")
    """How to verify an answer: `type` and the keys of that verifier. The key is `verifier` in JSON."""
    reference: str | None = None
    """A known right solution or answer, which is never shown to the student; None: none is known."""
    source: str = ""
    parents: tuple[str, ...] = ()
    """Ids of the tasks from which this one was derived."""
    tags: tuple[str, ...] = ()
    """Tags such as `difficulty:3` or `rare`, which define strata and quotas. A mapping {k: v} is read as tags `k:v`."""
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
        """The prompt as plain text; the messages of a chat are joined by blank lines."""
        return self.prompt if self.prompt is not None else "\n\n".join(m.content for m in self.messages or ())

    @property
    def turns(self) -> tuple[Message, ...]:
        """The prompt as chat messages; a plain prompt is one of the user."""
        return self.messages or (Message(role="user", content=self.prompt or ""),)

    def tag(self, name: str) -> str | None:
        """The value of the first tag `name:value`; None if there is none."""
        start = f"{name}:"
        for tag in self.tags:
            if tag.startswith(start):
                return tag[len(start) :]
        return None

    @property
    def difficulty(self) -> int | None:
        """The difficulty, n of the tag `difficulty:n`; None if there is no such tag or n is not a whole number."""
        value = self.tag("difficulty") or ""
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 4 else None


class Sampling(Record):
    """How completions are sampled. Every field has a value, so that no default of a model applies."""

    temperature: float = Field(1.0, ge=0)
    """0: greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0)
    """0: all tokens."""
    max_new_tokens: int = Field(256, ge=1)
    stop: tuple[str, ...] = ()


class Request(Record):
    """One prompt for a model backend, with the id of its task."""

    task_id: str
    prompt: str | None = None
    messages: tuple[Message, ...] | None = None

    @classmethod
    def of(cls, task: Task) -> "Request":
        """The request with a task's own prompt."""
        return cls(task_id=task.id, prompt=task.prompt, messages=task.messages)


class Completion(Record):
    """One sampled reply of a model backend."""

    text: str
    prompt_ids: tuple[int, ...] | None = None
    completion_ids: tuple[int, ...] | None = None
    """Token ids, with the end token if the model wrote it; None from servers that return no ids."""
    logprobs: tuple[float, ...] | None = None
    """Natural logarithms of the probabilities of the completion tokens under the sampler's distribution."""
    finish_reason: Literal["stop", "length", "error"] = "stop"
    error: str | None = None
    """The message of a failed request (finish_reason `error`), which is an outage and not an answer."""
    usage: dict[str, int] = Field(default_factory=dict)
    """Token counts as the backend reports them: prompt_tokens, completion_tokens."""
    retokenised: bool = False
    """Whether the token ids were encoded from the text, because the sampler returned none."""


class Attempt(Record):
    """One sampled solution of one task."""

    task_id: str
    attempt: int = Field(ge=0)
    """Number of the attempt within its task and round, from 0; corrections come after first tries."""
    round: int = Field(ge=0)
    text: str
    prompt_ids: tuple[int, ...] | None = None
    completion_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    finish_reason: Literal["stop", "length", "error"] = "stop"
    sampler: dict[str, Any] = Field(default_factory=dict)
    model: str = ""
    """What sampled it: a hash of weights, or the model name of a server."""
    chunk: int = 0
    turn: int = 0
    """0: a first try; 1: the correction of a failed one."""
    parent: int | None = None
    """Number of the attempt that this one corrects; None for a first try."""
    origin: Literal["student", "teacher", "human", "canary", "rollout"] = "student"
    retokenised: bool = False

    @property
    def id(self) -> str:
        """Unique within a run."""
        return f"r{self.round}/{self.task_id}/{self.attempt}"


class Verdict(Record):
    """The result of one verifier on one attempt."""

    verifier: str
    """The type of its check and a version, such as `code_tests/1`."""
    outcome: Outcome
    reason: str = ""
    """Why, in short, such as `wrong_answer` or `no answer found`."""
    evidence: str = ""
    """Evidence that a correction prompt may show, at most EVIDENCE_CHARS; never the expected answer."""
    score: float | None = None
    """Score from 0 to 1; None: not scored."""
    seconds: float = 0.0
    details: dict[str, Any] = Field(default_factory=dict)
    """Further data of the verifier, such as the sandbox tier; JSON types only."""

    @field_validator("evidence", mode="before")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        return value[:EVIDENCE_CHARS] if isinstance(value, str) else value


class Decision(Record):
    """The decision of curation on one attempt."""

    decision: Literal["accepted", "dropped"]
    reason: str
    """`accepted`, or the first filter that dropped the attempt (`failed`, `over_cap`, `exact_duplicate`, ...)."""
    rank: int | None = None
    """Rank among the task's attempts, 0 is the best; None: not ranked."""


class Trace(Record):
    """A task, an attempt at it, its verdicts, their outcome and the decision."""

    task: Task
    attempt: Attempt
    verdicts: tuple[Verdict, ...] = ()
    outcome: Outcome | None = None
    """None before verification."""
    decision: Decision | None = None
    """None before curation."""


class Row(Record):
    """A training example with exact token ids."""

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    """Token ids; -100 for tokens without loss (the prompt)."""
    weight: float = 1.0
    """The loss of the row's tokens is multiplied by it. The divisor of a step still counts tokens, so a weight of 2 is twice the
    row's pull on the weights, and 0 takes the row out of the loss."""
    kind: Literal["new", "older", "anchor"] = "new"
    source: str = ""
    """Id of the attempt, or of the anchor task, from which the row comes."""
    difficulty: int | None = None
    """Difficulty of the task; None if it has none. `curate.above_level_share` uses it."""


class Preference(Record):
    """A preference pair with exact token ids: an accepted attempt and a wrong one at the same task."""

    task_id: str
    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    """Completion ids of the accepted attempt."""
    rejected_ids: tuple[int, ...]
    chosen: str
    """Id of the accepted attempt."""
    rejected: str
    """Id of the wrong attempt."""
    reason: str = ""
    """Why the verifier rejected the wrong attempt."""
    round: int = 0
    """The round that built the pair."""
    kind: Literal["new", "older"] = "new"


def digest(value: Any, length: int = 16) -> str:
    """Hex sha256 over canonical JSON (sorted keys), the first `length` digits. Raises TypeError on non-JSON values."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]
