"""An index of evaluation rows for the search: their parts, the words that they are found by, their functions. Pure."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from selfplay.curate.canonical import canonical_functions
from selfplay.curate.templates import (
    COMMON_TASKS,
    COMMON_TRAINING,
    SEED_WORDS,
    common_in_training,
    common_runs,
    covered,
    runs_of,
    tasks_of,
    without_numbers,
)
from selfplay.textstats.hashing import Hashes
from selfplay.textstats.ngrams import shingles
from selfplay.textstats.words import Words, words

SEED_ITEMS = 500
"""A seed that more protected rows share is skipped, since the whole text would be compared with each of these rows."""

MIN_ANSWER_WORDS, MIN_SPOKEN_WORDS = 12, 4
"""A protected answer with fewer words, or fewer that are no numbers, is a formula, a phrase or a row of numbers that others
write too, and is not looked for."""

TELLING_ANSWER_WORDS = 12
"""A protected answer with fewer words of its own is found whole, with its numbers, or not at all."""

MIN_ANSWER_CHARS = 30
"""A protected answer with fewer letters and digits ("42", "yes") is the answer to much else, and is not looked for; nor is
a row of fewer than 6 words sought inside other text."""

MIN_CODE_NODES = 18
"""A function with fewer syntax nodes (`return a * h / 2`) is written again by anyone, and says nothing by its shape."""

MIN_BLOCK_CHARS = 40
"""A function of fewer characters, without white space, is too common to count."""

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
    """The index of evaluation rows; it is built once and searched many times."""

    parts: tuple[Part, ...]
    tasks: tuple[int, ...] = ()
    """For each row the number of its task; rows of one task have the same."""
    common: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))
    """Sorted hashes of the runs of SEED_WORDS words that many tasks share."""
    functions: Mapping[str, int] = field(default_factory=dict)
    """Canonical function -> index of its row."""
    common_tasks: int = COMMON_TASKS
    names: tuple[str, ...] = ()
    """For each row its `id`, `task_id` or `index`, else its place."""

    @classmethod
    def of(
        cls,
        rows: Sequence[str | Mapping[str, object]],
        training: Sequence[str] = (),
        *,
        common_tasks: int = COMMON_TASKS,
        common_training: int = COMMON_TRAINING,
    ) -> "Protected":
        """From rows that are texts, or mappings with texts such as question, prompt, answer, canonical_solution.

        Ids, tests and whatever is no text are not looked for. A record with `.model_dump()` is given as that mapping.
        A run of words that `common_tasks` protected tasks share, or `common_training` of the prompts `training`, is an
        instruction, a template or a worked example, and no evidence; a row that stands whole in a text always is.
        """
        parts: list[Part] = []
        functions: list[tuple[str, int]] = []
        for index, row in enumerate(rows):
            found = list(_parts(index, row))
            parts.extend(found)
            whole = "".join(part.text for part in found) if isinstance(row, Mapping) else row
            functions.extend((line, index) for line in _telling_functions([whole, *(part.text for part in found)]))
        tasks, common = _shared(parts, len(rows), training, common_tasks, common_training)
        names = tuple(_name_of(row) or str(index) for index, row in enumerate(rows))
        bare = cls(tuple(parts), tasks, common, {}, common_tasks, names)
        return replace(bare, functions=bare.owners(functions))

    def owners(self, found: Iterable[tuple[str, int]]) -> dict[str, int]:
        """Key -> the first row that has it, of (key, row) pairs; keys of `common_tasks` tasks belong to nobody."""
        rows: dict[str, int] = {}
        tasks: dict[str, set[int]] = defaultdict(set)
        for key, row in found:
            rows.setdefault(key, row)
            tasks[key].add(self.tasks[row])
        return {key: row for key, row in rows.items() if len(tasks[key]) < self.common_tasks}

    @cached_property
    def words(self) -> Words:
        """The words of all parts."""
        return words([part.text for part in self.parts])

    @cached_property
    def plain(self) -> tuple[Hashes, NDArray[np.int64], NDArray[np.int64]]:
        """Words without the numbers: hashes, offsets of the parts, and place among all words."""
        return without_numbers(self.words)

    @cached_property
    def own_before(self) -> NDArray[np.int64]:
        """(W + 1,) of the words without numbers, how many before each stand in no common run: the words that tell."""
        hashes, offsets, _ = self.plain
        own = [~covered(hashes[offsets[i] : offsets[i + 1]], self.common) for i in range(len(self.parts))]
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.concatenate([np.zeros(0, np.bool_), *own]))])

    @cached_property
    def own_words(self) -> NDArray[np.int64]:
        """The number of words of each part that occur in no common run."""
        return np.diff(self.own_before[self.plain[1]])

    @cached_property
    def short(self) -> frozenset[int]:
        """Parts with too few words of their own: they are found whole, with their numbers, or not at all."""
        least = {"answer": TELLING_ANSWER_WORDS}
        own = self.own_words.tolist()
        return frozenset(i for i, part in enumerate(self.parts) if own[i] < least.get(part.kind, SEED_WORDS))

    @cached_property
    def unsought(self) -> frozenset[int]:
        """Parts that are no evidence even as a whole: equal in many tasks (a system message), a short answer, a usual body."""
        keys = [(f"{part.kind} {squeeze(part.text)}", part.of) for part in self.parts]
        owned = self.owners(keys)
        spoken, all_words = np.diff(self.plain[1]).tolist(), np.diff(self.words.offsets).tolist()

        def says_nothing(i: int) -> bool:
            part = self.parts[i]
            if part.kind == "answer":
                return bool(all_words[i] < MIN_ANSWER_WORDS or spoken[i] < MIN_SPOKEN_WORDS)
            return part.kind == "code" and i in self.short and not _FUNCTION.search(part.text)

        return frozenset(i for i in range(len(self.parts)) if keys[i][0] not in owned or says_nothing(i))

    @cached_property
    def whole_keys(self) -> dict[str, int]:
        """Letters and digits of each short part -> its index."""
        found: dict[str, int] = {}
        for index in sorted(self.short - self.unsought):
            key = squeeze(self.parts[index].text)
            if key and (self.parts[index].kind == "question" or len(key) >= MIN_ANSWER_CHARS):
                found.setdefault(key, index)
        return found

    @cached_property
    def seeds(self) -> tuple[Hashes, dict[int, list[tuple[int, int]]]]:
        """Sorted seed hashes, and for each its (part, place) list: runs of words without numbers that are not common."""
        hashes, offsets, _ = self.plain
        table = _places(hashes, offsets, [i for i in range(len(self.parts)) if i not in self.short | self.unsought])
        known = set(self.common.tolist())
        kept = {run: places for run, places in table.items() if run not in known and len(places) <= SEED_ITEMS}
        return np.array(sorted(kept), np.uint64), kept

    @cached_property
    def number_seeds(self) -> tuple[Hashes, dict[int, list[tuple[int, int]]]]:
        """The rarest run, numbers included, of each short part that is long enough to be sought inside a text."""
        short = sorted(self.short - self.unsought)
        sought = [i for i in short if len(squeeze(self.parts[i].text)) >= MIN_ANSWER_CHARS]
        table = _places(self.words.hashes, self.words.offsets, sought)
        rarest: dict[int, tuple[int, int, int]] = {}
        for run, places in table.items():
            for part, place in places:
                rarest[part] = min(rarest.get(part, (len(places), run, place)), (len(places), run, place))
        kept: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for part, (_, run, place) in rarest.items():
            kept[run].append((part, place))
        kept = {run: places for run, places in kept.items() if len(places) <= SEED_ITEMS}
        return np.array(sorted(kept), np.uint64), kept

    @cached_property
    def function_prefixes(self) -> frozenset[tuple[str, ...]]:
        """The first keywords of every protected function, so that other functions need not be parsed."""
        sources = [*self.code.values(), *(part.text for part in self.parts)]
        return frozenset(prefix for source in sources for prefix, _, _ in function_blocks(source))

    @cached_property
    def blocks(self) -> dict[str, int]:
        """Functions as written, their own name masked -> row: for those too small to be known by shape, notes included."""
        blocks = [
            (masked_block(source[start:end]), of)
            for of, source in self.code.items()
            for _, start, end in function_blocks(source)
        ]
        return self.owners((block, of) for block, of in blocks if len(block) >= MIN_BLOCK_CHARS)

    @cached_property
    def heads(self) -> dict[str, int]:
        """Signature and docstring of functions, their own name masked -> row: benchmarks are often given by prompts alone."""
        heads = [
            (masked_block(head), of)
            for of, source in self.code.items()
            for _, start, end in function_blocks(source)
            if (head := head_of(source[start:end])) is not None
        ]
        return self.owners((head, of) for head, of in heads if len(head) >= MIN_BLOCK_CHARS)

    @cached_property
    def code(self) -> dict[int, str]:
        """Row -> its code parts in one, as a prompt and its canonical solution make one program."""
        joined: dict[int, str] = defaultdict(str)
        for part in self.parts:
            if part.kind == "code":
                joined[part.of] += part.text
        return dict(joined)


def _shared(
    parts: Sequence[Part], rows: int, training: Sequence[str], common_tasks: int, common_training: int
) -> tuple[tuple[int, ...], Hashes]:
    """The task of each row, and the sorted runs of words that many tasks share."""
    block = words([part.text for part in parts])
    hashes, offsets, _ = without_numbers(block)
    of = np.array([part.of for part in parts], np.int64)
    runs, owners = runs_of(hashes, offsets)
    telling: list[list[int]] = [[] for _ in range(rows)]
    for index, part in enumerate(parts):
        telling[part.of].append(index)
    telling = [[i for i in mine if parts[i].kind == "question"] or mine for mine in telling]
    spoken = [np.concatenate([hashes[:0], *(hashes[offsets[i] : offsets[i + 1]] for i in mine)]) for mine in telling]
    numbers = ["".join(re.findall(r"\d+", " ".join(parts[i].text for i in mine))) for mine in telling]
    tasks = tasks_of([(said.tobytes(), number) for said, number in zip(spoken, numbers, strict=True)])
    questions = [said for _, said in sorted(dict(zip(tasks, spoken, strict=True)).items())]
    task_of = np.array(tasks, np.int64)
    common, same = common_runs(runs, task_of[of[owners]] if len(runs) else owners, common_tasks, questions)
    known = np.unique(runs) if training else runs[:0]
    common = np.union1d(common, common_in_training(training, known, common_training))
    return tuple(same[task] for task in tasks), common


def _places(hashes: Hashes, offsets: NDArray[np.int64], wanted: Sequence[int]) -> dict[int, list[tuple[int, int]]]:
    """Run of SEED_WORDS words -> where it stands in the wanted parts, as (part, place)."""
    rolled, starts = shingles(hashes, offsets, SEED_WORDS)
    counts = np.diff(offsets)
    table: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for index in wanted:
        if counts[index] >= SEED_WORDS:
            for place, value in enumerate(rolled[starts[index] : starts[index + 1]].tolist()):
                table[value].append((index, place))
    return table


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


def _name_of(row: str | Mapping[str, object]) -> str:
    if isinstance(row, str):
        return ""
    return next((str(row[key]) for key in ("id", "task_id", "index") if row.get(key) is not None), "")


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
