"""Floor 2: replies that have to be one JSON object of a known shape, from any backend.

The ladder: the server is asked for the schema (Http steps down to json_object and to nothing where it must), the text is
read tolerantly, a reply that cannot be read is asked for once more, and then it is unreadable. Never a guess: two
objects that differ are no answer, and so is an object with a key twice.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ValidationError

from selfplay.models import Backend
from selfplay.records import Completion, Message, Request, Sampling
from selfplay.seeds import seed_of

Shape = TypeVar("Shape", bound=BaseModel)

_READ_CHARS = 64 * 1024
_OBJECTS = 50
_QUOTED_CHARS = 2000
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL | re.IGNORECASE)


@runtime_checkable
class SchemaBackend(Protocol):
    """A backend that can hold its replies to a JSON schema."""

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
    """The one object of this shape in a text, whatever stands around it; thought blocks are not looked into.

    Raises ValueError with the reason, fit to be told the model: none there, several that differ, none that fits.
    """
    text = _THOUGHT.sub(" ", text[:_READ_CHARS])
    found, fault = list[Shape](), ""
    for candidate in _objects(text):
        try:
            value = shape.model_validate(candidate)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the object"
            fault = f"{where}: {first['msg']}"
        else:
            found += [] if value in found else [value]
    if len(found) > 1:
        raise ValueError(f"{len(found)} different JSON objects, one was asked for")
    if not found:
        raise ValueError(fault or "no JSON object")
    return found[0]


def _complete(
    backend: Backend, requests: Sequence[Request], shape: type[BaseModel], n: int, sampling: Sampling, seed: int
) -> list[list[Completion]]:
    if isinstance(backend, SchemaBackend):
        schema = shape.model_json_schema()
        return backend.complete_schema(requests, schema=schema, n=n, sampling=sampling, seed=seed)
    return backend.complete(requests, n=n, sampling=sampling, seed=seed)


def _answer(completion: Completion, shape: type[Shape], asked: int = 1) -> Answer[Shape]:
    if completion.finish_reason == "error":
        return Answer(None, completion.error or "the backend failed", outage=True, asked=asked)
    try:
        return Answer(extract(completion.text, shape), asked=asked)
    except ValueError as error:
        cut = " (the reply was cut off)" if completion.finish_reason == "length" else ""
        return Answer(None, f"{error}{cut}", asked=asked)


def _again(request: Request, reply: Completion, fault: str) -> Request:
    """The same request, with the reply and what was wrong with it."""
    said = reply.text[:_QUOTED_CHARS] or "(nothing)"
    complaint = f"That could not be used: {fault}. Reply with the one JSON object alone, nothing before or after it."
    if request.prompt is not None:
        return request.model_copy(update={"prompt": f"{request.prompt}\n{said}\n\n{complaint}\n"})
    more = (Message(role="assistant", content=said), Message(role="user", content=complaint))
    return request.model_copy(update={"messages": (*(request.messages or ()), *more)})


def _objects(text: str) -> list[dict[str, Any]]:
    """The outermost JSON objects in a text, in order; at most 50 places are tried, so hostile text costs little."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
    found, at = list[dict[str, Any]](), text.find("{")
    for _ in range(_OBJECTS):
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            found.append(value)
        at = text.find("{", end)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) != len({key for key, _ in pairs}):
        raise ValueError("a key twice")
    return dict(pairs)


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no JSON number")
