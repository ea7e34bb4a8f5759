"""Finds evaluation text inside training text: whole, with other spacing or numbers, in part, its answers, its code. Pure.

Runs of equal words, numbers left out, between a text and a protected row: a run of RUN_WORDS is a hit (the published
recipes take 8 to 13 words: GPT-3 13, Tulu 3 8), a shorter one where it is most of the text or of the protected part.
Functions are compared by their canonical form. Thresholds were set on GSM8K's training rows, which are no leaks.
"""

import textwrap
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfplay.config.curation import RULES
from selfplay.curate.canonical import canonical_functions
from selfplay.curate.eval_index import Part, Protected, function_blocks, head_of, masked_block, squeeze
from selfplay.curate.templates import SEED_WORDS, covered, without_numbers
from selfplay.textstats.hashing import Hashes
from selfplay.textstats.ngrams import shingles
from selfplay.textstats.words import Words, batches, char_offset

RUN_WORDS = 12
"""Equal words in a row, numbers apart, that are a hit: 11 of 6,673 unrelated GSM8K rows have such a run with the test
set, and 12 is the shortest half of a question there is."""

LONG_RUN_WORDS, LONG_RUN_OWN = 18, 9
"""A run of so many words of which so many stand in no common run is a hit too: two tasks that share a phrase in the middle
("for each of his 3 children") are not hidden by it, and few texts go on alike for nine words after an instruction."""

TEXT_SHARE = 0.6
"""A shorter run is a hit if it is this share of the text's words: then the text is little else."""

TEXT_RUN_WORDS = 7
"""Least run for TEXT_SHARE: six words in a row are a phrase ("so he made a profit of")."""

PART_SHARE = 0.8
"""A shorter run is a hit if it is this share of the protected part's words, which has 6 at least."""

FULL_SHARE = 0.9
"""From this share of the part on, the part counts as whole: a changed word or a cut end is no other question."""

_FILTER_BITS = 22


@dataclass(frozen=True)
class Hit:
    """One protected row found in one text."""

    row: int
    """Index of the text."""
    rule: str
    """One of RULES."""
    span: tuple[int, int]
    """Characters of the text that are shared, end excluded."""
    of: int
    """Index of the protected row."""


@dataclass(frozen=True)
class _Run:
    """A run of equal words: `first` to `last` among all words of the text, both included."""

    part: int
    first: int
    last: int
    own: int
    """Its words, without numbers, that are in no common run."""
    at_start: bool
    """No word of the part's own stands before it."""


def find(
    texts: Sequence[str], protected: Protected | Sequence[str | Mapping[str, object]], rules: Collection[str] = RULES
) -> list[Hit]:
    """Hits sorted by (row, of), one for each pair of a text and a protected row.

    `protected`: texts, or mappings with texts (question, prompt, answer, canonical_solution, ...), or a `Protected` made of
    them once. `rules` limits what counts: leave `numbers` out where tasks are made from templates on purpose. Texts beyond
    a million characters are read to there.
    """
    index = protected if isinstance(protected, Protected) else Protected.of(protected)
    found: list[Hit] = []
    for start, block in batches(texts):
        here = texts[start : start + len(block)]
        hits = [*_functions(here, index), *_short_rows(here, block, index)]
        pairs: dict[tuple[int, int], list[_Run]] = defaultdict(list)
        for row, run in _runs(block, index):
            pairs[row, index.parts[run.part].of].append(run)
        hits.extend(_judge(here[row], block, row, runs, index) for (row, _), runs in pairs.items())
        best: dict[tuple[int, int], Hit] = {}
        for hit in sorted(hits, key=lambda h: (h.row, h.of, _PRIORITY.index(h.rule), h.span)):
            best.setdefault((hit.row, hit.of), hit)
        found.extend(Hit(start + hit.row, hit.rule, hit.span, hit.of) for hit in best.values() if hit.rule in rules)
    return found


def _runs(block: Words, index: Protected) -> Iterator[tuple[int, _Run]]:
    """All maximal runs that are long enough, as (text of the block, run)."""
    hashes, offsets, places = without_numbers(block)
    theirs, their_offsets, _ = index.plain
    before = index.own_before
    diagonals: dict[tuple[int, int, int], int] = {}
    of_text: dict[int, int] = {}
    for row, place, part, their_place in _shared_seeds(hashes, offsets, index.seeds):
        diagonal = (row, part, place - their_place)
        if diagonals.get(diagonal, -1) >= place:
            continue
        low, high = int(offsets[row]), int(offsets[row + 1])
        their_low, their_high = int(their_offsets[part]), int(their_offsets[part + 1])
        i, j = low + place, their_low + their_place
        while i > low and j > their_low and hashes[i - 1] == theirs[j - 1]:
            i, j = i - 1, j - 1
        k, m = low + place, their_low + their_place
        while k < high and m < their_high and hashes[k] == theirs[m]:
            k, m = k + 1, m + 1
        diagonals[diagonal] = k - low - 1
        if row not in of_text:
            of_text[row] = int(np.count_nonzero(~covered(hashes[low:high], index.common)))
        own = int(before[m] - before[j])
        if _long_enough(k - i, own, of_text[row], int(index.own_words[part])):
            base = int(block.offsets[row])
            at_start = bool(before[j] == before[their_low])
            yield row, _Run(part, int(places[i]) - base, int(places[k - 1]) - base, own, at_start)


def _long_enough(length: int, own: int, of_text: int, of_part: int) -> bool:
    """All conditions except the length count only words outside common runs."""
    if own >= RUN_WORDS or own >= PART_SHARE * of_part or (length >= LONG_RUN_WORDS and own >= LONG_RUN_OWN):
        return True
    return own >= TEXT_RUN_WORDS and own >= TEXT_SHARE * of_text


def _shared_seeds(
    hashes: Hashes, offsets: NDArray[np.int64], seeds: tuple[Hashes, dict[int, list[tuple[int, int]]]]
) -> Iterator[tuple[int, int, int, int]]:
    """(text, place, part, place there) of every seed that a text shares with a part, in order."""
    known, table = seeds
    if not len(known) or not len(hashes):
        return
    rolled, starts = shingles(hashes, offsets, SEED_WORDS)
    maybe = np.flatnonzero(_filter_of(known)[(rolled >> np.uint64(64 - _FILTER_BITS)).astype(np.int64)])
    values = rolled[maybe]
    spots = np.minimum(np.searchsorted(known, values), len(known) - 1)
    sure = maybe[known[spots] == values]
    rows = np.searchsorted(starts, sure, side="right") - 1
    for at, row in zip(sure.tolist(), rows.tolist(), strict=True):
        for part, place in table[int(rolled[at])]:
            yield row, at - int(starts[row]), part, place


def _filter_of(known: Hashes) -> NDArray[np.bool_]:
    bitmap = np.zeros(1 << _FILTER_BITS, np.bool_)
    bitmap[(known >> np.uint64(64 - _FILTER_BITS)).astype(np.int64)] = True
    return bitmap


def _judge(text: str, block: Words, row: int, runs: Sequence[_Run], index: Protected) -> Hit:
    """The rule of the most telling run, and the characters from the first to the last shared word."""
    base = int(block.offsets[row])
    low = char_offset(text, int(block.starts[base + min(run.first for run in runs)]))
    high = char_offset(text, int(block.ends[base + max(run.last for run in runs)]))
    rules = [_rule_of(text, index.parts[run.part], run, index) for run in runs]
    return Hit(row, min(rules, key=_PRIORITY.index), (low, high), index.parts[runs[0].part].of)


_PRIORITY = (
    "code_exact", "exact", "in_context", "spacing_case", "numbers", "half", "overlap", "code_renamed", "answer_only",
)  # fmt: skip


def _rule_of(text: str, part: Part, run: _Run, index: Protected) -> str:
    if part.kind == "code":
        return "code_exact" if squeeze(index.code[part.of]) in squeeze(text) else "code_renamed"
    if part.kind == "answer":
        return "answer_only"
    verbatim = part.text.strip()
    if verbatim in text:
        return "exact" if text.lstrip().startswith(verbatim) else "in_context"
    if _letters(part.text) in _letters(text):
        return "spacing_case"
    if run.own >= FULL_SHARE * index.own_words[run.part]:
        return "numbers"
    return "half" if run.at_start else "overlap"


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _short_rows(texts: Sequence[str], block: Words, index: Protected) -> Iterator[Hit]:
    """Protected rows of few words, and of a template: as the whole text, or inside it where they are long enough."""
    if not index.whole_keys:
        return
    longest = 4 * max(map(len, index.whole_keys))
    for row, text in enumerate(texts):
        part = index.whole_keys.get(squeeze(text)) if len(text) <= longest else None
        if part is not None:
            yield _short_hit(row, text, index.parts[part], (0, len(text)))
    base = block.offsets
    for row, _, part, _ in _shared_seeds(block.hashes, base, index.number_seeds):
        wanted = index.parts[part]
        if squeeze(wanted.text) in squeeze(texts[row]):
            yield _short_hit(row, texts[row], wanted, _span_of(wanted.text, texts[row]))


def _short_hit(row: int, text: str, part: Part, span: tuple[int, int]) -> Hit:
    if part.kind != "question":
        return Hit(row, "code_exact" if part.kind == "code" else "answer_only", span, part.of)
    verbatim = part.text.strip()
    if verbatim not in text:
        return Hit(row, "spacing_case", span, part.of)
    return Hit(row, "exact" if text.lstrip().startswith(verbatim) else "in_context", span, part.of)


def _span_of(part: str, text: str) -> tuple[int, int]:
    """Where the letters of `part` stand in `text`, blank space and case apart; they are known to be there."""
    kept = [
        (folded, place)
        for place, character in enumerate(text)
        for folded in character.casefold()
        if not folded.isspace()
    ]
    at = "".join(folded for folded, _ in kept).find(squeeze(part))
    return kept[at][1], kept[at + len(squeeze(part)) - 1][1] + 1


def _functions(texts: Sequence[str], index: Protected) -> Iterator[Hit]:
    """Functions that equal a protected one up to their name, or up to all names, comments and layout, or in their head."""
    for row, text in enumerate(texts if index.code else ()):
        for prefix, start, end in function_blocks(text):
            owners = _owners(text[start:end], prefix in index.function_prefixes, index)
            yield from (_function_hit(row, text, (start, end), of, index) for of in owners)


def _owners(block: str, alike: bool, index: Protected) -> set[int]:
    """Protected rows that have this function; it is parsed only where it begins with the keywords of a protected one."""
    head = head_of(block)
    found = {index.heads.get(masked_block(head))} if head and index.heads else set()
    if alike:
        found |= {index.functions.get(line) for line, *_ in canonical_functions(textwrap.dedent(block))}
        found.add(index.blocks.get(masked_block(block)))
    return {of for of in found if of is not None}


def _function_hit(row: int, text: str, span: tuple[int, int], of: int, index: Protected) -> Hit:
    same = squeeze(index.code[of]) in squeeze(text)
    return Hit(row, "code_exact" if same else "code_renamed", span, of)
