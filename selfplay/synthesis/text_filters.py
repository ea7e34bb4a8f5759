"""What is wrong with a task, a solution or a textbook section that a model wrote, in one word. Pure; "" where nothing is.

The filters judge the form alone: a task that they let through still has to pass a verifier. Words, stems, numbers and language are read coarsely on
purpose. Arithmetic steps of a solution are checked as far as they can be parsed (`verify.math`); its final answer is left to the verifier.
docs/dev/synthesis-filters.md has the measured precision and recall.
"""

import re
import unicodedata
from collections import Counter

from selfplay.answers import extract_answer
from selfplay.records import Outcome
from selfplay.verify.math import check_solution, equal

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:/\d+)?")

STOP = {
    "en": "the a an of and or to in is are was were be that this it he she they his her its their with for on at by as from what how many much "
    "which who does do did has have had not if then than but so there into out up all each one two can will would i you we my your",
    "fr": "le la les un une des du de et ou est sont que qui dans il elle ils avec pour sur par au aux ce cette ses son sa leur combien quel quelle "
    "lui en ne pas plus chacun chacune",
    "de": "der die das ein eine einer eines und oder ist sind war waren dass in er sie es mit für auf bei als aus was wie viele welche nicht wenn "
    "dann aber den dem sich auch ihm ich",
    "es": "el la los las un una unos y o es son que en él ella con para por del al se su sus cuántos cuál no si pero le",
    "it": "il lo la gli le un una e o è sono che in con per del della si suo sua quanti quale non se ma di",
    "pt": "o a os as um uma e ou é são que em com para por do da se seu sua quantos qual não",
    "nl": "de het een en of is zijn dat in met voor op bij als uit wat hoe veel welke niet maar hij zij",
}
"""Function words that tell languages in Latin script apart; a text needs three of one language to have it."""
_STOP = {name: frozenset(text.split()) for name, text in STOP.items()}
_FUNCTION_WORDS = _STOP["en"] | {"now", "also", "just", "only", "still", "given", "please", "must", "should"}


def words(text: str, stop: bool = True) -> list[str]:
    """Words and numbers in order, case-folded; with `stop`, without English function words."""
    found = re.findall(rf"{NUMBER.pattern}|{_WORD.pattern}", unicodedata.normalize("NFC", text).casefold())
    return [word for word in found if word not in _FUNCTION_WORDS] if stop else found


def content_words(text: str) -> set[str]:
    """The set of content words, without numbers; a final `s` is cut off, so that a plural equals its singular."""
    return {word.rstrip("s") or word for word in words(text) if not word[0].isdigit()}


def stems(text: str) -> set[str]:
    """Content words of three letters or more, cut to four letters."""
    return {word[:4] for word in content_words(text) if len(word) > 2}


def numbers(text: str) -> list[str]:
    """Numbers in order, as they are written in the text."""
    return NUMBER.findall(text)


def language(text: str) -> str:
    """A language of STOP, or the name of a script such as CJK or CYRILLIC; "" where neither can be told."""
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return ""
    scripts = Counter(unicodedata.name(c, "?").partition(" ")[0] for c in letters)
    script, count = scripts.most_common(1)[0]
    if script != "LATIN":
        return script if count * 2 > len(letters) else ""
    found = words(text, stop=False)
    counts = {name: sum(word in known for word in found) for name, known in _STOP.items()}
    best = max(counts, key=lambda name: counts[name])
    others = max(count for name, count in counts.items() if name != best)
    return best if counts[best] >= 3 and counts[best] > others else ""


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


MAX_SOLUTION_CHARS = 6000
MIN_SECTION_CHARS = 120
_EQUATION = re.compile(r"\d\s*[-+*/x×÷:^]\s*\(?\s*\d|=\s*[-\d(]")
_ANSWER_LINE = re.compile(r"^\W*(?:(?:a|answer|final answer)\W*:|(?:the )?answer is\b).*$|^#{4}.*$", re.IGNORECASE)
_LAST_ANSWER = re.compile(r"\b(?:A|Answer|answer)\s*(?:is|:)\s*([^\n]+)")


def solution_fault(solution: str, task: str = "") -> str:
    """What is wrong with a worked solution: the faults of `form_fault`, and `off_format` (a code block), `no_answer`,
    `no_reasoning`, `two_answers`, `wrong_step`; "" where nothing is.
    """
    if fault := form_fault(solution, task, MAX_SOLUTION_CHARS):
        return fault
    if "```" in solution:
        return "off_format"
    answer = extract_answer(solution)
    if answer is None:
        return "no_answer"
    lines = [line for line in solution.splitlines() if line.strip()]
    reasons = " ".join(line for line in lines if not _ANSWER_LINE.match(line))
    if not _EQUATION.search(reasons) and len(words(reasons, stop=False)) < 8:
        return "no_reasoning"
    stated = {text.strip().rstrip(".") for text in _LAST_ANSWER.findall(solution)}
    if any(equal(one, answer) is Outcome.FAIL for one in stated):
        return "two_answers"
    return "wrong_step" if check_solution(lines).first_wrong is not None else ""


def section_fault(title: str, text: str) -> str:
    """What is wrong with a section's text: the faults of `form_fault`, and `too_short`, `off_section` (not about its title),
    `no_example`, `wrong_step`; "" where nothing is.
    """
    if fault := form_fault(text, f"{title} of the and is"):
        return fault
    if len(text) < MIN_SECTION_CHARS:
        return "too_short"
    wanted, have = stems(title), stems(text)
    if 2 * len(wanted & have) < len(wanted):
        return "off_section"
    if not re.search(r"\d", text):
        return "no_example"
    sentences = re.split(r"(?<=[.!?;])\s+|(?<=[a-z]), |: ", text)
    return "wrong_step" if check_solution(sentences).first_wrong is not None else ""


def exercise_fault(title: str, text: str, task: str, answer: str) -> str:
    """What is wrong with an exercise of a section: the faults of `task_fault`, and `no_numbers`, `off_section`, `worked_example`
    (the section's own example asked again); "" where nothing is.
    """
    if fault := task_fault(task, answer, text):
        return fault
    asked, shown = set(numbers(task)), numbers(text)
    spelled = content_words(task) & {"two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}
    if not asked and not spelled:
        return "no_numbers"
    if not stems(task) & (stems(text) | stems(title)) and not _initials(title) & set(
        re.findall(r"\b[A-Z]{2,6}\b", task)
    ):
        return "off_section"
    return "worked_example" if len(numbers(task)) >= 2 and _within(numbers(task), shown) and answer in shown else ""


def _within(run: list[str], whole: list[str]) -> bool:
    """Whether a run of numbers occurs as one piece in another."""
    return any(whole[at : at + len(run)] == run for at in range(len(whole) - len(run) + 1))


def _initials(title: str) -> set[str]:
    return {"".join(word[0] for word in re.findall(r"[A-Za-z]+", title)).upper()}
