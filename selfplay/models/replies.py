"""Which JSON object a reply is, and whether it is one. Pure; linear in the text.

A reply that quotes somebody (a judge that repeats what a solution says of itself) holds objects that are not its own. So an
object counts only as the reply itself: whole, alone, and in its place. Strings are read leniently (raw newlines, LaTeX), structure
strictly. What stands before the end of a thinking block is never read.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

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
