"""The OpenAI-compatible wire format as pure functions: what is sent, and how any reply is read.

Nothing here raises on a reply, whatever its bytes: it becomes completions, or a `Trouble` that says what to do next.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from selfplay.models.openai.limits import Spent
from selfplay.records import Completion, digest

LogprobsMode = Literal["off", "raw", "processed"]
"""What the server's log-probabilities mean: `raw` are the model's own, `processed` those after temperature and top-p."""

_SEED_BITS = 2**31
_ERROR_CHARS = 300
_STOP = {"stop", "eos", "eos_token", "end_turn", "stop_sequence", "tool_calls", "function_call"}


@dataclass(frozen=True)
class Ask:
    """One prompt to be completed, as it leaves: already filtered, before seed and `n`."""

    path: str
    """`chat/completions` or `completions`."""
    fields: dict[str, Any]
    optional: dict[str, Any] = field(default_factory=dict)
    """Fields that a server may refuse: they are then left out for the rest of the session."""
    schema: Mapping[str, Any] | None = None
    keep_logprobs: bool = False

    def key(self, identity: str, seed: int, index: int) -> str:
        """Cache key: sha256 over model, messages, parameters, the call's seed and the sample index.

        `identity` stands for the weights: one served name may mean other weights in the next round.
        """
        asked = {"path": self.path, "fields": self.fields, "optional": self.optional, "schema": self.schema}
        return digest({"v": 1, "identity": identity, "ask": asked, "seed": seed, "index": index}, 64)

    def wire(self, *, n: int, seed: int, rung: int = 0, refused: frozenset[str] = frozenset()) -> dict[str, Any]:
        """The JSON body. `rung` 0 asks for the schema, 1 for any JSON object, 2 for nothing of the kind."""
        body = dict(self.fields)
        body |= {name: value for name, value in self.optional.items() if name not in refused}
        if "max_tokens" in refused and "max_tokens" in body:
            body["max_completion_tokens"] = body.pop("max_tokens")
        if "seed" not in refused:
            body["seed"] = seed % _SEED_BITS
        if n > 1:
            body["n"] = n
        if self.schema is not None and rung == 0:
            shape = {"name": "reply", "schema": dict(self.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        elif self.schema is not None and rung == 1:
            body["response_format"] = {"type": "json_object"}
        return body

    def estimate(self, n: int) -> Spent:
        """What it may cost where the server does not say: a token for 3 bytes sent, and every completion at its limit."""
        sent = len(json.dumps(self.fields.get("messages", self.fields.get("prompt", ""))).encode("utf-8", "replace"))
        most = int(self.fields.get("max_tokens", 0))
        return Spent(prompt_tokens=sent // 3 + 8, completion_tokens=most * n, requests=1, estimated=1)


class Kind(Enum):
    """What a failed exchange means for the next one."""

    BUSY = "busy"
    """Too much at once (429, 503, 529): fewer at once, later again."""
    DOWN = "down"
    """The server failed before it worked: later again."""
    LOST = "lost"
    """The reply was cut, late or unreadable: again, but it may have been paid for."""
    REFUSED = "refused"
    """This request as it stands (400, 422): again only with another form."""
    NEVER = "never"
    """This request will not be answered."""
    SETUP = "setup"
    """Key, address or model name are wrong (401, 404)."""
    QUOTA = "quota"
    """The provider's own budget is used up."""


@dataclass(frozen=True)
class Trouble:
    """A failed exchange; `text` is bounded and fit to be shown."""

    kind: Kind
    text: str
    retry_after: float | None = None


@dataclass(frozen=True)
class Reply:
    """The choices of a reply in the server's order, at least one, and what it cost."""

    completions: list[Completion]
    spent: Spent


def clean(text: str) -> str:
    """The text with half surrogate pairs, which UTF-8 cannot hold, as `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def read(status: int, payload: bytes, ask: Ask, n: int, retry_after: float | None = None) -> Reply | Trouble:
    """A reply's status and body as completions (at most `n`) or as the trouble it means."""
    body = _json(payload)
    if not 200 <= status < 300:
        return _trouble(status, body, payload, retry_after)
    if not isinstance(body, dict):
        return Trouble(Kind.LOST, f"HTTP {status} with a body that is no JSON object: {_shown(payload)}")
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        return _without_choices(body, payload, retry_after)
    read_ = [_completion(choice, body, ask) for choice in choices[:n]]
    completions = [completion for completion in read_ if completion is not None]
    if len(completions) < len(read_):
        return Trouble(Kind.LOST, f"a choice without text: {_shown(payload)}")
    spent, exact = _usage(body, ask, completions)
    if exact:
        usage = {"prompt_tokens": spent.prompt_tokens, "completion_tokens": spent.completion_tokens}
        completions[0] = completions[0].model_copy(update={"usage": usage})
    return Reply(completions, spent)


def concession(text: str, sent: Mapping[str, Any]) -> str | None:
    """The field of a refused body to leave out, by what the refusal says; None where it names none of ours.

    A refusal that names no field is about this prompt (too long, say), and no reason to ask differently ever after.
    """
    low = text.lower()
    if "max_tokens" in sent and "max_completion_tokens" in low:
        return "max_tokens"
    words = {"response_format": r"response_format|json_schema|json_object|json mode|structured|guided"}
    for name in ("response_format", "return_token_ids", "top_logprobs", "logprobs", "seed"):
        if name in sent and re.search(words.get(name, rf"\b{name}\b"), low):
            return name
    return None


def _json(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _shown(payload: bytes) -> str:
    text = payload[: 4 * _ERROR_CHARS].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text)[:_ERROR_CHARS] or "(empty)"


def _error_of(body: Any) -> tuple[str, str]:
    """(code or type, message) of an error body in any of the usual shapes."""
    error = body.get("error", body.get("detail", body)) if isinstance(body, dict) else body
    if isinstance(error, dict):
        code = error.get("code") or error.get("type") or ""
        return str(code), str(error.get("message") or "")
    return "", error if isinstance(error, str) else ""


def _trouble(status: int, body: Any, payload: bytes, retry_after: float | None) -> Trouble:
    code, message = _error_of(body)
    text = f"HTTP {status}: {_shown((message or '').encode('utf-8', 'replace') or payload)}"
    if status == 402 or "insufficient_quota" in (code, str(body.get("type")) if isinstance(body, dict) else ""):
        return Trouble(Kind.QUOTA, text)
    if status in (429, 503, 529):
        return Trouble(Kind.BUSY, text, retry_after)
    if status >= 500 or status in (408, 409, 425):
        return Trouble(Kind.DOWN, text, retry_after)
    kinds = {400: Kind.REFUSED, 422: Kind.REFUSED, 401: Kind.SETUP, 404: Kind.SETUP}
    return Trouble(kinds.get(status, Kind.NEVER), text)


def _without_choices(body: dict[str, Any], payload: bytes, retry_after: float | None) -> Trouble:
    """A 200 without choices: some gateways wrap an upstream error so."""
    code, _ = _error_of(body)
    if "error" in body and code.isascii() and code.isdigit() and 400 <= int(code[:4]) < 600:
        return _trouble(int(code[:4]), body, payload, retry_after)
    return Trouble(Kind.LOST, f"a reply without choices: {_shown(payload)}")


def _completion(choice: Any, body: Mapping[str, Any], ask: Ask) -> Completion | None:
    if not isinstance(choice, dict):
        return None
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    if text is None and isinstance(message, dict):
        text = ""  # a refusal or a tool call: it was answered, with no text
    if not isinstance(text, str):
        return None
    reason = choice.get("finish_reason")
    if reason in ("abort", "error"):
        return None
    prompt = choice.get("prompt_token_ids", body.get("prompt_token_ids"))
    ids = _ids(choice.get("token_ids"))
    return Completion(
        text=clean(text),
        prompt_ids=_ids(prompt) if ids is not None else None,
        completion_ids=ids,
        logprobs=_logprobs(choice.get("logprobs"), ids) if ask.keep_logprobs else None,
        # anything but a plain stop is taken as cut off (content filters too): such text is never trained on
        finish_reason="stop" if reason in _STOP else "length",
    )


def _ids(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list) or not all(type(v) is int and 0 <= v < _SEED_BITS for v in value):
        return None
    return tuple(value)


def _logprobs(value: Any, ids: Sequence[int] | None) -> tuple[float, ...] | None:
    """One finite number a token, else None. Chat has `content[].logprob`, text completions have `token_logprobs`."""
    if not isinstance(value, dict):
        return None
    content, plain = value.get("content"), value.get("token_logprobs")
    numbers: list[Any] = []
    if isinstance(content, list):
        numbers = [entry.get("logprob") if isinstance(entry, dict) else None for entry in content]
    elif isinstance(plain, list):
        numbers = plain
    if not numbers or (ids is not None and len(ids) != len(numbers)):
        return None
    if not all(type(v) in (int, float) and math.isfinite(v) and v <= 0 for v in numbers):
        return None
    return tuple(float(v) for v in numbers)


def _usage(body: Mapping[str, Any], ask: Ask, completions: Sequence[Completion]) -> tuple[Spent, bool]:
    usage = body.get("usage")
    names = ("prompt_tokens", "completion_tokens")
    counts: list[Any] = [usage.get(name) for name in names] if isinstance(usage, dict) else []
    if len(counts) == 2 and all(type(c) is int and 0 <= c < _SEED_BITS for c in counts):
        return Spent(prompt_tokens=counts[0], completion_tokens=counts[1], requests=1), True
    written = sum(len(c.completion_ids or c.text.encode()) for c in completions)
    sent = ask.estimate(len(completions))
    return Spent(sent.prompt_tokens, min(sent.completion_tokens, written), requests=1, estimated=1), False
