"""The verifier of type `heuristic`: is a reply well formed, of a fit length, not looping, in the language asked?

Its graders need no reference and no model. Each takes the reply's text and returns a score in [0, 1], 1 being best, or None where
there is nothing to measure (which is not 0: a mean leaves it out). They say nothing about whether an answer is right, so the
verifier fails or abstains; it passes only where its check says `accepts: true`.
"""

import re
import unicodedata
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from selfplay.answers import extract_answer, visible_text
from selfplay.errors import ConfigError
from selfplay.records import Attempt, Outcome, Task, Verdict
from selfplay.verify.base import Check, RegisteredVerifier

NAME = "heuristic/1"
MAX_CHARS = 200_000
"""Only that much of a reply is looked at."""

_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)
_THINK_OPEN = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_THINK_CLOSE = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_NOT_PROSE = re.compile(r"```.*?(?:```|\Z)|\$\$.*?\$\$|\$[^$\n]*\$|\\[a-zA-Z]+|https?://\S+", re.DOTALL)


def format_score(text: str, *, answer: bool = True, code: bool = False) -> float | None:
    """Share of the marks of a finished reply that it bears: think block closed, code fences and boxes closed, an answer.

    `answer`: an answer can be extracted; `code`: it holds a fenced block. None for a blank text.
    """
    text = text[:MAX_CHARS]
    if not text.strip():
        return None
    checks = [
        len(_THINK_OPEN.findall(text)) <= len(_THINK_CLOSE.findall(text)),
        len(_FENCE.findall(text)) % 2 == 0,
        text.count("{") == text.count("}") if "\\boxed" in text else True,
    ]
    if answer:
        checks.append(extract_answer(text) is not None)
    if code:
        checks.append(len(_FENCE.findall(visible_text(text))) >= 2)
    return sum(checks) / len(checks)


def length_score(text: str, *, low: int = 5, high: int = 400) -> float | None:
    """1 for `low` to `high` words (what the reader is shown, blanks between), falling in a line to 0 at none and at twice `high`.

    None for a blank text. Raises ValueError unless 0 <= low <= high and high > 0.
    """
    if not 0 <= low <= high or high == 0:
        raise ValueError(f"length_score: low is {low} and high is {high}, need 0 <= low <= high and high > 0")
    if not text.strip():
        return None
    words = len(visible_text(text[:MAX_CHARS]).split())
    if words < low:
        return words / low
    return 1.0 if words <= high else max(0.0, 2 - words / high)


def repetition_score(text: str, *, n: int = 4) -> float | None:
    """The lower of two signs of a loop: different n-grams of words by all, and how well the text compresses.

    1 is no repetition; a text that says one sentence over and over falls towards 0. Compression counts from 400
    characters on and is 1 from a third of the raw size up (ordinary prose of that length stays above). None with fewer
    than n + 1 words.
    """
    text = text[:MAX_CHARS]
    words = text.lower().split()
    if len(words) <= n:
        return None
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    distinct = len(set(grams)) / len(grams)
    raw = text.encode("utf-8", "replace")
    if len(raw) < 400:
        return distinct
    return min(distinct, min(1.0, 3 * len(zlib.compress(raw, 6)) / len(raw)))


def language_score(text: str, *, script: str = "LATIN") -> float | None:
    """Share of the letters of the prose (code, formulas and links left out) that are of one script.

    `script` is the first word of Unicode's letter names: LATIN, CYRILLIC, GREEK, ARABIC, CJK, HIRAGANA, HANGUL, ... None
    where there are no letters. Tells a switch of script, not English from French.
    """
    letters = [ch for ch in _NOT_PROSE.sub(" ", text[:MAX_CHARS]) if ch.isalpha()]
    if not letters:
        return None
    wanted = script.upper()
    ascii_share = sum(ch < "\x80" for ch in letters) if wanted == "LATIN" else 0
    others = [ch for ch in letters if ch >= "\x80" or wanted != "LATIN"]
    return (ascii_share + sum(unicodedata.name(ch, "").startswith(wanted) for ch in others)) / len(letters)


_GRADERS: Mapping[str, Callable[..., float | None]] = {
    "format": format_score,
    "length": length_score,
    "repetition": repetition_score,
    "language": language_score,
}
_SETTINGS: Mapping[str, frozenset[str]] = {
    "format": frozenset({"answer", "code"}),
    "length": frozenset({"low", "high"}),
    "repetition": frozenset({"n"}),
    "language": frozenset({"script"}),
}


class Heuristic(RegisteredVerifier):
    """Verifier of `heuristic` checks: bars that scores in [0, 1] must reach, one a grader that the check names.

    `{type: heuristic, repetition: 0.5, length: {at_least: 0.8, low: 20, high: 300}}`: a number is the bar alone, a mapping
    has `at_least` and the grader's own settings. A score that cannot be had (a reply of two words repeats nothing) is no
    fault. `accepts: true` makes it pass where all is well.
    """

    keys = frozenset({"accepts", *_GRADERS})

    @classmethod
    def fault(cls, check: Check) -> str:
        """See `RegisteredVerifier.fault`."""
        return heuristic_fault(check)

    def verify(self, checks: Sequence[Check], tasks: Sequence[Task], attempts: Sequence[Attempt]) -> list[Verdict]:
        """See `Verifier.verify`. Raises ConfigError on a grader or a setting that there is none of."""
        return [_heuristic(*item) for item in zip(checks, tasks, attempts, strict=True)]


def _heuristic(check: Check, task: Task, attempt: Attempt) -> Verdict:
    bars = bars_of(check, task.id)
    scores = {name: _GRADERS[name](attempt.text, **settings) for name, (_, settings) in bars.items()}
    details = {"scores": scores}
    low = [name for name, (bar, _) in bars.items() if (score := scores[name]) is not None and score < bar]
    known = [score for score in scores.values() if score is not None]
    mean = sum(known) / len(known) if known else None
    if not attempt.text.strip():
        return Verdict(verifier=NAME, outcome=Outcome.INVALID, reason="no answer found")
    if low:
        reason = ", ".join(f"{name} {scores[name]:.2f} below {bars[name][0]:g}" for name in low)
        return Verdict(verifier=NAME, outcome=Outcome.FAIL, reason=reason, score=mean, details=details)
    outcome = Outcome.PASS if check.get("accepts") is True and known else Outcome.ABSTAIN
    return Verdict(verifier=NAME, outcome=outcome, reason="well formed", score=mean, details=details)


def bars_of(check: Check, task_id: str) -> dict[str, tuple[float, dict[str, Any]]]:
    """Grader -> (bar, its settings). Raises ConfigError with the task where the check cannot be used."""
    if fault := heuristic_fault(check):
        raise ConfigError(f"task {task_id}: heuristic: {fault}")
    found = {}
    for name in _named(check):
        settings = dict(check[name]) if isinstance(check[name], Mapping) else {"at_least": check[name]}
        found[name] = (float(settings.pop("at_least")), settings)
    return found


def _named(check: Check) -> list[str]:
    """The graders that a check names, known or not."""
    return [name for name in check if name not in ("type", "accepts", "stronger", "near_misses")]


def heuristic_fault(check: Check) -> str:
    """What is wrong with a `heuristic` check: key, value and remedy; "" where nothing is."""
    if not isinstance(check.get("accepts", False), bool):
        return f"accepts is {check['accepts']!r:.60}, must be true or false"
    names = _named(check)
    if not names:
        return f"it names no grader; give one of {', '.join(_GRADERS)} with its bar"
    for name in names:
        given = check[name]
        settings = dict(given) if isinstance(given, Mapping) else {"at_least": given}
        bar = settings.pop("at_least", None)
        if name not in _GRADERS:
            return f"{name} is no grader; give one of {', '.join(_GRADERS)} with its bar"
        if not isinstance(bar, int | float) or isinstance(bar, bool) or not 0 <= bar <= 1:
            return f"{name} is {given!r:.60}; give a bar in [0, 1], alone or as at_least beside settings"
        if unknown := sorted(set(settings) - _SETTINGS[name]):
            return (
                f"{name} has {unknown[0]}, which it does not know; its settings: {', '.join(sorted(_SETTINGS[name]))}"
            )
        if fault := _setting_fault(settings):
            return f"{name}: {fault}"
        try:
            _GRADERS[name]("A text to try it on.", **settings)
        except ValueError as error:
            return f"{name}: {error}; correct its settings"
    return ""


def _setting_fault(settings: Check) -> str:
    """Whether a grader's settings are of the types that it takes: whole numbers, true or false, a word."""
    for key, value in settings.items():
        if key in ("answer", "code") and not isinstance(value, bool):
            return f"{key} is {value!r:.60}, must be true or false"
        if key == "script" and not isinstance(value, str):
            return f"{key} is {value!r:.60}, must be a word such as LATIN"
        if key in ("low", "high", "n") and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            return f"{key} is {value!r:.60}, must be a whole number from 0"
    return ""
