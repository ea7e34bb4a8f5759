"""Floor 1: evaluation rows made ready to be looked for: their parts, the words they are found by, their functions. Pure."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from selfplay.curate.canonical import canonical_functions
from selfplay.curate.tokens import U64, Words, shingles, words

SEED_WORDS = 6
"""Words (numbers apart) of a seed: a shared seed only makes a pair looked at, so it may be short."""

SEED_ITEMS = 50
"""A seed that more protected rows share is a turn of phrase, not a trace of one of them, and is not followed."""

TEMPLATE_ITEMS = 3
"""From this many protected rows with equal words and different numbers on, the words are a template: such rows are found
with their own numbers only. Two may be a benchmark and its number-changed twin (GSM8K and GSM-Hard)."""

MIN_ANSWER_CHARS = 30
"""A protected answer with fewer letters and digits ("42", "yes") is the answer to much else, and is not looked for; nor is
a row of fewer than 6 words sought inside other text."""

MIN_CODE_NODES = 18
"""A function with fewer syntax nodes (`return a * h / 2`) is written again by anyone, and says nothing by its shape."""

MIN_BLOCK_CHARS = 40
"""A function of fewer characters, blank space apart, is nobody's."""

KEYWORDS = re.compile(
    r"\b(?:def|return|if|elif|else|for|while|in|not|and|or|is|lambda|try|except|with|yield|break|continue|pass|import|None|True|False)\b"
)
KEYWORD_PREFIX = 5
"""Keywords from `def` on that a function is looked up by before it is parsed."""

_ANSWER_KEYS = frozenset(
    {"answer", "solution", "reference", "canonical_solution", "completion", "code", "output", "target"}
)
_SKIPPED_KEYS = frozenset({"id", "task_id", "index", "entry_point", "source", "split", "name", "test", "tests"})
_STRING_OR_COMMENT = re.compile(r'"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|#[^\n]*')
_NAME = re.compile(r"def[ \t]+(\w+)")
_HEAD = re.compile(r"[^\n]*def[^\n]*\n\s*(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3})")
_FUNCTION = re.compile(
    r"^[ \t]*(?:async[ \t]+)?def[ \t]+\w[^\n]*(?:\n(?:[ \t]+[^\n]*|\)[^\n]*|[ \t]*(?=\n[ \t\n])))*", re.MULTILINE
)


@dataclass(frozen=True)
class Part:
    """One text of a protected row."""

    of: int
    """Index of the row."""
    kind: str
    """question, answer or code."""
    text: str


@dataclass(frozen=True)
class Protected:
    """Evaluation rows, indexed once and searched many times."""

    parts: tuple[Part, ...]
    functions: Mapping[str, int] = field(default_factory=dict)
    """Canonical function -> index of its row."""

    @classmethod
    def of(cls, rows: Sequence[str | Mapping[str, object]]) -> "Protected":
        """From rows that are texts, or mappings with texts such as question, prompt, answer, canonical_solution.

        Ids, tests and whatever is no text are not looked for. A record with `.model_dump()` is given as that mapping.
        """
        parts: list[Part] = []
        functions: dict[str, int] = {}
        for index, row in enumerate(rows):
            found = list(_parts(index, row))
            parts.extend(found)
            whole = "".join(part.text for part in found) if isinstance(row, Mapping) else row
            for line in _telling_functions([whole, *(part.text for part in found)]):
                functions.setdefault(line, index)
        return cls(tuple(parts), functions)

    @cached_property
    def words(self) -> Words:
        """All words of all parts."""
        return words([part.text for part in self.parts])

    @cached_property
    def plain(self) -> tuple[U64, NDArray[np.int64], NDArray[np.int64]]:
        """Words without the numbers: hashes, offsets of the parts, and place among all words."""
        return without_numbers(self.words)

    @cached_property
    def templates(self) -> frozenset[int]:
        """Parts whose words (numbers apart) stand in TEMPLATE_ITEMS rows or more with different numbers."""
        hashes, offsets, _ = self.plain
        families: dict[bytes, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, part in enumerate(self.parts):
            key = hashes[offsets[index] : offsets[index + 1]].tobytes()
            families[key]["".join(re.findall(r"\d+", part.text))].append(index)
        return frozenset(
            i for family in families.values() if len(family) >= TEMPLATE_ITEMS for rows in family.values() for i in rows
        )

    @cached_property
    def short(self) -> frozenset[int]:
        """Parts too short for a seed, and templates: they are found with their numbers or not at all."""
        _, offsets, _ = self.plain
        few = np.flatnonzero(np.diff(offsets) < SEED_WORDS).tolist()
        return self.templates | frozenset(few)

    @cached_property
    def whole_keys(self) -> dict[str, int]:
        """Letters and digits of each short part -> its index."""
        found: dict[str, int] = {}
        for index in sorted(self.short):
            part = self.parts[index]
            key = squeeze(part.text)
            if key and (part.kind == "question" or len(key) >= MIN_ANSWER_CHARS):
                found.setdefault(key, index)
        return found

    @cached_property
    def seeds(self) -> tuple[U64, dict[int, list[tuple[int, int]]]]:
        """Sorted seed hashes, and for each its (part, place) list: runs of words without numbers."""
        hashes, offsets, _ = self.plain
        return self._table(hashes, offsets, [i for i in range(len(self.parts)) if i not in self.short])

    @cached_property
    def number_seeds(self) -> tuple[U64, dict[int, list[tuple[int, int]]]]:
        """As `seeds`, with the numbers, of the short parts that are long enough to be sought inside a text."""
        sought = [i for i in sorted(self.short) if len(squeeze(self.parts[i].text)) >= MIN_ANSWER_CHARS]
        return self._table(self.words.hashes, self.words.offsets, sought)

    def _table(
        self, hashes: U64, offsets: NDArray[np.int64], wanted: Sequence[int]
    ) -> tuple[U64, dict[int, list[tuple[int, int]]]]:
        rolled, starts = shingles(hashes, offsets, SEED_WORDS)
        counts = np.diff(offsets)
        table: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for index in wanted:
            if counts[index] >= SEED_WORDS:
                for place, value in enumerate(rolled[starts[index] : starts[index + 1]].tolist()):
                    table[value].append((index, place))
        kept = {v: places for v, places in table.items() if len({self.parts[i].of for i, _ in places}) <= SEED_ITEMS}
        return np.array(sorted(kept), np.uint64), kept

    @cached_property
    def function_prefixes(self) -> frozenset[tuple[str, ...]]:
        """The first keywords of every protected function, so that other functions need not be parsed."""
        sources = [*self.code.values(), *(part.text for part in self.parts)]
        return frozenset(prefix for source in sources for prefix, _, _ in function_blocks(source))

    @cached_property
    def blocks(self) -> dict[str, int]:
        """Functions as written, their own name masked -> row: for those too small to be known by shape, notes included."""
        found: dict[str, int] = {}
        for of, source in self.code.items():
            for _, start, end in function_blocks(source):
                found.setdefault(masked_block(source[start:end]), of)
        return {block: of for block, of in found.items() if len(block) >= MIN_BLOCK_CHARS}

    @cached_property
    def heads(self) -> dict[str, int]:
        """Signature and docstring of functions, their own name masked -> row: benchmarks are often given by prompts alone."""
        found: dict[str, int] = {}
        for of, source in self.code.items():
            for _, start, end in function_blocks(source):
                head = head_of(source[start:end])
                if head is not None and len(masked_block(head)) >= MIN_BLOCK_CHARS:
                    found.setdefault(masked_block(head), of)
        return found

    @cached_property
    def code(self) -> dict[int, str]:
        """Row -> its code parts in one, as a prompt and its canonical solution make one program."""
        joined: dict[int, str] = defaultdict(str)
        for part in self.parts:
            if part.kind == "code":
                joined[part.of] += part.text
        return dict(joined)


def without_numbers(block: Words) -> tuple[U64, NDArray[np.int64], NDArray[np.int64]]:
    """Hashes of the words that are no numbers, the offsets of the texts in them, and their places among all words."""
    plain = ~block.is_number
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(plain)])
    return block.hashes[plain], before[block.offsets], np.flatnonzero(plain)


def squeeze(text: str) -> str:
    """The text in lower case without blank space: what is left when layout and case do not count."""
    return "".join(text.casefold().split())


def function_blocks(text: str) -> list[tuple[tuple[str, ...], int, int]]:
    """Every `def` with its indented block: (first keywords, start, end) in characters. The text need not parse."""
    if "def " not in text:
        return []
    found = []
    for match in _FUNCTION.finditer(text):
        bare = _STRING_OR_COMMENT.sub("", match.group())
        found.append((tuple(KEYWORDS.findall(bare)[:KEYWORD_PREFIX]), match.start(), match.end()))
    return found


def masked_block(block: str) -> str:
    """A function's text without blank space and case, every mention of its own name replaced by one word."""
    name = _NAME.search(block)
    return squeeze(re.sub(rf"\b{name.group(1)}\b", "fn", block) if name else block)


def head_of(block: str) -> str | None:
    """A function up to the end of its docstring; None where it has none."""
    match = _HEAD.match(block)
    return match.group() if match else None


def _telling_functions(sources: Sequence[str]) -> list[str]:
    """Canonical forms of the functions that are large enough to be known by their shape."""
    found = [f for source in sources if "def " in source for f in canonical_functions(source)]
    return [line for line, nodes, _, _ in found if nodes >= MIN_CODE_NODES]


def _parts(index: int, row: str | Mapping[str, object]) -> list[Part]:
    if isinstance(row, str):
        return [Part(index, "code" if _FUNCTION.search(row) else "question", row)] if row.strip() else []
    found = []
    for key, value in row.items():
        if not isinstance(value, str) or not value.strip() or key in _SKIPPED_KEYS:
            continue
        code = key in {"canonical_solution", "code"} or _FUNCTION.search(value) is not None
        kind = "code" if code else "answer" if key in _ANSWER_KEYS else "question"
        found.append(Part(index, kind, value))
    return found
