"""Floor 1: the final answer in a reply.

Rules, strongest first; within the first the one that stands last in the text wins:
  1. a marked answer: `\\boxed{...}`, `#### x`, a line `A: x`, `Answer: x`, `... answer is x`, `<answer>x</answer>`;
  2. a reply that is one bare expression, word or phrase comes back whole;
  3. the last sentence of the last line: its formula, or the number after "is" or "=", or its only number.
A statement that hedges (`3 or 4`, `maybe 5`, `not 5`) is no answer, wherever it stands.
"""

import re
from dataclasses import dataclass

from selfplay.answers.numerals import ascii_math, read_number
from selfplay.answers.visible import visible_text

MAX_ANSWER_CHARS = 20_000
"""Longer statements are no answer (a bare expression excepted, which comes back whole)."""

_BOX = re.compile(r"\\{1,2}(?:boxed|fbox)\s*\{")
_EMPTY_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?:\{\s*\}|$)")
_JOIN = re.compile(
    r"[\s$.,;:\\()\[\]&{}]*(?:(?:,|\\?;|\band\b|\bor\b|\\text\s*\{[^{}]{0,40}\})?[\s$.,;:\\()\[\]&]*){0,2}"
)
_MARK = re.compile(
    r"(?P<hash>####+[ \t]*(?P<hashed>[^\n]*))"
    r"|(?P<tag><answer>(?P<tagged>.{0,2000}?)</answer>)"
    r"|(?:^|\n)[ \t>*_#-]*(?P<line>A|(?:final |the |my |correct )?(?:answer|ans|result)(?: \([^)\n]{0,30}\))?)"
    r"[ \t]*(?:\*\*|__)?[ \t]*[:=][ \t]*(?:\*\*|__)?"
    r"|(?P<inline>\b(?:final answer|answer)[ \t]*(?:\*\*|__)?[ \t]*:[ \t]*(?:\*\*|__)?)"
    r"|(?P<phrase>\b(?:final answer|answer|correct (?:option|choice)|result)\b[^\n.:=]{0,60}?\b(?:is|equals|would be|must be|will be)\b"
    r"(?: (?:therefore|thus|hence|simply|just|exactly|given by|equal to))?[ \t]*:?)",
    re.IGNORECASE | re.DOTALL,
)  # fmt: skip
_CLOSING = re.compile(
    r"\.?[ \t]*\bI hope (?:it|this|that) (?:is correct|helps)\b[.!]?|[ \t]*[∎□■]\s*$|\\n\s*$", re.IGNORECASE
)
_SENTENCE = re.compile(
    r"(?<=[A-Za-z0-9)\]}$%°²³€£])[.!?](?=\s+(?:[A-Z\\$*(]|I\b)|\s*$)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bMr\.)(?<!\bDr\.)(?<!\bMrs\.)"
)
_MATH = re.compile(
    r"(?<!\\)\$\$(.{1,4000}?)(?<!\\)\$\$|\\\[(.{1,4000}?)\\\]|(?<!\\)\$(?!\d[^$\n]{0,40}\s\w)((?:[^$\n\\]|\\.){1,4000}?)\$|\\\((.{1,4000}?)\\\)",
    re.DOTALL,
)
_NUMERIC = r"[-−+]?\s?[$€£¥]?\s?-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+(?:\.\d+)?)?"
_NUMBER = re.compile(
    rf"(?<![\w.^{{/])(?P<number>{_NUMERIC})(?P<tail>\s?(?:%|percent\b|pct\b|[€£]|(?:[a-z]{{1,3}})?[²³])?)(?![\w/^])"
)
_IS = re.compile(
    r"(?:\b(?:is|are|was|were|equals?|be|of|has|have|get|gets|makes?|earns?|costs?|spends?|needs?|takes?|total(?:s|ling)?)\b|=|:|≈|\\approx)"
    r"\s*(?:\*\*)?\s*(?:about|only|exactly|a total of|equal to|approximately)?\s*$",
    re.IGNORECASE,
)
_WORDS = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}(?![A-Za-z])")
_VALUE = r"(?:(?<![\d,./])\$?[-−+]?\d[\d,./]{0,40}%?\$?|\$[^$\n]{1,60}\$|\\boxed\{[^{}]{1,60}\}|[A-E]\b|\([A-E]\))"
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|not sure|unsure|uncertain|i guess|guessing|no idea|don'?t know|do not know|"
    r"(?:first|initial|wrong) (?:guess|thought|attempt|try)|cannot (?:determine|be determined|tell|say|solve|answer)|"
    r"can'?t (?:determine|tell|say|solve|answer)|either|hard to say|or something|alternatively|wait|hmm|or so)\b"
    r"|\b(?:could|might|may) (?:also )?be\s*:?\s*\$?[-−]?(?:\d|\\)"
    r"|\bnot\s*(?:equal to\s*)?\$?-?\d+\$?\s*[.!]?\s*$|\?\s*$|\d\s*\?",
    re.IGNORECASE,
)  # fmt: skip
_OR = re.compile(
    rf"{_VALUE}\s*[\w%]{{0,12}}\s*,?\s*(?:\bor\b|\\text\s*\{{\s*or\s*\}}|\bor maybe\b|\bversus\b|\bvs\b)"
    rf"\s*(?:maybe |perhaps |even |possibly )?{_VALUE}",
    re.IGNORECASE,
)
_REMARK = re.compile(r"([^,()]{1,60}?)\s*[,(]\s*[A-Za-z]{2,}[^0-9]*")
_TAKEN_BACK = re.compile(
    r"\d.*\b(?:actually|correction|scratch that|i mean|rather|instead|no)\b.*\d", re.IGNORECASE | re.DOTALL
)
_ALTERNATIVE = re.compile(r"\b(?:or|versus|vs)\b", re.IGNORECASE)
_REFUSAL = re.compile(
    r"^\W*(?:i|we|sorry|unfortunately|there is no|it is (?:im|not )|this (?:problem|question)|let me|let us|let's|hello|hi|sure|okay|ok)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """An answer as it stands in the reply."""

    text: str
    hedged: bool = False
    """It names alternatives or doubts itself: no answer, unless the reference itself is a list of alternatives."""
    marked: bool = False
    """It stood in a box or after an answer mark."""


def extract_answer(text: str) -> str | None:
    """The final answer in a reply, as written there; None where there is none, or several, or only a hedge.

    A bare expression comes back whole, without blanks around it. Nothing inside a think block is ever used, nor anything
    after one that is not closed. Idempotent on what it returns, for plain expressions. Never raises on a str.
    """
    found = find_answer(text)
    return None if found is None or found.hedged else found.text


def find_answer(text: str) -> Found | None:
    """As `extract_answer`, with a hedged answer marked as such; None where there is no statement of an answer at all."""
    body = (
        _CLOSING.sub(". ", visible_text(text)) if "hope" in text or "\\n" in text or "∎" in text else visible_text(text)
    )
    body = body.strip()
    if not body:
        return None
    if len(body) < 60 and body[0] not in "*_`" and read_number(body) is not None:
        return Found(body)
    found = _marked(body) or _bare(body) or _last_line(body)
    return found if found is not None and found.text.strip() else None


def _box_content(text: str, start: int) -> tuple[str, int] | None:
    """Content of the braces that open just before `start`, and where they end; an unclosed box runs to its line's end."""
    depth = 1
    for match in re.compile(r"\\.|[{}]").finditer(text, start, min(len(text), start + MAX_ANSWER_CHARS)):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return text[start : match.start()], match.end()
    line = text[start:].split("\n", 1)[0]
    return (line.rstrip(" $"), start + len(line)) if line.strip(" $}") else None


def _boxed(text: str) -> tuple[Found, int] | None:
    """The last box and where it ends, joined with those that stand before it in one list."""
    boxes: list[tuple[str, int, int]] = []
    at = 0
    while opening := _BOX.search(text, at):
        content = _box_content(text, opening.end())
        if content is None:
            break
        boxes.append((content[0].strip(), opening.start(), content[1]))
        at = content[1]
    boxes = [box for box in boxes if box[0]]
    if not boxes:
        return None
    chain = [boxes[-1][0]]
    hedged = False
    for i in range(len(boxes) - 1, max(0, len(boxes) - 20), -1):
        between = text[boxes[i - 1][2] : boxes[i][1]]
        separated = len(between) < 70 and "\n\n" not in between and re.search(r",|;|\band\b|\bor\b|^\s*$", between)
        named = re.fullmatch(r"[\s$\\(),]*(?:and|,)?[\s$\\()]*[A-Za-z]\w{0,2}(?:_\{?\w\}?)?\s*=\s*", between)
        if not (separated and (_JOIN.fullmatch(between) or named)):
            break
        hedged = hedged or bool(re.search(r"\bor\b", between))
        if boxes[i - 1][0] != boxes[i][0]:
            chain.insert(0, boxes[i - 1][0])
    answer = ", ".join(chain) if len(chain) > 1 else chain[0]
    return Found(answer, (len(chain) == 1 and _hedges(answer)) or (hedged and len(chain) > 1), True), boxes[-1][2]


def _hedges(statement: str) -> bool:
    statement = ascii_math(statement) if not statement.isascii() else statement
    return bool(_HEDGE.search(statement) or (_ALTERNATIVE.search(statement) and _OR.search(statement)))


def _marked(body: str) -> Found | None:
    """The last answer that is marked as one."""
    box = _boxed(body) if "boxed" in body or "fbox" in body else None
    last = None
    for mark in _MARK.finditer(body):
        if mark["line"] == "a" or (
            mark["line"] == "A" and body[mark.start("line") - 1 : mark.start("line")] in "*-" and body.count("B:")
        ):
            continue
        last = mark
    if last is not None and (box is None or last.end() > box[1]):
        found = _after(body, last)
        if found is not None:
            return found
    if box is not None:
        if percent := re.match(r"[\s$)\\]{0,6}(?:%|percent\b|pct\b)", body[box[1] : box[1] + 20]):
            return Found(box[0].text + (" percent" if percent else ""), box[0].hedged, True)
        return box[0]
    return None


def _after(body: str, mark: re.Match[str]) -> Found | None:
    """What stands after one mark: to the end of the line, or on the next line where the mark ends its own."""
    if mark["hash"] or mark["tag"]:
        statement = mark["hashed"] if mark["hash"] else mark["tagged"]
    else:
        rest = body[mark.end() : mark.end() + MAX_ANSWER_CHARS]
        display = re.match(r"\s*(?:\$\$|\\\[)(.+?)(?:\$\$|\\\])", rest, re.DOTALL)
        statement = display[1] if display else rest.lstrip(" \t*_:\n").split("\n", 1)[0]
    statement = statement.strip().strip("*_ ").strip()
    if not statement:
        return None
    first = _SENTENCE.split(statement)[0].strip() if not mark["tag"] else statement
    if _hedges(statement if len(statement) < 200 else first) or (
        len(statement) < 200 and _TAKEN_BACK.search(statement)
    ):
        return Found(first, True, True)
    remark = _REMARK.fullmatch(first)
    if remark and read_number(remark[1]) is not None:
        return Found(remark[1], False, True)
    inner = _bare(first, marked=True) or _from_sentence(first, leading=bool(mark["phrase"]))
    return Found(inner.text, inner.hedged, True) if inner else None


def _tidy(text: str) -> str:
    text = text.strip().strip("*_`").strip()
    return text[:-1].rstrip() if text.endswith((".", ",", ";", ":")) and not text.endswith("..") else text


def _bare(body: str, marked: bool = False) -> Found | None:
    """The whole text, where it is an expression, a word or a short phrase and no sentence."""
    tidy = _tidy(re.sub(r"^```\w*\n(.*)\n```$", r"\1", body, flags=re.DOTALL))
    if not tidy or _EMPTY_BOX.search(tidy):
        return None
    if "\n\n" in tidy or len(tidy) > MAX_ANSWER_CHARS:
        compact = not _WORDS.search(tidy[:2000]) and "\n" not in tidy
        return Found(tidy) if compact else None
    span = _MATH.search(tidy)
    if span and len(_WORDS.findall(tidy[: span.start()])) > 0:
        return None
    outside = _MATH.sub(" ", tidy)
    outside = re.sub(r"\\(?:text|mbox|mathrm|textbf|begin|end|operatorname)\s*\{[^{}]*\}|\\[A-Za-z]+", " ", outside)
    words = _WORDS.findall(outside)
    prose = len(
        [
            w
            for w in words
            if w.lower() not in ("and", "or", "sqrt", "pi", "sin", "cos", "tan", "log", "ln", "exp")
            and not ("\\int" in tidy and re.fullmatch("d[A-Za-z]", w))
        ]
    )
    if _hedges(tidy):
        return Found(tidy, True) if prose <= 8 else None
    has_digit = any(ch.isdigit() for ch in tidy)
    if prose == 0 or (prose <= 4 and not _SENTENCE.search(tidy[:-1]) and not _verb(outside)):
        if not has_digit and not _MATH.search(tidy) and _REFUSAL.search(tidy):
            return None
        if (
            has_digit
            and prose
            and read_number(tidy) is None
            and len(re.findall(r"\d[\d,.]*", outside)) > 1
            and not marked
        ):
            return None
        return Found(tidy)
    return None


def _verb(text: str) -> bool:
    return bool(
        re.search(
            r"\b(?:is|are|was|were|has|have|had|will|would|can|cannot|makes?|gets?|needs?|so|thus|therefore|hence|because|since|then|we|he|she|they|it)\b",
            text,
            re.IGNORECASE,
        )
    )


def _last_line(body: str) -> Found | None:
    """The answer in the last sentence of the last line that says something."""
    lines = [line for line in body[-MAX_ANSWER_CHARS:].split("\n") if line.strip(" *_`\t$-=")]
    if not lines:
        return None
    display = re.search(r"(?:\$\$|\\\[)([^$]{1,4000}?)(?:\$\$|\\\])\W*$", body[-4100:])
    if display:
        return Found(_tidy(display[1]))
    pieces = [piece.strip() for piece in _SENTENCE.split(lines[-1]) if piece and piece.strip()]
    sentence = pieces[-1] if pieces else lines[-1]
    if _hedges(lines[-1][-400:]):
        return Found(_tidy(sentence), True) if re.search(r"\d", sentence) else None
    return _bare(sentence) or _from_sentence(sentence)


def _from_sentence(sentence: str, leading: bool = False) -> Found | None:
    """The one value a sentence states. `leading`: it starts with the value ("answer is" stood before it)."""
    text = _tidy(sentence)
    spans = [(m.start(), m.end(), next(g for g in m.groups() if g is not None)) for m in _MATH.finditer(text)]
    numbers = [m for m in _NUMBER.finditer(text) if not any(s <= m.start("number") < e for s, e, _ in spans)]
    if leading:
        starts = [(s, t) for s, _, t in spans[:1]] + [(m.start("number"), _clean(m)) for m in numbers[:1]]
        first = min(starts, default=None)
        if first is not None and first[0] < 4:
            return Found(first[1].strip())
    if len(numbers) > 1 and re.search(r"\bor\b", text[numbers[0].end() : numbers[-1].start()]):
        return Found(text, True)
    listed = _span_list(text, spans)
    if listed:
        return Found(listed, bool(re.search(r"\bor\b", text[spans[0][1] :])))
    for m in reversed(numbers):
        if _IS.search(text[: m.start("number")]):
            return Found(_clean(m))
        if spans and m.start() < spans[-1][0]:
            break
    if spans and (len(spans) == 1 or _IS.search(text[: spans[-1][0]]) or not numbers):
        return Found(_tidy(spans[-1][2]))
    if len({_clean(m) for m in numbers}) == 1:
        return Found(_clean(numbers[0]))
    equals = re.search(r"=\s*([^=]{1,200})$", text)
    return Found(_tidy(equals[1])) if equals and not _WORDS.search(equals[1]) else None


def _span_list(text: str, spans: list[tuple[int, int, str]]) -> str:
    """Formulas that end a sentence as one list, `$x=3$ and $x=4$`, joined by commas; "" where there is no such list."""
    joined = [spans[-1][2]] if spans and not _WORDS.search(text[spans[-1][1] :]) else []
    for (_, end, content), (start, _, _) in zip(reversed(spans[:-1]), reversed(spans[1:]), strict=True):
        if not joined or not re.fullmatch(r"\s*(?:,|;|,?\s*(?:and|or))\s*", text[end:start]):
            break
        joined.insert(0, content)
    return ", ".join(joined) if len(joined) > 1 else ""


def _clean(match: re.Match[str]) -> str:
    return (match["number"].strip().rstrip(",") + match["tail"]).strip()
