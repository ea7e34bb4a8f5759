"""Markdown from plain values. Whatever a run or a model wrote is text: it cannot begin a heading, a link or a block."""

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\`*_\[\]|<>~$])")


def text(value: object) -> str:
    """A value as text on one line that means nothing in Markdown or HTML."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


def code(value: object) -> str:
    """A value as a span of code."""
    return "`" + " ".join(str(value).split()).replace("`", "'") + "`"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already; a `|` in a cell is escaped."""
    lines = [" | ".join(re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in row) for row in (heads, *rows)]
    return "\n".join(f"| {line} |" for line in (lines[0], " | ".join("---" for _ in heads), *lines[1:]))


def section(title: str, *parts: str) -> str:
    """A section with its paragraphs, lists and tables; "" if all of them are empty."""
    filled = [part for part in parts if part]
    return "\n\n".join([f"## {title}", *filled]) if filled else ""


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines if line)
