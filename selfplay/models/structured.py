"""Replies that have to be one JSON object of a known shape, from any backend.

The ladder: the server is asked for the schema (Http steps down to json_object and to nothing where it must), the text is
read by `replies`, a reply that cannot be read is asked for once more, and then it is unreadable. Never a guess: two
objects that differ are no answer, nor is one that stands inside other talk, is cut off, or has a key twice.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from pydantic import BaseModel, ValidationError

from selfplay.models import Backend
from selfplay.models.replies import whole_object
from selfplay.records import Completion, Message, Request, Sampling
from selfplay.seeds import seed_of

Shape = TypeVar("Shape", bound=BaseModel)

_READ_CHARS = 256 * 1024
_QUOTED_CHARS = 2000


class SchemaBackend(Protocol):
    """A backend whose capabilities say that it can hold its replies to a JSON schema."""

    def complete_schema(
        self, requests: Sequence[Request], *, schema: Mapping[str, Any], n: int, sampling: Sampling, seed: int
    ) -> list[list[Completion]]:
        """As `complete`; how far the schema is kept to is the server's affair."""
        ...


@dataclass(frozen=True)
class Answer(Generic[Shape]):
    """One reply: `value`, or else `fault`. `outage` says that the backend failed, not the model."""

    value: Shape | None
    fault: str = ""
    outage: bool = False
    asked: int = 1
    """1, or 2 where the first reply could not be read."""


def ask(
    backend: Backend, requests: Sequence[Request], shape: type[Shape], *, n: int, sampling: Sampling, seed: int
) -> list[list[Answer[Shape]]]:
    """`n` answers a request, in order, each read into `shape`; unreadable ones were asked for once more."""
    first = _complete(backend, requests, shape, n, sampling, seed)
    answers = [[_answer(completion, shape) for completion in row] for row in first]
    again = [
        (i, j)
        for i, row in enumerate(answers)
        for j, answer in enumerate(row)
        if answer.value is None and not answer.outage
    ]
    if not again:
        return answers
    requests_again = [_again(requests[i], first[i][j], answers[i][j].fault) for i, j in again]
    replies = _complete(backend, requests_again, shape, 1, sampling, seed_of(seed, "again"))
    for (i, j), [completion] in zip(again, replies, strict=True):
        answers[i][j] = _answer(completion, shape, asked=2)
    return answers


def extract(text: str, shape: type[Shape]) -> Shape:
    """The object of this shape that a reply is; see `replies` for what may stand around it.

    A thinking block is not looked into. Where words stand around the object, it must name every field that the schema sent to servers
    requires. Raises ValueError with the reason, fit to be told the model.
    """
    if len(text) > _READ_CHARS:
        raise ValueError(f"longer than {_READ_CHARS} characters")
    found = whole_object(text, shape.model_fields.keys())
    required = shape.model_json_schema().get("required", ())
    if not found.alone and (missing := [key for key in required if key not in found.value]):
        raise ValueError(f"{missing[0]}: missing, in an object with other words around it")
    folded = {_folded(key): key for key in shape.model_fields}
    if odd := [key for key in found.value if folded.get(_folded(key), key) != key]:
        # a second value under nearly the same key: which of the two is meant nobody can say
        raise ValueError(f"{odd[0]!r}: write the key as {folded[_folded(odd[0])]!r}")
    try:
        return shape.model_validate(found.value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the object"
        raise ValueError(f"{where}: {first['msg']}") from None


def _folded(key: str) -> str:
    """The letters and digits of a key alone, without case."""
    return "".join(c for c in unicodedata.normalize("NFKC", key).casefold() if c.isalnum())


def _complete(
    backend: Backend, requests: Sequence[Request], shape: type[BaseModel], n: int, sampling: Sampling, seed: int
) -> list[list[Completion]]:
    if backend.capabilities.json_schema:
        schema = shape.model_json_schema()
        return cast(SchemaBackend, backend).complete_schema(requests, schema=schema, n=n, sampling=sampling, seed=seed)
    return backend.complete(requests, n=n, sampling=sampling, seed=seed)


def _answer(completion: Completion, shape: type[Shape], asked: int = 1) -> Answer[Shape]:
    if completion.finish_reason == "error":
        return Answer(None, completion.error or "the backend failed", outage=True, asked=asked)
    if completion.finish_reason == "length":
        # what stands there may be a draft, or a quotation
        return Answer(None, "the reply was cut off", asked=asked)
    try:
        return Answer(extract(completion.text, shape), asked=asked)
    except ValueError as error:
        return Answer(None, str(error), asked=asked)


def _again(request: Request, reply: Completion, fault: str) -> Request:
    """The same request, with the reply and what was wrong with it."""
    said = reply.text[:_QUOTED_CHARS] or "(nothing)"
    complaint = f"That could not be used: {fault}. Reply with the one JSON object alone, nothing before or after it."
    if request.prompt is not None:
        return request.model_copy(update={"prompt": f"{request.prompt}\n{said}\n\n{complaint}\n"})
    more = (Message(role="assistant", content=said), Message(role="user", content=complaint))
    return request.model_copy(update={"messages": (*(request.messages or ()), *more)})
