"""Finds the program in a reply. The code is never run here, and parsed only where it is short."""

import html
import re
import textwrap
from collections.abc import Iterator, Sequence

from selfplay.answers.fences import Segment, is_python, segments
from selfplay.answers.programs import DEFINES, MAX_PARSED_CHARS, Entry, Program, parsed
from selfplay.answers.visible import visible_text

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
_PROMPT = re.compile(r"(?:>>>|\.\.\.|In \[\d{1,6}\]:)(?: |$)")
_TAG = re.compile(r"</?(?:pre|code)\b[^<>\n]{0,100}>", re.IGNORECASE)
_LANGUAGE_LINE = re.compile(r"\s*(?:python3?|py)[ \t]*\n", re.IGNORECASE)

_MAX_BLOCKS = 256
"""Of more blocks only the last are looked at."""
_MAX_PARSED_BLOCKS_CHARS = 10 * MAX_PARSED_CHARS
_MAX_TRIMS = 16


class _Block(Program):
    """A piece of code of the reply. `rank`: how much it says that it is the program: 3 marked as Python, 2 not marked,
    1 marked as something that names no language we know, 0 outside every fence."""

    def __init__(self, text: str, rank: int) -> None:
        super().__init__(text)
        self.rank = rank


def extract_code(text: str, entry_point: str | None = None) -> str | None:
    """The Python program in a reply, or None where there is none.

    With `entry_point` (a name, or a method as `Solution().f`): the last block that parses and defines it with a body,
    whatever tests, demonstrations and other functions come after it, preceded by what other blocks define of the names
    that it lacks (helpers, imports, constants, classes), in their order, without their own uses and tests. Where no block
    defines it, or without `entry_point`: the last block that defines something, or reads standard input, and is
    neither a test nor a demonstration, with what it lacks; else the last block that is marked as Python, else the last unmarked one.

    Blocks in other languages never count. A fence that is never closed runs to the end of the code. Code that stands in
    no fence counts where no block does. Think blocks are never looked into, closed or not. Indented blocks are dedented, the
    prompts of interactive sessions taken off. Nothing else is changed: a program that does not parse is returned as it is.
    """
    body = visible_text(text).lstrip("\ufeff")
    pieces = segments(body)
    if len(pieces) > 1 and parsed(body) is not None:
        pieces = [Segment(body, None)]  # a program whose strings hold the fences
    fenced = any(piece.info is not None for piece in pieces)
    blocks = list(_blocks(pieces, fenced))[-_MAX_BLOCKS:]
    entry = Entry(entry_point) if entry_point else None
    chosen = _defining(blocks, entry) if entry is not None else None
    chosen = chosen or _last_program(blocks)
    if chosen is not None:
        return _joined(chosen, blocks, entry)
    if fenced:
        return None
    return blocks[0].text if blocks else _whole(body.strip("\n"))


def completion(text: str) -> str:
    """What a reply that is no program of its own adds to a prompt that ends inside a function, indented as it is written.

    The content of its first block, else its text up to the first fence.
    """
    pieces = segments(visible_text(text))
    block = next((piece.text for piece in pieces if piece.info is not None), None)
    body = block if block is not None else "".join(piece.text for piece in pieces[:1])
    first = next((line for line in body.split("\n") if line.strip()), "")
    return textwrap.indent(body, "    ") if block is not None and first[:1] not in ("", " ", "\t") else body


def whole_program(text: str, entry_point: str | None = None, prefix: str | None = None) -> str | None:
    """The program that a reply, or a reference, stands for; None where there is none.

    With `prefix`, the start of a program that ends inside the entry point: a text that defines the entry point itself
    stands after what the prefix has before its definition, any other goes on where the prefix ends.
    """
    code = extract_code(text, entry_point)
    if prefix is None or entry_point is None:
        return code
    if code is not None and Entry(entry_point).defined_in(Program(code)):
        return f"{before_entry(prefix, entry_point)}\n{code}"
    return f"{prefix}{completion(text)}"


def before_entry(prefix: str, entry_point: str) -> str:
    """What a prefix has before the definition of the entry point: imports and helpers."""
    found = list(re.finditer(rf"^(?:async[ \t]+)?def[ \t]+{re.escape(entry_point)}\b", prefix, re.MULTILINE))
    return prefix[: found[-1].start()] if found else prefix.rpartition("def ")[0]


# ---- which block ----


def _defining(blocks: Sequence[_Block], entry: Entry) -> _Block | None:
    """The last block that defines the entry point; one that parses, has a body and is fenced before one that is not."""
    found = [(n, block) for n, block in enumerate(blocks) if entry.defined_in(block)]
    if not found:
        return None
    return max(found, key=lambda one: (one[1].sound, entry.is_whole(one[1]), min(one[1].rank, 2), one[0]))[1]


def _last_program(blocks: Sequence[_Block]) -> _Block | None:
    """The block that is taken where no entry point decides."""
    functions = [block.functions for block in blocks]
    found = []
    for n, block in enumerate(blocks):
        others = frozenset().union(*functions[:n], *functions[n + 1 :])
        if (block.defines or block.reads_input) and not block.is_test and not block.shows(others):
            found.append((block.sound, min(block.rank, 2), n))
    if found:
        return blocks[max(found)[2]]
    fenced = [(block.rank, block.defines, n) for n, block in enumerate(blocks) if block.rank >= 2]
    return blocks[max(fenced)[2]] if fenced else None


def _joined(chosen: _Block, blocks: Sequence[_Block], entry: Entry | None) -> str:
    """The chosen block after what it lacks of the others: of the last before it that defines a name, else the first after it."""
    place = blocks.index(chosen)
    order = [*range(place - 1, -1, -1), *range(place + 1, len(blocks))]
    helpers = {n: block for n in order if (block := blocks[n]).tree is not None and not block.is_test}
    taken: dict[int, str] = {}
    todo, seen = set(chosen.lacks), set(chosen.binds)
    while todo:
        name = todo.pop()
        seen.add(name)
        source = next((n for n in order if n in helpers and name in helpers[n].binds), None)
        if source is None:
            source = next((n for n in order if n in helpers and "*" in helpers[n].binds), None)
        if source is not None and source not in taken:
            part = Program(helpers[source].as_helper(entry))
            taken[source] = part.text
            todo |= part.lacks - seen
    return "\n\n".join([*(taken[n] for n in sorted(taken) if taken[n].strip()), chosen.text])


# ---- blocks and code without a fence ----


def _blocks(pieces: Sequence[Segment], fenced: bool) -> Iterator[_Block]:
    """The pieces that may be Python, in order. `fenced`: whether any stands in a fence."""
    budget = _MAX_PARSED_BLOCKS_CHARS
    for piece in pieces[-2 * _MAX_BLOCKS :]:
        if piece.info is None:
            runs = [run for run in _runs(piece.text) if not fenced or (DEFINES.search(run) and parsed(run) is not None)]
            yield from (_Block(run, 0) for run in runs)
            continue
        block = _Block(_tidy(piece), 3 if is_python(piece.info) else 1 if piece.info else 2)
        budget -= len(block.text)
        known = block.rank > 1 or (budget > 0 and block.tree is not None and block.defines)
        if known and block.text.strip():
            yield block


def _tidy(piece: Segment) -> str:
    """The content of a block as a program: dedented, without prompts; one that the end cut off, without what is cut off."""
    code = textwrap.dedent(piece.text.lstrip("\ufeff")).strip("\n")
    if _LANGUAGE_LINE.match(code) and not piece.info:
        code = code.partition("\n")[2]
    lines = code.split("\n")
    if any(line.startswith((">>> ", "In [")) for line in lines):
        return "\n".join(line[found.end() :] for line in lines if (found := _PROMPT.match(line)))
    if piece.closed or len(code) > MAX_PARSED_CHARS or parsed(code) is not None:
        return code
    return _trimmed(code) or next(_runs(code), code)  # the end is cut off, or the fence forgotten and prose follows


def _trimmed(code: str) -> str | None:
    """Code that does not parse without the statements at its end that stand in the way; None where that does not help."""
    if len(code) > MAX_PARSED_CHARS or parsed(code) is not None:
        return None
    lines = code.split("\n")
    starts = [n for n, line in enumerate(lines) if line.strip() and not line[0].isspace()]
    for n in reversed(starts[-_MAX_TRIMS:]):
        shorter = "\n".join(lines[:n]).rstrip("\n")
        if shorter and parsed(shorter) is not None:
            return shorter
    return None


def _whole(text: str) -> str | None:
    """A text that defines nothing, where every line of it reads as code."""
    code = [line for line in text.split("\n") if line.strip()]
    whole = bool(code) and all(_STATEMENT.match(line) or line[0] in " \t" for line in code)
    return text if whole and not code[0][0].isspace() else None


def _runs(text: str) -> Iterator[str]:
    """Code that stands without a fence: the whole text if it is a program, else each stretch from a definition or import to
    the last line that reads as code."""
    if "<code" in text or "<pre" in text:
        text = html.unescape(_TAG.sub("\n", text))
    text = text.strip("\n")
    lines = text.split("\n")
    start = _start(lines, 0)
    quotes = [quote for quote in _QUOTES if quote in text]
    end = None if start is None else _last_line_of_code(lines, start, quotes)
    # Where every line reads as code the text is taken whatever a parser says, which costs more than all the rest.
    if (start, end) != (0, len(lines) - 1) and DEFINES.search(text) and parsed(text) is not None:
        yield text
        return
    if start is None:
        yield from _indented(lines)
    while start is not None:
        end = _last_line_of_code(lines, start, quotes)
        run = "\n".join(lines[start : end + 1])
        yield _trimmed(run) or run
        start = _start(lines, end + 1)


def _start(lines: Sequence[str], begin: int) -> int | None:
    """The first line from `begin` on that is a definition or an import."""
    return next((i for i in range(begin, len(lines)) if _STARTS.match(lines[i])), None)


def _indented(lines: Sequence[str]) -> Iterator[str]:
    """An indented stretch from a definition or import on, which is a block of code in Markdown."""
    start = next((i for i, line in enumerate(lines) if _STARTS.match(line.lstrip())), None)
    if start is None:
        return
    indent = len(lines[start]) - len(lines[start].lstrip())
    end = start
    for i in range(start, len(lines)):
        line = lines[i]
        if line.strip() and len(line) - len(line.lstrip()) < indent:
            break
        end = i
    code = textwrap.dedent("\n".join(lines[start : end + 1])).strip("\n")
    if parsed(code) is not None:
        yield code


def _last_line_of_code(lines: Sequence[str], start: int, quotes: Sequence[str]) -> int:
    """The last line, from a definition or import on, that reads as code. `quotes`: those of long texts, where it has any."""
    end, open_quote = start, ""
    for i in range(start, len(lines)):
        line = lines[i]
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
