"""Finds the final answer in a reply.

Rules, strongest first; within one of them the statement that stands last in the text wins:
  1. `\\boxed{...}` (boxes side by side are one list), `#### x` with a value, `<answer>x</answer>`, `Final answer: x` with a value;
  2. `A: x`, `Answer: x`, `... answer is x` that states a value or an option, then one with a value inside its sentence, then words;
  3. a reply that is one bare expression, word or phrase comes back whole;
  4. the last sentence of the last line: its formula, or the number after "is" or "=", or its only number.
A statement that hedges (`3 or 4`, `maybe 5`, `not 5`) is no answer, wherever it stands.
"""

import re
from dataclasses import replace

from selfplay.answers.boxes import Boxes, equated, in_expression, last_boxes, magnitude
from selfplay.answers.denials import denied, of_something_else, operated
from selfplay.answers.numerals import read_number
from selfplay.answers.statements import (
    MATH,
    MAX_STATEMENT,
    SENTENCE,
    Found,
    Strength,
    bare,
    choice,
    chosen,
    from_sentence,
    hedges,
    shaped,
    stated,
    tidy,
)
from selfplay.answers.visible import MAX_ANSWER_CHARS, visible_text

__all__ = ["MATH", "Found", "extract_answer", "find_answer", "find_marked"]

MAX_MARKS = 40
"""Statements that are looked at, from the end of the reply."""
_MARK = re.compile(
    r"####+[ \t]?(?P<hash>[^\n]*)"
    r"|<answer>(?P<tag>(?:(?!<answer>).){0,2000}?)</answer>"
    r"|(?:^|\n)[ \t>*_#-]{0,12}(?P<line>(?-i:A)(?!\s?:\s?[A-Za-z]{1,3}\s?(?::|=\s?\d+\s?:))|"
    r"(?:final |the |my |correct )?(?:answer|ans|result)(?: \([^)\n]{0,30}\))?)"
    r"[ \t]?(?:\*\*|__)?[ \t]?(?:[:=][ \t]?(?:\*\*|__)?|\n)"
    r"|(?P<inline>\b(?:final answer|answer)[ \t]?(?:\*\*|__)?[ \t]?:[ \t]?(?:\*\*|__)?)"
    r"|(?P<phrase>\b(?:final answer|answers?|correct (?:option|choice)|result)\b[^\n.:=]{0,60}?"
    r"\b(?:is|are|equals|would be|must be|will be)\b[ \t]?:?)",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
_HEADING = re.compile(
    r"[*_ ]*(?:step|part|case|note|solution|explanation|section|example|problem|question|conclusion|summary|check|verif|calculat|comput|find)",
    re.IGNORECASE,
)
"""`#### Step 2` is a heading, not an answer."""
_NEXT_OPTION = re.compile(r"(?:^|\n|[,;] )[ \t*_(-]{0,8}B\s?[:)=]")
_THEREFORE = re.compile(
    r"[*_ ]{0,4}(?:therefore|thus|hence|so|consequently),? (?:the|our) \w{1,30}(?: \w{1,30})?,? (?:is|are|equals):? (.+)",
    re.IGNORECASE | re.DOTALL,
)
_DISPLAY = re.compile(r"\s*(?:\$\$|\\\[)(.{1,4000}?)(?:\$\$|\\\])", re.DOTALL)
_PERCENT = re.compile(r"[\s$)\\]{0,6}(?:%|percent\b|pct\b)")
_SUPPOSITION = re.compile(r"\b(?:if|without|had|were|unless|otherwise|but|in a hurry|wrongly)\b", re.IGNORECASE)
_UNKNOWN = re.compile(r"(?<![A-Za-z\\])(?!a\s|x\s?\d)[a-z](?![A-Za-z])")
_CLOSING = re.compile(r"\.?[ \t]?\bI hope (?:it|this|that) (?:is correct|helps)\b[.!]?|\\n\s{0,8}$", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t]{9,}")


def extract_answer(text: str) -> str | None:
    """The final answer in a reply, as written there; None where there is none, or several, or only a hedge.

    A bare expression comes back whole, without blanks around it. Nothing inside a think block is ever used, nor anything
    after one that is not closed. Idempotent on what it returns, for plain expressions. Never raises on a str.
    """
    found = find_answer(text)
    return None if found is None or found.hedged or found.denied else found.text


def find_answer(text: str) -> Found | None:
    """As `extract_answer`, with a hedged answer marked as such; None where there is no statement of an answer at all."""
    body = _body(text)
    if not body:
        return None
    if len(body) < 60 and body[0] not in "*_`" and read_number(body) is not None:
        return Found(body)
    found = _marked(body) or choice(tidy(body[:MAX_STATEMENT])) or bare(body) or _last_line(body)
    return found if found is not None and found.text.strip() else None


def find_marked(text: str) -> Found | None:
    """The answer of a text that marks one (a box, `####`, a tag, "the answer is"), else None."""
    return _marked(_body(text))


def _body(text: str) -> str:
    """What is read of a reply. Long runs of blanks are shortened, so that no pattern walks over them again and again."""
    body = _BLANKS.sub("        ", visible_text(text))
    return (_CLOSING.sub(". ", body) if "hope" in body or "\\n" in body else body).strip()


def _marked(body: str) -> Found | None:
    """The answer that is marked as one."""
    boxes = last_boxes(body) if "boxed" in body or "fbox" in body or "framebox" in body else None
    best = _conclusion(body)
    for mark in reversed(_marks(body)):
        if boxes and mark.end() <= boxes.end and not mark["tag"]:
            break
        rank = _weighed(body, mark)
        doubtful = rank is not None and (rank[0].hedged or rank[0].denied)
        if doubtful and best is not None and best[1] >= Strength.VALUE:
            continue  # a doubt that a later statement settles
        if rank is not None and (best is None or rank[1] > best[1]):
            best = rank
            if rank[1] == _FIRST or (doubtful and not boxes):
                break
    if boxes and (best is None or best[1] < _FIRST):
        return _boxed(body, boxes)
    return best[0] if best else None


def _conclusion(body: str) -> tuple[Found, int] | None:
    """`Therefore, the total is x.` in the last line, which counts as `the answer is x` does where x is a value."""
    match = _THEREFORE.match(body[max(body.rfind("\n"), len(body) - MAX_STATEMENT) + 1 :])
    # with a second "is" the sentence goes on to say something else; `5 + 6 = 11` ends in its value
    if match is None or re.search(r"\b(?:is|are)\b", match[1]):
        return None
    if re.search(r"\d\s?=", match[1]) and not _UNKNOWN.search(match[1]):
        return None
    said = stated(match[1], phrase=True)
    if said is None or said[1] is not Strength.VALUE:
        return None
    end = match.start(1) + max(0, match[1].find(said[0].text)) + len(said[0].text)
    refused = denied(match.string, end - len(said[0].text), end) or operated(match.string, end - len(said[0].text), end)
    return replace(said[0], denied=refused), int(said[1])


_FIRST = Strength.VALUE + 1
"""Rank of the marks that win over prose."""


def _marks(body: str) -> list[re.Match[str]]:
    """The last marks in order; `A:` in a list of options is none."""
    marks = list(_MARK.finditer(body))[-MAX_MARKS:]
    options = any(mark["line"] == "A" for mark in marks) and _NEXT_OPTION.search(body)
    return [mark for mark in marks if not (mark["line"] == "A" and options)]


def _weighed(body: str, mark: re.Match[str]) -> tuple[Found, int] | None:
    """What stands after one mark, and its rank; denied where the text around says so."""
    rank = _ranked(body, mark)
    if rank is None:
        return None
    if mark["tag"] is not None:
        return replace(rank[0], denied=rank[0].denied or denied(body, mark.start(), mark.end())), rank[1]
    at = mark.start("hash") if mark["hash"] is not None else mark.end()
    place = body.find(rank[0].text, at, at + MAX_STATEMENT)
    before = mark["line"] is None and mark["hash"] is None and denied(body, mark.start(), len(body))
    before = before or (bool(mark["phrase"]) and of_something_else(body, mark.start(), mark.end()))
    start, end = (at, at) if place < 0 else (place, place + len(rank[0].text))
    return replace(rank[0], denied=rank[0].denied or denied(body, start, end) or before), rank[1]


def _ranked(body: str, mark: re.Match[str]) -> tuple[Found, int] | None:
    """What stands after one mark, and its rank."""
    if mark["tag"] is not None:
        found = _inner(mark["tag"])
        return (found, _FIRST) if found else None
    if mark["hash"] is not None:
        said = stated(mark["hash"], phrase=False)
        if said is None:
            return None
        return said[0], _FIRST if said[1] is Strength.VALUE and not _HEADING.match(mark["hash"]) else Strength.INSIDE
    if mark["phrase"] and _supposed(body, mark):
        return None
    label = (mark["line"] or mark["inline"] or "").lower()
    said = stated(_following(body, mark), phrase=bool(mark["phrase"]) or "result" in label)
    if said is None:
        return None
    final = "final" in label and said[1] is Strength.VALUE
    return said[0], _FIRST if final else int(said[1])


def _supposed(body: str, mark: re.Match[str]) -> bool:
    """Whether `the answer would be x` says what would be so otherwise: `Without the last condition the result would be 4.`"""
    if not mark["phrase"].rstrip(" \t:").endswith("would be"):
        return False
    before = re.split(r"\n|[.!?]\s", body[max(0, mark.start() - 200) : mark.start()])[-1]
    after = body[mark.end() : mark.end() + 200].split("\n", 1)[0]
    return bool(_SUPPOSITION.search(before) or _SUPPOSITION.search(SENTENCE.split(after)[0]))


def _inner(text: str) -> Found | None:
    """The answer between tags: a reply of its own."""
    boxes = last_boxes(text)
    if boxes:
        return _boxed(text, boxes)
    said = stated(text, phrase=True, whole="\n" not in text.strip())
    return said[0] if said else None


def _following(body: str, mark: re.Match[str]) -> str:
    """What stands after a mark: to the end of the line, or on the next line where the mark ends its own."""
    display = _DISPLAY.match(body, mark.end(), mark.end() + MAX_ANSWER_CHARS)
    if display:
        return display[1]
    rest = body[mark.end() : mark.end() + MAX_ANSWER_CHARS].lstrip(" \t*_:\n")
    return rest.split("\n", 1)[0].strip().strip("*_ ")


def _boxed(text: str, boxes: Boxes) -> Found:
    """What the last boxes say, unless they stand in a larger expression or are denied beside it."""
    found = _contents(text, boxes)
    refused = boxes.touching or in_expression(text, boxes.start, boxes.end) or denied(text, boxes.start, boxes.end)
    return replace(found, denied=True) if refused else found


def _contents(text: str, boxes: Boxes) -> Found:
    parts = boxes.parts
    if len(parts) > 1:
        # parts that are lists or dates themselves do not make one list with what stands beside "or"
        joint = " / " if boxes.alternatives and any("," in part for part in parts) else ", "
        return Found(joint.join(parts), boxes.alternatives, True)
    content = tidy(parts[0]) or parts[0]
    option = choice(content)
    if option is not None:
        return option
    if word := magnitude(text, boxes.end):
        return Found(f"{content} {word}", hedges(content), True)
    percent = " percent" if _PERCENT.match(text, boxes.end, boxes.end + 20) else ""
    other = equated(text, boxes.end)
    return Found(f"{content} = {other}" if other else content + percent, hedges(content), True)


def _last_line(body: str) -> Found | None:
    """The answer in the last sentence of the last line that says something."""
    lines = [line for line in body[-MAX_ANSWER_CHARS:].split("\n") if line.strip(" *_`\t$-=")]
    if not lines:
        return None
    display = re.search(r"(?:\$\$|\\\[)([^$]{1,2000}?)(?:\$\$|\\\])\W*$", body[-MAX_STATEMENT:])
    if display:
        return Found(tidy(display[1]))
    line = lines[-1][-MAX_STATEMENT:]
    pieces = [piece.strip() for piece in SENTENCE.split(line) if piece and piece.strip()]
    sentence = pieces[-1] if pieces else line
    if hedges(line[-400:]):
        return Found(tidy(sentence), True) if re.search(r"\d", sentence) else None
    found = chosen(sentence) or bare(sentence) or shaped(sentence) or from_sentence(sentence)
    place = -1 if found is None else sentence.rfind(found.text)
    if found is None or place < 0:
        return found
    end = place + len(found.text)
    return replace(found, denied=denied(sentence, place, end) or operated(sentence, place, end))
