"""Splits a reply at its code fences, in time linear in the text."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from selfplay.answers.programs import is_code, parsed

_OPEN = re.compile(r"(?P<lead>[^`~\n]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)")
_ONE_LINE = re.compile(
    r"(?<!`)(?P<fence>`{3,})(?:(?P<lang>python3?|py)\s+)?(?P<code>[^`\n]+)(?P=fence)\s*$", re.IGNORECASE
)
_MARKER = re.compile(r"[ \t]*(?:(?:[-*+]|\d{1,4}[.)]|>)[ \t]*){0,8}")
_QUOTED = re.compile(r"[ \t]*(?:>[ \t]?){1,8}")
_PYTHON = re.compile(
    r"\{?\.?(?:lang(?:uage)?[-=:])?(?:python[\d.]*|py3?|ipython3?|pycon|cpython|[\w./-]{0,80}\.py)(?![\w+#-])",
    re.IGNORECASE,
)
_LEXED = re.compile(r"#.*|\"\"\"|'''|\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?")
_INSIDE = {'"""': re.compile(r'\\.|"""'), "'''": re.compile(r"\\.|'''")}
_MAX_DEPTH = 3
_MAX_RETRIES = 4


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a reply: the content of a fenced block, or the text between blocks."""

    text: str
    info: str | None
    """What stands beside the opening fence, "" for nothing; None: text outside every fence."""
    closed: bool = True
    """False: the text ended first."""


class _Opening(NamedTuple):
    char: str
    length: int
    info: str
    indent: int
    quoted: bool
    """Whether it stands in a Markdown quotation, so that its lines begin with `>`."""

    @property
    def code(self) -> bool:
        """Whether Python may stand in it, where a line of backticks can be nothing but a fence."""
        return not self.info or is_python(self.info)


class _Ending(NamedTuple):
    rest: str
    """What of the line still belongs to the block."""
    again: bool = False
    """Whether the line opens the next block as well."""


def is_python(info: str) -> bool:
    """Whether the words beside a fence name Python: `py`, `Python 3`, `{.python}`, `language-python`, `solution.py`."""
    return _PYTHON.match(info) is not None


def segments(text: str) -> list[Segment]:
    """The reply in pieces, in order, blank ones left out.

    A fence is closed by one of its kind that is at least as long (CommonMark), and in code by any line that begins
    with backticks outside a string, also where text follows, or by backticks at the end of a line of code. A fence that is marked as
    Python opens a block wherever it stands, but in a string. A reply that begins inside a fence (the prompt
    wrote the opening one) is read so. Blocks that hold fences themselves (`markdown`) are taken apart in their turn.
    """
    return _Reader().read(text, 0)


class _Reader:
    def __init__(self) -> None:
        self._retries = _MAX_RETRIES

    def read(self, text: str, depth: int) -> list[Segment]:
        if "```" not in text and "~~~" not in text:
            return [Segment(text, None)] if text.strip() else []
        lines = text.split("\n")
        found, at = self._head(lines) if depth == 0 else (list[Segment](), 0)
        outside: list[str] = []
        while at < len(lines):
            whole, opening = _ONE_LINE.search(lines[at]), _opening(lines[at])
            if whole is None and opening is None:
                outside.append(lines[at])
                at += 1
                continue
            found.append(Segment("\n".join(outside), None))
            outside = []
            if whole is not None:
                found.append(Segment(whole["code"], whole["lang"] or ""))
                at += 1
            elif opening is not None:
                block, at = self._block(lines, at + 1, opening)
                found += self._taken_apart(block, opening, depth)
        found.append(Segment("\n".join(outside), None))
        return [one for one in found if one.text.strip()]

    def _head(self, lines: list[str]) -> tuple[list[Segment], int]:
        """The block that the reply begins in, and the line after it; nothing and 0 where it begins in none.

        It does where its first fences pair off only if one is missing before the text, and what stands there is code.
        """
        bare = 0
        for line in lines:
            opening = _opening(line)
            if opening is not None and opening.info:
                break
            bare += line.strip().startswith("```") or (opening is None and line.rstrip().endswith("```"))
        if bare % 2 == 0:
            return [], 0
        block, at = self._block(lines, 0, _Opening("`", 3, "python", 0, quoted=False))
        return ([block], at) if block.closed and is_code(block.text) else ([], 0)

    def _block(self, lines: list[str], start: int, opening: _Opening) -> tuple[Segment, int]:
        """The block whose first line is `start`, and the line after it."""
        if not opening.code or self._retries <= 0:
            return _block(lines, start, opening, lexed=False)[:2]
        block, at, passed_over = _block(lines, start, opening, lexed=True)
        if passed_over and parsed(block.text) is None:
            # a string that was never closed has swallowed fences: it is broken code in any case
            self._retries -= 1
            return _block(lines, start, opening, lexed=False)[:2]
        return block, at

    def _taken_apart(self, block: Segment, opening: _Opening, depth: int) -> list[Segment]:
        nested = not is_python(opening.info) and depth < _MAX_DEPTH and ("```" in block.text or "~~~" in block.text)
        return self.read(block.text, depth + 1) if nested and parsed(block.text) is None else [block]


def _opening(line: str) -> _Opening | None:
    """The fence that a line opens; None where it opens none."""
    found = _OPEN.fullmatch(line) if "```" in line or "~~~" in line else None
    if found is None:
        return None
    lead, info = found["lead"].lstrip("\ufeff"), found["info"].strip()
    if not _MARKER.fullmatch(lead) and not (info and (is_python(info) or re.fullmatch(r"\w+", info))):
        return None
    indent = len(lead) if _MARKER.fullmatch(lead) else 0
    return _Opening(found["fence"][0], len(found["fence"]), info, indent, ">" in lead and not lead.strip("> \t"))


def _block(lines: list[str], start: int, opening: _Opening, lexed: bool) -> tuple[Segment, int, bool]:
    """The block, the line after it, and whether a fence in a string was passed over.

    `lexed`: whether fences inside strings that run over several lines are content.
    """
    content: list[str] = []
    quote, passed_over, mark = "", False, opening.char * 3
    for at in range(start, len(lines)):
        line = _content(lines[at], opening)
        if mark in line or "```python" in line:
            end = _ending(line, opening, quote)
            if end is not None:
                rest = [end.rest] if end.rest else []
                return Segment("\n".join(content + rest), opening.info), at if end.again else at + 1, passed_over
            passed_over |= bool(quote) and line.strip().startswith(mark)
        if lexed:
            quote = _quote_after(line, quote)
        content.append(line)
    return Segment("\n".join(content), opening.info, closed=False), len(lines), passed_over


def _content(line: str, opening: _Opening) -> str:
    """A line of the block without what the fence's place put before it: quotation marks, the indentation of a list."""
    if opening.quoted:
        return _QUOTED.sub("", line, count=1)
    own = len(line) - len(line.lstrip(" \t"))
    return line[min(own, opening.indent) :] if opening.indent else line


def _ending(line: str, opening: _Opening, quote: str) -> _Ending | None:
    """How a line ends the block; None where it does not. `quote`: the string that is open before it."""
    bare, mark = line.strip(), opening.char * 3
    if not quote and bare[:3] in ("```", "~~~"):
        run = len(bare) - len(bare.lstrip(bare[0]))
        rest = bare[run:].strip()
        if is_python(rest) and "`" not in rest:
            return _Ending("", again=True)
        enough = run >= opening.length or is_python(opening.info)
        return _Ending("") if bare[0] == opening.char and enough and mark not in rest else None
    if not opening.code or bare.startswith("#"):
        return None
    glued = line.rstrip().rstrip(opening.char) if bare.endswith(mark) else line[: max(0, _fence_in(line, mark, quote))]
    inside = glued.count(mark) % 2 or _quote_after(glued, quote)
    return None if inside or not glued.strip() else _Ending(glued.rstrip())


def _fence_in(line: str, mark: str, quote: str) -> int:
    """Where backticks stand in a line of code outside its strings and comments; -1 for nowhere."""
    if quote:
        return -1
    outside = _LEXED.sub(lambda found: " " * len(found[0]), line)
    return outside.find(mark)


def _quote_after(line: str, quote: str) -> str:
    """The triple quote that is open after a line of Python, "" for none. `quote`: before it."""
    if (quote and quote not in line) or (not quote and '"""' not in line and "'''" not in line):
        return quote
    at = 0
    while at < len(line):
        found = (_INSIDE[quote] if quote else _LEXED).search(line, at)
        if found is None:
            break
        at = found.end()
        if quote:
            quote = "" if found[0] == quote else quote
        elif found[0] in _INSIDE:
            quote = found[0]
    return quote
