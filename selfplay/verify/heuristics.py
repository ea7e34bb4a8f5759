"""Floor 3: graders that need no reference and no model: is a reply well formed, of a fit length, not looping, in the language asked?

Each takes the reply's text and returns a score in [0, 1], 1 being best, or None where there is nothing to measure (which is
not 0: a mean leaves it out). They say nothing of whether an answer is right, so they rank or filter; alone they accept nothing.
"""

import re
import unicodedata
import zlib
from collections.abc import Mapping

from selfplay.answers import extract_answer, visible_text

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


def combined_score(scores: Mapping[str, float | None], weights: Mapping[str, float]) -> float | None:
    """Weighted mean of the scores that were given; None where none was. Raises KeyError for a score without a weight."""
    given = [(weights[name], score) for name, score in scores.items() if score is not None]
    total = sum(weight for weight, _ in given)
    return sum(weight * score for weight, score in given) / total if total > 0 else None
