"""Finds the last LaTeX box of a text, joined with those before it that belong to the same list."""

import re

from selfplay.answers.visible import MAX_ANSWER_CHARS

_BOX = re.compile(r"\\{1,2}(?:boxed|fbox|framebox)(?:\s{0,8}\{|\s{1,4}(?P<token>[^\s{}$\\]{1,40}))")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_LAYOUT = re.compile(r"\\q?quad(?![A-Za-z])|\\[,;:! ()\[\]]|\\\\|[\s$.()\[\]&{}~]")
_WORDS_BETWEEN = re.compile(r"\\text\s?\{([^{}]{0,40})\}")
_NAMED = re.compile(r"(?:and|,)?[A-Za-z]\w{0,2}(?:_\w)?=")
MAX_JOINED = 20
"""Boxes of one list."""


class Boxes:
    """The boxes that end a text."""

    def __init__(self, parts: list[str], alternatives: bool, start: int, end: int, touching: bool) -> None:
        self.parts, self.alternatives, self.start, self.end = parts, alternatives, start, end
        """Contents in order; whether "or" stands between them; where the first one starts and the last one ends."""
        self.touching = touching
        """Nothing stands between two of them, not even a blank: `\\boxed{1}\\boxed{8}` may be a list, or 18."""


def last_boxes(text: str) -> Boxes | None:
    """The last box that is not empty and those joined to it; None where there is none."""
    boxes = [(content.strip(), start, end) for content, start, end in _all(text) if content.strip()]
    if not boxes:
        return None
    parts, alternatives, start, touching = [boxes[-1][0]], False, boxes[-1][1], False
    for before, after in zip(reversed(boxes[-MAX_JOINED:-1]), reversed(boxes), strict=False):
        joint = _joint(text[before[2] : after[1]])
        if joint is None:
            break
        alternatives = alternatives or joint == "or"
        start, touching = before[1], touching or before[2] == after[1]
        if before[0] != after[0]:
            parts.insert(0, before[0])
    return Boxes(parts, alternatives, start, boxes[-1][2], touching)


def _all(text: str) -> list[tuple[str, int, int]]:
    found = []
    at = 0
    while opening := _BOX.search(text, at):
        # `\boxed 5` has no braces
        content = (opening["token"], opening.end()) if opening["token"] else _content(text, opening.end())
        if content is None:
            break
        found.append((content[0], opening.start(), content[1]))
        at = content[1]
    return found


def _content(text: str, start: int) -> tuple[str, int] | None:
    """Content of the braces that open just before `start`, and where they end; an unclosed box runs to its line's end."""
    depth = 1
    for match in _BRACE.finditer(text, start, min(len(text), start + MAX_ANSWER_CHARS)):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return text[start : match.start()], match.end()
    line = text[start : start + MAX_ANSWER_CHARS].split("\n", 1)[0]
    return (line.rstrip(" $"), start + len(line)) if line.strip(" $}") else None


def _joint(between: str) -> str | None:
    """What joins two boxes: "", ",", "and" or "or"; None where they are not parts of one list."""
    if len(between) > 70 or "\n\n" in between:
        return None
    spoken = _WORDS_BETWEEN.search(between)
    if spoken and len(spoken[1].split()) > 1 and spoken[1].split()[-1] in ("and", "or"):
        return spoken[1].split()[-1]
    bare = _LAYOUT.sub("", _WORDS_BETWEEN.sub(r"\1", between))
    if _NAMED.fullmatch(bare):
        return ","
    words = bare.replace(",", "").replace(";", "")
    return words or "," if words in ("", "and", "or") and bare.count(",") + bare.count(";") < 3 else None
