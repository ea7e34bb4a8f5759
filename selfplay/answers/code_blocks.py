"""Floor 1: the program in a reply. Text work: the code is never run here, and parsed only where it is short."""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from itertools import islice

from selfplay.answers.visible import visible_text

_OPEN = re.compile(r"(?P<lead>[^`~\n]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^\n`]*)")
_ONE_LINE = re.compile(r"(?P<fence>`{3,})(?:(?P<lang>python3?|py)\s+)?(?P<code>[^`\n]+)(?P=fence)\s*$", re.IGNORECASE)
_PYTHON = re.compile(r"\{?\.?(?:python3?|py3?|ipython|pycon|cpython)\b", re.IGNORECASE)
_DEFINES = re.compile(r"^(?:async[ \t]+def|def|class)[ \t]+\w", re.MULTILINE)
_STARTS = re.compile(
    r"(?:async[ \t]+def|def|class)[ \t]+\w+[^\n]*[:(\\,]|import[ \t]+\w|from[ \t]+[\w.]+[ \t]+import\b|@\w"
)
_STATEMENT = re.compile(
    r"(?:(?:async[ \t]+)?(?:def|class|for|while|with|if|elif|else|try|except|finally|match)\b.*:\s*(?:#.*)?$"
    r"|(?:return|yield|raise|assert|del|global|nonlocal|pass|break|continue|import|from)\b"
    r"|[A-Za-z_][\w.\[\]'\", ]*(?:[-+*/%&|^@]|//|\*\*|<<|>>)?=(?!=)"
    r"|[A-Za-z_][\w.]*\(|@\w|#|[)\]}]|'''|\"\"\")"
)
_QUOTES = ('"""', "'''")

MAX_PARSED_CHARS = 20_000
"""Longer texts are read line by line alone: a parser is a thing to be attacked."""


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """(info string, content) of each fenced block, in order; a fence left open runs to the end of the text."""
    if "```" not in text and "~~~" not in text:
        return
    fence: str | None = None
    info, lines = "", list[str]()
    for line in text.split("\n"):
        if fence is None:
            whole = _ONE_LINE.search(line)
            opening = _OPEN.fullmatch(line)
            if whole:
                yield whole["lang"] or "", whole["code"]
            elif opening and (not opening["lead"].strip() or re.fullmatch(r"\w+[ \t]*", opening["info"])):
                fence, info, lines = opening["fence"], opening["info"].strip(), []
        elif (bare := line.strip()) and set(bare) == {fence[0]} and len(bare) >= len(fence):
            yield info, "\n".join(lines)
            fence = None
        else:
            lines.append(line)
    if fence is not None:
        yield info, "\n".join(lines)


def _is_program(text: str) -> bool:
    """Whether a short text is Python as a whole, so that constants above its first function are part of it."""
    if len(text) > MAX_PARSED_CHARS:
        return False
    try:
        with warnings.catch_warnings():  # what Python thinks of a model's style is not for our users
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _unfenced(text: str) -> str | None:
    """Code that stands without a fence: the whole text if it is a program, else from the first definition or import to
    the last line that reads as code."""
    lines = text.split("\n")
    start = next((i for i, line in enumerate(lines) if _STARTS.match(line)), None)
    quotes = [quote for quote in _QUOTES if quote in text]
    end = None if start is None else _last_line_of_code(lines, start, quotes)
    # Where every line reads as code the text is taken whatever a parser says, which costs more than all the rest.
    if (start, end) != (0, len(lines) - 1) and _DEFINES.search(text) and _is_program(text):
        return text
    if start is None or end is None:
        code = [line for line in lines if line.strip()]
        whole = bool(code) and all(_STATEMENT.match(line) or line[0] in " \t" for line in code)
        return text if whole and not code[0][0].isspace() else None
    return "\n".join(lines[start : end + 1])


def _last_line_of_code(lines: Sequence[str], start: int, quotes: Sequence[str]) -> int:
    """The last line, from a definition or import on, that reads as code. `quotes`: those of long texts, where it has any."""
    end, open_quote = start, ""
    for i, line in enumerate(islice(lines, start, None), start):
        inside = bool(open_quote)
        for quote in quotes:
            if open_quote in ("", quote) and line.count(quote) % 2:
                open_quote = "" if open_quote else quote
        if not line or line.isspace():
            continue
        if not (inside or line[0] in " \t" or _STATEMENT.match(line)):
            break
        end = i
    return end


def extract_code(text: str) -> str | None:
    """The Python program in a reply, or None where there is none.

    The last block marked as Python wins, else the last unmarked one; of several, the last that defines a function or a
    class, so that an example of use after the solution is not taken for it. Blocks in other languages never count. A
    fence that is never closed runs to the end. Without any fence, code from the first definition or import on. Think
    blocks are never looked into, closed or not. Indented blocks are dedented.
    """
    body = visible_text(text)
    found = [(info, textwrap.dedent(code).strip("\n")) for info, code in _blocks(body)]
    found = [(info, code) for info, code in found if code.strip()]
    for blocks in ([c for i, c in found if _PYTHON.match(i)], [c for i, c in found if not i]):
        if blocks:
            return next((code for code in reversed(blocks) if _DEFINES.search(code)), blocks[-1])
    return None if found else _unfenced(body.strip("\n"))
