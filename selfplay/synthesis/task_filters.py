"""What is wrong with a task that a model wrote, in one word. Pure; "" where nothing is.

These filters judge the form alone: what they let through still has to pass a verifier. docs/dev/synthesis-filters.md has their measured
precision and recall.
"""

import re
import unicodedata
from collections import Counter

from selfplay.synthesis.text_features import content_words, language, numbers, stems, words

MAX_CHARS = 4000
"""A longer task counts as endless: the longest task of the published sets we know has 3,300 characters."""

_INJECTED = re.compile(
    "|".join(
        (
            r"\bmark (?:this|it)\b[^.\n]{0,30}\b(?:correct|right|passed|solved)\b",
            r"\b(?:grade|rate|accept|treat) (?:this|any|every)\b[^.\n]{0,30}(?:\b(?:correct|right|valid|answer|full|highest)\b|\.|$)",
            r"\bignore\b[^.\n]{0,40}\b(?:instructions?|rubric|prompt|rules)\b",
            r"\bignor(?:ez|iere|iert|a|e)\b[^.\n]{0,40}\b(?:instruc\w+|anweisung\w*)",
            r"\b(?:grader|judge)s?\s*:",
            r"\bnote to the (?:grader|judge)",
            r"\bfull (?:score|marks)\b",
            r"\bhighest score\b",
            r"[\"']score[\"']\s*:",
            r"\baccept this\b",
        )
    ),
    re.IGNORECASE,
)
_MARKUP = re.compile(
    r"</?(?:a|b|i|u|p|br|div|span|h[1-6]|ul|ol|li|table|tr|td|img|script|style|html|body|em|strong|think|thinking|user|"
    r"assistant|system|instruction|response|task|answer)(?:\s+[\w-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>]+))*\s*/?>|"
    r"<\|[^|<>\n]{1,40}\|>|\[/?INST\]|<</?SYS>>|^#{2,4} ?(?:response|instruction|input|answer)\b",
    re.IGNORECASE | re.MULTILINE,
)
_FRAME = re.compile(
    r"^\W{0,3}(?:rewritten|given|created|new|evolved|translated)\W{0,2}(?:prompt|task|text|version)\W{0,3}:|"
    r"^\W*(?:here(?:'s| is| are)\b|sure\b|certainly\b|of course\b|translation\s*:|okay\b)|\brewrit(?:e|ten) (?:the )?(?:task|prompt|version)|"
    r"^\W*write (?:a|one|the) (?:task|exercise|problem) (?:about|that|with|on)\b|\bgiven (?:task|prompt)\b",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"^\W*i(?:'| a)?m sorry|^\W*i (?:can(?:no|')?t|cannot|am (?:not able|unable))\b|\bas an ai\b|\blanguage model\b",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(r"\[[A-Z][\w ]{2,40} here\]|\{\{[^{}]{0,60}\}\}|<insert\b|\u27e6\d+\u27e7", re.IGNORECASE)
_ASKS = re.compile(
    r"\?|？|\b(?:find|write|compute|calculate|determine|give|show|return|returns|implement|create|define|round|count|solve|convert|list|name|"
    r"explain|describe|draft|compose|answer|prove|simplify|evaluate|tell|design|summari[sz]e|work out)\b",
    re.IGNORECASE,
)
_GIVEAWAY = re.compile(r"\b(?:answer|result|solution|so|therefore|thus|hence)\b", re.IGNORECASE)
_ADMONITION = re.compile(
    r"[^.!?]*\b(?:think (?:carefully|hard|step)|take your time|be careful|step by step|show your work)\b[^.!?]*[.!?]?",
    re.I,
)
_CHECKABLE = re.compile(r"[\w\s+\-*/^().,=%$\u20ac\u00a3\u00b0\\{}!:|]{1,80}")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n")


def form_fault(text: str, like: str = "", limit: int = MAX_CHARS) -> str:
    """What is wrong with any text: `empty`, `control_characters`, `endless`, `markup`, `injected` (it addresses a grader), `talk`
    (about the reply itself), `refusal`, `placeholder`; `other_language` where `like` is given and is in another language.
    """
    if not text.strip():
        return "empty"
    if any(_control(c) for c in text):
        return "control_characters"
    if len(text) > limit or repeats(text):
        return "endless"
    for pattern, word in ((_INJECTED, "injected"), (_MARKUP, "markup"), (_REFUSAL, "refusal"), (_FRAME, "talk")):
        if pattern.search(text):
            return word
    if _PLACEHOLDER.search(text):
        return "placeholder"
    if like and not same_language(like, text):
        return "other_language"
    return ""


def task_fault(task: str, answer: str | None, like: str = "") -> str:
    """What is wrong with a task and its final answer (None: tests verify it): the faults of `form_fault`, and `no_question`,
    `no_answer`, `unverifiable` (no number or expression), `answer_given` (the task states its answer).
    """
    if fault := form_fault(task, like):
        return fault
    if not _ASKS.search(task):
        return "no_question"
    if answer is None:
        return ""
    if not answer.strip():
        return "no_answer"
    if not checkable(answer):
        return "unverifiable"
    return "answer_given" if gives_away(task, answer) else ""


def evolved_fault(parent: str, task: str, answer: str | None) -> str:
    """What is wrong with an evolved task: the faults of `task_fault`, and `unchanged` (it adds nothing to its parent)."""
    fault = form_fault(task, parent)
    if not fault and unchanged(parent, task):
        return "unchanged"
    return fault or task_fault(task, answer, parent)


def unchanged(parent: str, task: str) -> bool:
    """Whether a task adds nothing to its parent: the same numbers, and fewer than two new content words."""
    task = _ADMONITION.sub("", task)
    new = content_words(task) - content_words(parent)
    return Counter(numbers(parent)) == Counter(numbers(task)) and len(new) < 2


def checkable(answer: str) -> bool:
    """Whether an answer is a number or an expression: digits or single letters, and at most one longer word (a unit)."""
    if not _CHECKABLE.fullmatch(answer.strip()):
        return False
    long_words = [word for word in re.findall(r"[^\W\d_]+", answer) if len(word) > 3 and word not in ("frac", "sqrt")]
    algebra = re.fullmatch(r"[\sa-zA-Z+\-*/^().=]{1,40}", answer) and not re.search(r"[a-zA-Z]{2}", answer)
    symbols = re.search(r"\d", answer) or algebra
    return bool(symbols) and len(long_words) <= 1


def gives_away(task: str, answer: str) -> bool:
    """Whether a sentence of the task states its answer beside a word such as `so`, `answer` or `result`."""
    wanted = re.compile(rf"(?<![\w.,]){re.escape(answer.strip())}(?![\w%]|[.,]\d)")
    stated = [part for part in _SENTENCE_END.split(task) if _GIVEAWAY.search(part) and not part.endswith("?")]
    return any(wanted.search(part) for part in stated)


def repeats(text: str) -> bool:
    """Whether at least half of its runs of six words are repeats, as in a text that does not come to an end."""
    found = words(text, stop=False) or list(text)
    runs = [tuple(found[at : at + 6]) for at in range(len(found) - 5)]
    return len(runs) >= 40 and len(set(runs)) < 0.5 * len(runs)


def same_language(one: str, other: str) -> bool:
    """Whether two texts may share a language: false only where both languages are known and differ."""
    first, second = language(one), language(other)
    return first == second or "" in (first, second)


def rare_fault(constraints: dict[str, str], task: str, answer: str | None) -> str:
    """What is wrong with a task written for a draw (axis -> value): the faults of `task_fault`, and `constraint_AXIS` where less
    than half of the value's words occur. The axis `topic` is not checked, since a task on a topic need not name it.
    """
    if fault := task_fault(task, answer, " ".join(constraints.values()) + " the of and"):
        return fault
    have = (
        stems(task)
        | ({"perc"} if "%" in task else set())
        | ({"zero"} if re.search(r"(?<![\d.,])0(?:[.,]0+)?(?![.,]?\d)", task) else set())
    )
    for name, value in constraints.items():
        wanted = stems(value)
        met = len(wanted & have)
        if name != "topic" and wanted and 2 * met < len(wanted):
            return f"constraint_{name}"
    return ""


def instruction_fault(text: str, task: str, score: float, least: float = 4) -> str:
    """What is wrong with an instruction written for a text: the faults of `form_fault`, and `low_score` (the teacher's own score is
    below `least`), `vague`, `copied`, `points_away` (to a text that its reader does not see), `other_subject`.
    """
    if fault := form_fault(task, text, 1500):
        return fault
    if score < least:
        return "low_score"
    asked = words(task, stop=False)
    if len(asked) < 5:
        return "vague"
    runs = {tuple(w) for w in zip(*(words(text, stop=False)[at:] for at in range(7)), strict=False)}
    if any(tuple(asked[at : at + 7]) in runs for at in range(len(asked) - 6)):
        return "copied"
    if re.search(
        r"\b(?:the|this) (?:text|passage|article|paragraph)\b|\babove\b|\baccording to\b", task, re.IGNORECASE
    ):
        return "points_away"
    shared = stems(task) & stems(text)
    return "" if len(shared) >= 2 else "other_subject"


def _control(character: str) -> bool:
    if character in "\n\t":
        return False
    kind = unicodedata.category(character)
    return kind in ("Cc", "Cs", "Co") or character in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
