"""Reads one statement: a value, a choice, words, a hedge. `extraction` finds the statements of a reply."""

import re
from dataclasses import dataclass
from enum import IntEnum

from selfplay.answers.denials import option_denied
from selfplay.answers.numerals import ABOUT, ascii_math, read_number
from selfplay.answers.visible import MAX_ANSWER_CHARS

MAX_STATEMENT = 2_000
"""Characters of one statement in prose; a longer one states nothing, so that no search over it takes long."""


@dataclass(frozen=True, slots=True)
class Found:
    """An answer as it stands in the reply."""

    text: str
    hedged: bool = False
    """It names alternatives, several values or doubts: an answer only to a reference that says the same."""
    marked: bool = False
    """It stood in a box or after an answer mark."""
    denied: bool = False
    """The text says that this is not the answer, or it is a part of something larger: no answer, whatever the reference is."""


class Strength(IntEnum):
    """How plainly a statement states its answer; the plainest wins, then the last."""

    WORDS = 1
    INSIDE = 2
    """A value somewhere in its sentence."""
    VALUE = 3
    """A value, a choice, or a hedge about one, first thing; after a label (`Answer:`) words too."""


MATH = re.compile(
    r"(?<!\\)\$\$(.{1,4000}?)(?<!\\)\$\$|\\\[(.{1,4000}?)\\\]|(?<!\\)\$(?!\d)((?:[^$\n\\]|\\.){1,4000}?)\$"
    # after a digit it may be money: no words follow then, and the closing one is no amount's
    r"|(?<!\\)\$(?!\d[^$\n\\]{0,40}\s(?:[A-Za-z]{2,}|a\s))(\d(?:[^$\n\\]|\\.){0,4000}?)(?<!\s)\$(?!\d)|\\\((.{1,4000}?)\\\)",
    re.DOTALL,
)
SENTENCE = re.compile(
    r"(?<=[A-Za-z0-9)\]}$%°²³€£*])[.!?](?=\s+(?:[A-Z\\$*(]|I\b)|\s*$)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bMr\.)(?<!\bDr\.)(?<!\bMrs\.)"
)
_CALCULATED = re.compile(
    r"(?:[A-Za-z][A-Za-z ]{0,40}=)?[-+*/×÷·().\d\s$%]{1,200}=[-\d\s.,$%/]{1,80}(?:\s[a-z ]{1,30})?"
)
_EMPTY_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,8}(?:\{\s{0,8}\}|$)")
_NUMERIC = r"[-−+]?\s?[$€£¥]?\s?-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+(?:\.\d+)?)?"
_NUMBER = re.compile(
    rf"(?<![\w.^{{/:])(?P<number>{_NUMERIC})(?P<tail>\s?(?:%|percent\b|pct\b|[€£]|(?:[a-z]{{1,3}})?[²³])?)(?![\w/^:]\w?)"
)
_IS = re.compile(
    r"(?:\b(?:is|are|was|were|equals?|be|of|has|have|get|gets|makes?|earns?|costs?|spends?|needs?|takes?|total(?:s|ling)?)\b|=|:|≈|\\approx)"
    r"\s*(?:\*\*)?\s*(?:about|only|exactly|a total of|equal to|approximately)?\s*$",
    re.IGNORECASE,
)
_WORDS = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}(?![A-Za-z])")
_NO_PROSE = frozenset([
    "and", "or", "sqrt", "pi", "sin", "cos", "tan", "cot", "sec", "csc", "log", "ln", "exp", "abs", "arcsin",
    "arccos", "arctan", "am", "pm",
])  # fmt: skip
_COMMANDS = re.compile(r"\\(?:text|mbox|mathrm|textbf|begin|end|operatorname)\s{0,8}\{[^{}]{0,400}\}|\\[A-Za-z]{1,30}")
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|will|would|can|cannot|makes?|gets?|needs?|so|thus|therefore|hence|because|since|then|we|he|she|they|it)\b",
    re.IGNORECASE,
)
_LETTER = r"(?:(?:option|choice|answer)\s)?(?:\(([A-J])\)|([A-J]))"
_CHOICE = re.compile(
    rf"{_LETTER}(?P<after>$|\)|[.:](?=\s|$)|(?<=\))\s|,?\s(?:because|since|as|due|for|which|[-—–])(?=\s))"
)
"""`B`, `(B)`, `B) text`, `option B`, `B because ...`; a bare letter before other words is none (`A number`)."""
_AGAIN = r"(?:(?:maybe|perhaps|possibly|probably|even|also|rather|actually|the|option|choice|answer)\s{1,4}){0,3}"
_OTHER_CHOICE = re.compile(
    rf"(?:\b(?:or|and|maybe|perhaps|possibly|versus|vs|wait|actually|no|rather)\b|\?)[\s,${{(\\]{{0,5}}{_AGAIN}\(?(?-i:[A-J])(?=$|[),.:;?!\s}}$\\])",
    re.IGNORECASE,
)
_TAKES_BACK = re.compile(
    r"\W{0,4}(?:or\b(?! equivalently| in\b| simply| just| as\b)|no,? (?!further|more|other)|wait\b|actually\b|rather\b|correction\b|scratch that\b"
    r"|i mean\b|maybe\b|perhaps\b|possibly\b|alternatively\b|hmm\b)",
    re.IGNORECASE,
)
"""How a sentence starts that doubts the one before it."""
_OPPOSITE = re.compile(
    r"\W{0,4}(?:or|and|wait|maybe|perhaps|actually|(?:but )?(?:also )?(?:yes|no|true|false))\b", re.IGNORECASE
)
"""What makes a yes or a no before it no answer."""
_VALUE = r"(?:(?<![\d,./])\$?[-−+]?\d[\d,./]{0,40}%?\$?|\$[^$\n]{1,60}\$|\\boxed\{[^{}]{1,60}\}|[A-E]\b|\([A-E]\))"
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|not sure|unsure|uncertain|i guess|guessing|no idea|don'?t know|do not know|"
    r"(?:first|initial|wrong) (?:guess|thought|attempt|try)|cannot (?:determine|be determined|tell|say|solve|answer)|"
    r"can'?t (?:determine|tell|say|solve|answer)|either|hard to say|or something|alternatively|wait|hmm|or so)\b"
    r"|\b(?:could|might|may) (?:also )?be\s?:?\s?\$?[-−]?(?:\d|\\)"
    r"|\b(?:can(?:not|'?t| not)|(?:could|would|should|is|does)(?:n'?t| not)|never|not) (?:be |equal )(?:to )?\$?[-−]?(?:\d|\\)"
    r"|\bnot\s?(?:equal to\s?)?\$?-?\d{1,40}\$?\s?[.!]?\s?$|\?\s?$|\d\s?\?",
    re.IGNORECASE,
)  # fmt: skip
_OR = re.compile(
    rf"{_VALUE}\s?[\w%]{{0,12}}\s?,?\s?(?:\bor\b|\\text\s?\{{\s?or\s?\}}|\bor maybe\b|\bversus\b|\bvs\b)"
    rf"\s?(?:maybe |perhaps |even |possibly )?{_VALUE}",
    re.IGNORECASE,
)
_REMARK = re.compile(r"([^,()]{1,60}?)\s?[,(]\s?[A-Za-z]{2,}[^0-9]*")
_TAKEN_BACK = re.compile(
    r"\d.*\b(?:actually|correction|scratch that|i mean|rather|instead|no)\b.*\d", re.IGNORECASE | re.DOTALL
)
_ALTERNATIVE = re.compile(r"\b(?:or|versus|vs)\b", re.IGNORECASE)
_REFUSAL = re.compile(
    r"^\W*(?:i|we|sorry|unfortunately|there is no|it is (?:im|not )|this (?:problem|question)|let me|let us|let's|hello|hi|sure|okay|ok)\b",
    re.IGNORECASE,
)
_LEAD = re.compile(
    rf"(?:(?:so|thus|hence|therefore|{ABOUT}|only|just|exactly|simply|equal to|given by|"
    r"(?:the |our |my )?(?:final |correct )?(?:answer|result)(?: is| equals)?)\b|[:=,]|\\approx(?![A-Za-z])|≈"
    r"|~(?=\s?(?:[-\d$.]|\\[a-z]?frac|\\sqrt)))[:,]?\s*",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"(?:\s|\\(?:checkmark|blacksquare|square|Box|qed|qquad|quad)(?![A-Za-z])|\\[,;! ]"
    r"|[\u2600-\u27bf\u2b00-\u2bff\u25a0-\u25ff\U0001f000-\U0001faff\ufe0f∎])+$"
)


_DENIED = re.compile(
    r"not\b|\\(?:not|neq?)(?![A-Za-z])|≠|!=|.*(?<!whether)\sor\s|.*\\text\s?\{\s?or\s?\}", re.IGNORECASE | re.DOTALL
)
"""After an answer mark: what it is not, or one thing or another."""
_LABEL = re.compile(r"[A-Za-z][A-Za-z' -]{0,40}\s(?:is|are|has|have|=)\s[-$\d\\(].{0,60}", re.DOTALL)
_WRAPPED = re.compile(r"\\(?:text(?:bf|it|rm)?|mathrm|mathbf|mbox)\s?\{([^{}]{0,400})\}")
_SPACING = re.compile(r"\\(?:[ ,;:!~]|q?quad(?![A-Za-z]))|~")
_TEXT_COMMAND = re.compile(r"\\(?:text(?:bf|it|rm)?|mathrm|mbox)(?![A-Za-z])|\\[()\[\]]")
_EMPHASIS = re.compile(r"(?<![\w)\]}])\*\*|\*\*(?![\w(\[{\\])")
"""Two stars that are no power."""


def tidy(text: str) -> str:
    """Without blanks, emphasis, marks of an end (a check, a square, an emoji) and one sign of punctuation around it."""
    text = text.strip()
    while text and (shorter := _without_tail(text)) != text:
        text = shorter
    text = text.strip("*_`").strip()
    return text[:-1].rstrip() if text.endswith((".", ",", ";", ":")) and not text.endswith("..") else text


def _without_tail(text: str) -> str:
    """Looked for in the last 200 characters only; `\\ ` and the like lose their blank with their backslash."""
    cut = _TAIL.search(text, max(0, len(text) - 200))
    text = text[: cut.start()] if cut else text
    return text[:-1] if text.endswith("\\") and not text.endswith("\\\\") else text


def hedges(statement: str) -> bool:
    """Whether a statement names alternatives, doubts itself or asks."""
    statement = ascii_math(statement) if not statement.isascii() else statement
    statement = re.sub(r"\s+", " ", statement[:MAX_STATEMENT])
    if _HEDGE.search(statement):
        return True
    bare = re.sub(r" {2,}", " ", _WRAPPED.sub(r" \1 ", statement)) if "\\" in statement else statement
    return bool(_ALTERNATIVE.search(statement) and (_OR.search(statement) or _OR.search(bare)))


_YES_NO = re.compile(r"(yes|no|true|false)(?=[,.;]\s|\s[-—–]\s)", re.IGNORECASE)
_CHOSEN = re.compile(r"\b(?:option|choice|choose|pick|select|answer)\s(?:option\s|choice\s)?(?:\(([A-J])\)|([A-J]))$")
_SAYS = re.compile(r"\b(?:is|are|equals?)\b:?\s")


def chosen(sentence: str) -> Found | None:
    """The letter of a sentence that ends in one: `I choose option (C).`"""
    match = _CHOSEN.search(tidy(sentence)[-60:])
    return Found(match[1] or match[2]) if match else None


def shaped(sentence: str) -> Found | None:
    """A ratio, a time, a tuple or a list after the last "is": `The ratio is 4:5.`"""
    said = tidy(_SAYS.split(sentence)[-1])
    prose = [w for w in _WORDS.findall(_COMMANDS.sub(" ", said)) if w.lower() not in _NO_PROSE]
    if said == tidy(sentence) or prose or MATH.search(said) or not re.search(r"\d", said):
        return None
    return Found(said) if said[0] in "([{" or re.search(r"\d:\d|,\s|\band\b", said) else None


def spoken(text: str) -> str:
    """The words of a formula that holds words: `\\textbf{(C)}\\ 60` as `(C) 60`; a text without commands as it is."""
    if "\\" not in text:
        return text
    text = _SPACING.sub(" ", _WRAPPED.sub(r"\1", text))
    inner = re.fullmatch(r"\s*(?:\$([^$]+)\$|\\\(((?:(?!\\\)).)+)\\\))\s*", text)
    return re.sub(r" {2,}", " ", (inner[1] or inner[2]) if inner else text).strip()


def choice(statement: str) -> Found | None:
    """The option, or yes or no, that a statement starts with: its letter alone, or letter and text where the text follows the mark.

    The text of an option is no hedge, whatever it says; naming a second option is one.
    """
    statement = spoken(statement)
    if (word := _YES_NO.match(statement)) and not hedges(statement):
        doubted = _OPPOSITE.match(statement, word.end())
        return Found(statement if doubted else word[1], bool(doubted), True)
    match = _CHOICE.match(statement)
    if match is None:
        return None
    letter = match[1] or match[2]
    if _OTHER_CHOICE.search(statement, max(0, match.end("after") - 1)):
        return Found(statement, True, True)
    if option_denied(statement[match.start("after") :].lstrip(" ).:"), letter):
        return Found(statement, marked=True, denied=True)
    after = match["after"].strip(" ,")
    if after and after not in ".:)":
        return Found(letter, marked=True)
    return Found(statement[match.start(1) - 1 if match[1] else match.start(2) :], marked=True)


def stated(statement: str, *, phrase: bool, whole: bool = False) -> tuple[Found, Strength] | None:
    """What stands after an answer mark, and how plainly. `phrase`: "the answer is" rather than a colon; `whole`: no sentence follows."""
    statement = tidy(_EMPHASIS.sub("", statement))
    if not statement or len(statement) > MAX_ANSWER_CHARS:
        return None
    if len(statement) > MAX_STATEMENT:
        found = bare(statement, marked=True)
        return (found, Strength.VALUE) if found else None
    first, rest = (statement, "") if whole else _sentence(statement)
    if rest and (rest[0] == "?" or _TAKES_BACK.match(rest, 1)):
        return Found(statement, True, True), Strength.VALUE
    first = tidy(first)
    plain = _led(first)
    if option := choice(_led(statement) if hedges(first) else plain):
        return option, Strength.VALUE
    short = statement if len(statement) < 200 else first
    if _DENIED.match(plain) or hedges(short) or (short is statement and _TAKEN_BACK.search(short)):
        return Found(statement, True, True), Strength.VALUE
    if _labelled(plain):
        return Found(plain, marked=True), Strength.VALUE
    remark = _REMARK.fullmatch(plain)
    if remark and read_number(remark[1]) is not None:
        return Found(remark[1], False, True), Strength.VALUE
    found = bare(plain, marked=True)
    if found is not None:
        words = Strength.WORDS if phrase else Strength.VALUE
        return Found(found.text, found.hedged, True), Strength.VALUE if _valued(found.text) else words
    for leading, strength in ((True, Strength.VALUE), (False, Strength.INSIDE)):
        inner = from_sentence(plain, leading=leading and phrase, inside=not leading)
        if inner is not None:
            return Found(inner.text, inner.hedged, True), strength
    return None


def _sentence(statement: str) -> tuple[str, str]:
    """The first sentence, and what follows it from its full stop on."""
    end = SENTENCE.search(statement)
    return (statement[: end.start()], statement[end.start() :]) if end else (statement, "")


def _labelled(text: str) -> bool:
    """`slope is 2 and intercept is 3`: several values, each with its name."""
    parts = re.split(r",\s(?:and\s)?|;\s|\sand\s", text)
    return 1 < len(parts) <= 20 and all(_LABEL.fullmatch(part) for part in parts)


def _led(text: str) -> str:
    """Without "approximately", "the answer is" and the like in front."""
    for _ in range(4):
        match = _LEAD.match(text)
        if match is None or match.end() == len(text):
            break
        text = text[match.end() :].lstrip("*_ ")
    return text


def _valued(text: str) -> bool:
    """Whether a short statement holds a value: a digit, a formula, or a single letter."""
    text = _TEXT_COMMAND.sub("", text) if "\\" in text else text
    return any(ch.isnumeric() for ch in text) or "\\" in text or len(text.strip("$ {}")) == 1


def bare(body: str, marked: bool = False) -> Found | None:
    """The whole text, where it is an expression, a word or a short phrase and no sentence."""
    text = tidy(re.sub(r"^```\w*\n(.*)\n```$", r"\1", body, flags=re.DOTALL))
    if not text or _EMPTY_BOX.search(text):
        return None
    if len(text) > MAX_STATEMENT or "\n\n" in text:
        compact = not _WORDS.search(text) and "\n" not in text
        return Found(text) if compact else None
    span = MATH.search(text)
    if span and _WORDS.search(text[: span.start()]):
        return None
    outside = _COMMANDS.sub(" ", MATH.sub(" ", text))
    prose = [
        w
        for w in _WORDS.findall(outside)
        if w.lower() not in _NO_PROSE and not ("\\int" in text and re.fullmatch("d[A-Za-z]", w))
    ]
    if hedges(text):
        return Found(text, True) if len(prose) <= 8 else None
    if prose and (len(prose) > 4 or SENTENCE.search(text[:-1]) or _VERB.search(outside)):
        return None
    has_digit = any(ch.isdigit() for ch in text)
    if prose and not has_digit and not span and _REFUSAL.search(text):
        return None
    if not marked and prose and _CALCULATED.fullmatch(text):
        return None  # `Total = 30 + 6 = 36` states its last value
    # a few letters beside an operator are unknowns: `3tu + 1`
    spoken = [w for w in prose if len(w) > 3 or not re.search(r"[-+*/^=]", outside)]
    several = has_digit and bool(spoken) and len(re.findall(r"\d[\d,.:/]*", outside)) > 1
    return Found(text, hedged=several and not marked and read_number(text) is None)


def from_sentence(sentence: str, leading: bool = False, inside: bool = True) -> Found | None:
    """The one value a sentence states. `leading`: where it starts with it; `inside`: anywhere in it."""
    text = tidy(sentence[-MAX_STATEMENT:])
    spans = [(m.start(), m.end(), next(g for g in m.groups() if g is not None)) for m in MATH.finditer(text)]
    numbers = [m for m in _NUMBER.finditer(text) if not any(s <= m.start("number") < e for s, e, _ in spans)]
    if leading:
        starts = [(s, t) for s, _, t in spans[:1]] + [(m.start("number"), _clean(m)) for m in numbers[:1]]
        first = min(starts, default=None)
        if first is not None and first[0] < 4:
            return Found(first[1].strip())
    return _inside(text, spans, numbers) if inside else None


def _inside(text: str, spans: list[tuple[int, int, str]], numbers: list[re.Match[str]]) -> Found | None:
    if len(numbers) > 1 and re.search(r"\bor\b", text[numbers[0].end() : numbers[-1].start()]):
        return Found(text, True)
    listed = _span_list(text, spans)
    if listed:
        return Found(listed, bool(re.search(r"\bor\b", text[spans[0][1] :])))
    for m in reversed(numbers):
        if _IS.search(text[max(0, m.start("number") - 60) : m.start("number")]):
            return Found(_clean(m))
        if spans and m.start() < spans[-1][0]:
            break
    if spans and (len(spans) == 1 or _IS.search(text[max(0, spans[-1][0] - 60) : spans[-1][0]]) or not numbers):
        return Found(tidy(spans[-1][2]))
    if len({_clean(m) for m in numbers}) == 1:
        return Found(_clean(numbers[0]))
    _, equals, right = text.rpartition("=")
    return Found(tidy(right)) if equals and tidy(right) and len(right) <= 200 and not _WORDS.search(right) else None


def _span_list(text: str, spans: list[tuple[int, int, str]]) -> str:
    """Formulas that end a sentence as one list, `$x=3$ and $x=4$`, joined by commas; "" where there is no such list."""
    joined = [spans[-1][2]] if spans and not _WORDS.search(text[spans[-1][1] :]) else []
    for (_, end, content), (start, _, _) in zip(reversed(spans[:-1]), reversed(spans[1:]), strict=True):
        if not joined or text[end:start].replace(",", " ").replace(";", " ").strip() not in ("", "and", "or"):
            break
        joined.insert(0, content)
    return ", ".join(joined) if len(joined) > 1 else ""


def _clean(match: re.Match[str]) -> str:
    return (match["number"].strip().rstrip(",") + match["tail"]).strip()
