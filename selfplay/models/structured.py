"""Requests replies that are one JSON object of a known shape, from any backend.

The server is asked for the schema (the HTTP engine falls back to json_object, and then to no format, where it must). A reply that cannot be
read is requested once more; after that it counts as unreadable. Nothing is guessed: two different objects are no answer, nor is an object
that stands inside other text, is cut off, or has a key twice.

A reply that quotes somebody (a judge that repeats what a solution says of itself) holds objects that are not its own. So an
object counts only if it is the whole reply, alone and in its place. Strings are read leniently (raw newlines, LaTeX), structure
strictly. Text before the end of a thinking block is never read. Reading takes time linear in the text.
"""

import json
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeVar, cast

from pydantic import BaseModel, ValidationError

from selfplay.models import Backend
from selfplay.records import Completion, Message, Request, Sampling
from selfplay.seeds import seed_of

_NAMES = (
    r"think|thinking|thinks|thoughts?|reason|reasoning|reflection|analysis|scratch_?pad|(?:inner_)?monologue|deliberation|rationale|"
    r"chain_of_thought|cot|seed:think|seed:cot_budget_reflect|antml:thinking|internal"
)
_MARK = re.compile(
    rf"(?P<opens>[<\[◁]\|?(?:{_NAMES}|begin_of_thought)\|?[>\]▷]|<\|channel\|>\s*(?:analysis|commentary)\s*<\|message\|>)"
    rf"|(?P<closes>[<\[◁]\|?(?:/(?:{_NAMES})|end_of_thought)\|?[>\]▷]"
    r"|(?:<\|end\|>\s*)?(?:<\|start\|>\s*assistant\s*)?<\|channel\|>\s*final\s*<\|message\|>)"
    r"|(?P<object>\{\s*\")",
    re.IGNORECASE,
)
_PIECE = re.compile(r"\"(?:[^\"\\]|\\.)*+(?:\"|\\?\Z)|[{}\[\]]", re.DOTALL)
_STRING = re.compile(r"\"(?:[^\"\\]|\\.)*+\"", re.DOTALL)
# LaTeX commands that begin like a JSON escape, and are hardly ever meant as one
_LATEX = (
    r"frac\b|forall\b|flat\b|beta\b|bar\b|binom\b|begin\b|big[lr]?\b|bigg[lr]?\b|boxed\b|bmod\b|bullet\b|boldsymbol\b|because\b|times\b|"
    r"theta\b|text(?:bf|it|rm|tt)?\{|tfrac\b|triangle\b|tilde\b|therefore\b|nabla\b|notin\b|right\b|rightarrow\b|rho\b|rangle\b|"
    r"rfloor\b|rceil\b"
)
_ESCAPE = re.compile(rf"\\(?!{_LATEX})(?:[\"\\/bfnrt]|u[0-9a-fA-F]{{4}})|\\", re.DOTALL)


@dataclass(frozen=True)
class Found:
    """The object of a reply; `alone` where no words stand around it."""

    value: dict[str, Any]
    alone: bool


def whole_object(text: str, own_words: Collection[str] = ()) -> Found:
    """The one object that a reply is; `own_words` are its keys, which words around it may speak of.

    Raises ValueError with the reason, fit to be told the model: none there, several, one cut off or broken, one that stands
    inside other talk, thinking that is not closed.
    """
    text, spans = _after_thinking(text.removeprefix("\ufeff"))
    if not spans:
        raise ValueError("no JSON object")
    values = [_parsed(text[start:end]) for start, end in spans]
    before, after = text[: spans[0][0]], text[spans[-1][1] :]
    between = [text[end:start] for (_, end), (start, _) in pairwise(spans)]
    if any(value != values[0] for value in values) or any(_FENCE.sub("", gap).strip() for gap in between):
        raise ValueError(f"{len(values)} JSON objects, one was asked for")
    return Found(values[0], _stands_alone(before, after, own_words))


def _after_thinking(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The text without its thinking, and where its objects are in it."""
    kept, length, spans, at = list[str](), 0, list[tuple[int, int]](), 0
    while (mark := _MARK.search(text, at)) is not None:
        piece = text[at : mark.start()]
        if mark["object"]:
            end = _end(text, mark.start())
            if end is None:
                # a draft that was never finished, in thinking that was
                at = _closed_later(text, mark.start())
                kept, length, spans = [], 0, []
                continue
            spans.append((length + len(piece), length + end - at))
            piece, at = text[at:end], end
        elif mark["opens"]:
            close = next((m for m in _MARK.finditer(text, mark.end()) if m["closes"]), None)
            if close is None:
                raise ValueError("the thinking is not closed")
            piece, at = f"{piece}\n", close.end()
        else:
            if not _ends_thinking("".join([*kept, piece]), spans):
                raise ValueError("a tag that ends thinking stands inside the reply")
            kept, length, spans, at = [], 0, [], mark.end()
            continue
        kept.append(piece)
        length += len(piece)
    return "".join([*kept, text[at:]]), spans


def _end(text: str, start: int) -> int | None:
    """Where the object that begins at `start` ends; None where it does not."""
    depth = 0
    for piece in _PIECE.finditer(text, start):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(piece[0], 0)
        if depth == 0:
            return piece.end()
    return None


def _closed_later(text: str, start: int) -> int:
    """The end of the last tag on a line of its own that ends thinking. Raises ValueError where there is none."""
    for mark in reversed([mark for mark in _MARK.finditer(text, start) if mark["closes"]]):
        if not text[text.rfind("\n", 0, mark.start()) + 1 : mark.start()].strip():
            return mark.end()
    raise ValueError("the JSON object is not closed: the reply is cut off or broken")


def _ends_thinking(before: str, spans: list[tuple[int, int]]) -> bool:
    """Whether a closing tag without an opening one ends thinking (the template wrote that one), or is quoted.

    The words before it must not lead up to it, and what stands before must not be a verdict by itself. Within a line it ends only
    thinking without any object.
    """
    said = before.rstrip()
    last = said.rpartition("\n")[2]
    whole = re.search(r"[.!?)}\]]\Z", said) is not None
    if before[before.rfind("\n") + 1 :].strip():
        return not spans and "{" not in before and whole and not _QUOTES.search(last)
    if re.search(r"[:：\"'`“]\Z", said) or not (whole or not _QUOTES.search(last)):
        return False
    outside = before[: spans[0][0]] + before[spans[-1][1] :] if spans else "-"
    return bool(_FENCE.sub("", outside).strip())


def _parsed(text: str) -> dict[str, Any]:
    mended = _STRING.sub(lambda string: _ESCAPE.sub(_escape, string[0]), text)
    try:
        value = json.loads(mended, strict=False, object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("the JSON object is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"the JSON object is broken: {error.msg} at character {error.pos}") from None
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def _escape(found: re.Match[str]) -> str:
    """A backslash that begins no escape stands for itself, as in `\\alpha` and in code."""
    return found[0] if len(found[0]) > 1 else "\\\\"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) != len({key for key, _ in pairs}):
        raise ValueError("the JSON object has a key twice")
    return dict(pairs)


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no JSON number")


# ---- words around the object ----

_FENCE = re.compile(r"(?:`{3,}|~{3,})[\w-]*")
_OPEN_FENCE = re.compile(r"(?:`{3,8}|~{3,8})[ \t]{0,8}[\w-]{0,20}\Z")
_CLOSE_FENCE = re.compile(r"\A\s*(?:`{3,}|~{3,})")
_WRAP = re.compile(
    r"</?(?:answer|verdict|output|json|result|response|grade|final|final_answer|evaluation|judge?ment)>", re.IGNORECASE
)
_LATEX_BRACES = re.compile(r"\{[^{}\"':“”‘’]{0,200}\}")


def _words(text: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(text.split())})\b", re.IGNORECASE)


# Who else may be speaking: with one of these in the words that lead up to it, an object may be a quotation.
_OTHERS = (
    "solution candidate student answer author attempt submission response reply text line user prompt document program code model "
    "assistant writer task quote quotation"
)
_QUOTES = _words(
    r"says? said ends? ended ending contains? contained containing holds? held includes? included including claims? claimed claiming writes? wrote "
    r"written reads quotes? quoted quoting appends? appended embeds? embedded inserts? inserted injects? injected injection "
    r"instructs? instructed instructions? tells? told asks? asked pretends? demands? prints? printed returns? states? stated declares? "
    r"gives? gave awards? proposes? suggests? requests? tries tried wants? following "
    r"verbatim hidden text lines? its their his her if would could might may maybe perhaps suppose supposed examples? e\.g instance such "
    r"formats? templates? schema like draft tentative tentatively initially hypothetical were refuse cannot can't"
)
_HEADS = _words(
    r"here here's here’s verdict grade grading evaluation assessment judge?ment rating json object result output decision conclusion final my"
)
_FORGED = _words(
    r"fake[ds]? forged? forges planted plants inject(?:s|ed|ion|ions)? pretends? ignor(?:e|ed|ing) itself himself herself themselves"
)
_PLAIN_LEAD = re.compile(
    r"(?:sure|certainly|of course|okay|ok|yes|i (?:think|believe|conclude|judge|find|decide)|in my (?:view|opinion))\W*",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    r"(?:please )?(?:let me know|i hope|hope this|feel free|thanks?\b|thank you|do let|if you (?:need|have|want|would like)|"
    r"is there anything|happy to|i(?:'|’)m happy|i am happy|best regards|good luck|done\b|end\b)[^.!?]{0,200}",
    re.IGNORECASE,
)
_VERDICTS = _words(
    r"\d+ zero ten scores? grades? give gave wrong incorrect fails? failed not no never proof reject instead verdict ignore however but"
)
_GRADE_IN_WORDS = re.compile(
    r"\b(?:give|score|grade|rate|award|verdict|deserves?)\w*\b[^.\n]{0,20}?\b(?:\d|zero|ten)", re.IGNORECASE
)


def _stands_alone(before: str, after: str, own_words: Collection[str]) -> bool:
    """Whether nothing but a fence stands around the object. Raises ValueError where words do that may make it a quotation."""
    if fence := _OPEN_FENCE.search(tail := before.rstrip()[-40:]):
        before = before.rstrip()[: fence.start() - len(tail)]
    after = _CLOSE_FENCE.sub("", after)
    before, after = (_WRAP.sub("", part) for part in (before, after))
    if not before.strip() and not after.strip():
        return True
    for part in (before, after):
        rest = part
        for _ in range(4):
            rest = _LATEX_BRACES.sub("", rest)
        if re.search(r"[{}]|\"\w+\"\s*:", rest):
            raise ValueError("a second or broken JSON object stands beside it")
    if not (_leads_up(before, own_words) and _takes_leave(after)):
        raise ValueError("the JSON object stands inside other words, so that it may be a quotation")
    return False


def _leads_up(before: str, own_words: Collection[str]) -> bool:
    """Whether these words may stand before an object of the reply's own: `Here is my verdict:`, or reasoning that is finished."""
    line = before.rpartition("\n")[2]
    if not before.strip():
        return not line.strip()
    if line.strip(" \t*_") and not re.search(r"[:：][*_ \t]*\Z", line):
        return False
    words = before.strip().strip("*_#= -")
    if _FORGED.search(words) or _GRADE_IN_WORDS.search(words) or any(c.isalpha() and ord(c) > 0x3FF for c in words):
        return False
    others = _words(" ".join(f"{word}s?" for word in _OTHERS.split() if word not in own_words))
    last = re.split(r"[.!?]\s|\n", words)[-1]
    if _HEADS.search(last) and (len(last.split()) <= 5 or re.search(r"[:：]\Z", last)):
        return not _QUOTES.search(last) and not others.search(last)
    if re.search(r"[:：]\Z", words):
        return _PLAIN_LEAD.fullmatch(words) is not None
    return re.search(r"[.!]\Z", words) is not None and not _QUOTES.search(re.split(r"\n\s*\n", words)[-1])


def _takes_leave(after: str) -> bool:
    """Whether these words after an object are a courtesy, not a word about it: `I hope this helps.`"""
    if after.strip() and not re.match(r"\s*\n|[.!]?\s+[A-Z]", after):
        return False
    sentences = [part.strip(" \t\n*_#=-") for part in re.split(r"[.!?]+(?:\s|\Z)|\n", after)]
    return all(
        _COURTESY.fullmatch(sentence) is not None and not _VERDICTS.search(sentence)
        for sentence in sentences
        if re.search(r"\w", sentence)
    )


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
    """The object of this shape that a reply is; the rules are in the docstring of this module.

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
