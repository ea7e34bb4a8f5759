"""Finds, counts and replaces personal identifiers in text. Pure and offline; no value appears in a repr or log.

Covered: identifiers with a shape, a checksum or a label, mapped to the 18 Safe Harbor classes (`SAFE_HARBOR_OF`).
Not covered: names and places in running text. Patterns alone are not Safe Harbor, and nothing here is a claim of compliance.
"""

import re
import unicodedata
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from selfplay.curate.checksums import iban_end
from selfplay.curate.identifiers import (
    CARDS,
    CLUMP,
    CONTEXT_AFTER,
    CONTEXT_BEFORE,
    EXTENSION,
    FAX,
    FIXED,
    LABELLED,
    LEAST_DIGITS,
    LETTERED,
    LETTERED_CLUMP,
    PHONES,
    SHAPED,
    Pattern,
)
from selfplay.errors import ConfigError

PATTERNS = (*SHAPED, *FIXED, *LABELLED, *LETTERED, *CARDS, *PHONES)
"""In order of precedence: where two overlap, the earlier one names the hit."""

RULES = tuple(dict.fromkeys([*(pattern.rule for pattern in PATTERNS), "iban", "phone_fax"]))
"""Every class that a hit can have."""

SAFE_HARBOR_OF = {**{pattern.rule: pattern.safe_harbor for pattern in PATTERNS}, "iban": 10, "phone_fax": 5}
"""Class -> number of its Safe Harbor class."""

ACTIONS = ("drop", "surrogate", "quarantine")
"""What `scrub` can do with a text that has a hit."""

MAX_TEXT_CHARS = 1_000_000
"""Longer texts are read in pieces of this size, overlapping by PIECE_OVERLAP characters."""

PIECE_OVERLAP = 10_000
"""More than the longest identifier (a private key)."""

_IBAN_START = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?=[ -]?[A-Za-z0-9]{4})")
_SPACES = str.maketrans({chr(code): " " for code in range(128) if not chr(code).isalnum()})
_BY_WORD: dict[str, list[int]] = defaultdict(list)
_BY_PIECE: dict[str, list[int]] = defaultdict(list)
for _rank, _pattern in enumerate(PATTERNS):
    for _trigger in sorted(_pattern.triggers):
        (_BY_PIECE if _trigger[0] == "~" else _BY_WORD)[_trigger.removeprefix("~")].append(_rank)
_TRIGGER_WORDS = frozenset(_BY_WORD)
_LETTERED_RANKS = [rank for rank, pattern in enumerate(PATTERNS) if pattern in LETTERED]
_DIGIT_RANKS = [rank for rank, pattern in enumerate(PATTERNS) if not pattern.triggers and pattern not in LETTERED]
_COLON_RANKS = _BY_PIECE.pop(":")
_NO_DIGITS = bytes(code for code in range(256) if not 48 <= code <= 57)
_MARGIN = 3
"""Characters around a clump of digits that belong to its number: `+`, `(`, and what must not follow."""


@dataclass(frozen=True)
class Hit:
    """One identifier, by place only."""

    row: int
    """Index of the text."""
    rule: str
    """Its class, one of RULES."""
    span: tuple[int, int]
    """Characters, end excluded."""

    @property
    def safe_harbor(self) -> int:
        """Number of its Safe Harbor class, 1 to 18."""
        return SAFE_HARBOR_OF[self.rule]


@dataclass(frozen=True)
class Scrubbed:
    """The result of scrubbing one text."""

    text: str | None = field(repr=False)
    """The text to use from here on; None if it was dropped or quarantined."""
    quarantined: str | None = field(repr=False)
    """The original, to be set aside for a person to read; None unless quarantined."""
    counts: dict[str, int]
    """Hits by class; empty: nothing was found and the text is as it was."""


class Surrogates:
    """Replacements for one trace: the same value has the same surrogate. It holds values, but its repr shows none."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._counts: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"Surrogates({dict(self._counts)})"

    def of(self, rule: str, value: str) -> str:
        """The surrogate of a value: of its type, from ranges reserved for examples where there are any."""
        same = re.sub(r"[\s().-]", "", value).casefold()
        key = (rule, same)
        if key not in self._given:
            self._counts[rule] += 1
            self._given[key] = _surrogate(rule, value, self._counts[rule])
        return self._given[key]


def find(texts: Sequence[str], rules: Collection[str] | None = None) -> list[Hit]:
    """Hits sorted by (row, place), none overlapping another. `rules` limits them to some classes; None: all.

    Raises ConfigError on an unknown class.
    """
    unknown = sorted(set(rules or ()) - set(RULES))
    if unknown:
        raise ConfigError(f"privacy: no class {', '.join(unknown)}; there are {', '.join(RULES)}")
    found: list[Hit] = []
    for row, text in enumerate(texts):
        found.extend(Hit(row, rule, span) for span, rule in _in_text(text) if rules is None or rule in rules)
    return found


def scrub(
    text: str, action: str = "surrogate", rules: Collection[str] | None = None, surrogates: Surrogates | None = None
) -> Scrubbed:
    """Drops, quarantines, or rewrites one text that holds identifiers.

    Pass one `Surrogates` for all texts of a trace. Raises ConfigError on another action.
    """
    if action not in ACTIONS:
        raise ConfigError(f"privacy.action is {action!r}, must be one of {', '.join(ACTIONS)}")
    hits = find([text], rules)
    counts = dict(Counter(hit.rule for hit in hits))
    if not hits:
        return Scrubbed(text, None, counts)
    if action != "surrogate":
        return Scrubbed(None, text if action == "quarantine" else None, counts)
    given = surrogates if surrogates is not None else Surrogates()
    pieces, end = [], 0
    for hit in hits:
        pieces += [text[end : hit.span[0]], given.of(hit.rule, text[slice(*hit.span)])]
        end = hit.span[1]
    return Scrubbed("".join([*pieces, text[end:]]), None, counts)


class _Spelling(dict[int, str]):
    """Characters that stand for one of ASCII in an identifier: full-width forms, digits of other scripts, hyphens, spaces."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind, name = unicodedata.category(character), unicodedata.normalize("NFKC", character)
        if kind == "Nd":
            name = str(unicodedata.decimal(character))
        elif code in _HYPHENS:
            name = "-"
        elif kind == "Zs":
            name = " "
        self[code] = name if len(name) == 1 and name.isascii() else character
        return self[code]


_HYPHENS = frozenset({0x00AD, 0x2010, 0x2011, 0x2012, 0x2013, 0x2014, 0x2043, 0xFE58, 0xFE63, 0xFF0D})
"""Hyphens and dashes; not the minus sign U+2212, which stands in sums."""
_SPELLING = _Spelling()


def _in_text(text: str) -> list[tuple[tuple[int, int], str]]:
    """Spans and classes of one text, in order. It is read in ASCII spelling, character for character."""
    if not text.isascii():
        text = text.translate(_SPELLING)
    if len(text) <= MAX_TEXT_CHARS:
        return _resolve(_candidates(text))
    found: set[tuple[int, int, int, str]] = set()
    for start in range(0, len(text), MAX_TEXT_CHARS - PIECE_OVERLAP):
        for rank, low, high, rule in _candidates(text[start : start + MAX_TEXT_CHARS]):
            found.add((rank, start + low, start + high, rule))
    return _resolve(sorted(found))


def _resolve(candidates: Sequence[tuple[int, int, int, str]]) -> list[tuple[tuple[int, int], str]]:
    """Keeps, of overlapping candidates, the one of the earlier pattern, and of equal patterns the longer one; `candidates` come in that order."""
    taken: list[tuple[int, int, str]] = []
    for _, low, high, rule in sorted(candidates, key=lambda c: (c[0], c[1] - c[2], c[1])):
        place = bisect_left(taken, (low, high, rule))
        free_before = place == 0 or taken[place - 1][1] <= low
        if free_before and (place == len(taken) or high <= taken[place][0]):
            taken.insert(place, (low, high, rule))
    return [((low, high), rule) for low, high, rule in taken]


def _candidates(text: str) -> list[tuple[int, int, int, str]]:
    """(rank of the pattern, start, end, class) of everything that looks like an identifier."""
    found: list[tuple[int, int, int, str]] = []
    clumps = [clump.span() for clump in CLUMP.finditer(text)] if _digits_at_least(text, 5) else []
    for rank, start, stop in (*_places(text), *_number_places(text, clumps)):
        pattern = PATTERNS[rank]
        for low, high in _matches(text, pattern, start, stop):
            found.append((rank, low, high, _named(text, pattern.rule, low, high)))
    for match in _IBAN_START.finditer(text) if clumps else ():
        end = iban_end(text, match.start())
        if end is not None:
            found.append((-1, match.start(), end, "iban"))
    return found


def _places(text: str) -> Iterator[tuple[int, int, int]]:
    """(rank of a pattern, start, end) of each place where it is worth trying."""
    lowered = text.lower()
    ranks = {
        rank for word in _TRIGGER_WORDS.intersection(lowered.translate(_SPACES).split()) for rank in _BY_WORD[word]
    }
    ranks.update(rank for piece, tried in _BY_PIECE.items() if piece in lowered for rank in tried)
    if ":" in lowered and any(len(piece) <= 4 for piece in lowered.split(":")[1:-1]):
        ranks.update(_COLON_RANKS)
    yield from ((rank, 0, len(text)) for rank in sorted(ranks))


def _number_places(text: str, clumps: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """The same for the patterns of digits, which are tried on clumps of digits only."""
    for start, stop in clumps:
        if sum(character.isdigit() for character in text[start:stop]) >= LEAST_DIGITS:
            extension = EXTENSION.match(text, stop)
            end = (extension.end() if extension else stop) + _MARGIN
            yield from ((rank, max(0, start - _MARGIN), end) for rank in _DIGIT_RANKS)
    for match in LETTERED_CLUMP.finditer(text) if clumps else ():
        yield from ((rank, *match.span()) for rank in _LETTERED_RANKS)


def _digits_at_least(text: str, count: int) -> bool:
    """Whether a text has at least `count` ASCII digits; a quick test for the many texts that have almost none."""
    return len(text.encode("ascii", "ignore").translate(None, _NO_DIGITS)) >= count


def _matches(text: str, pattern: Pattern, start: int, stop: int) -> Iterator[tuple[int, int]]:
    group = "v" if "v" in pattern.regex.groupindex else 0
    for match in pattern.regex.finditer(text, start, stop):
        low, high = match.span(group)
        if pattern.check is not None and not pattern.check(text[low:high]):
            continue
        before, after = text[max(0, low - CONTEXT_BEFORE) : low], text[high : high + CONTEXT_AFTER]
        if pattern.refused is not None and pattern.refused.search(before):
            continue
        if pattern.refused_after is not None and pattern.refused_after.match(after):
            continue
        if pattern.context is None or pattern.context.search(before) or pattern.context.search(after):
            yield low, high


def _named(text: str, rule: str, low: int, high: int) -> str:
    """A phone number right beside the word fax is a fax number."""
    if rule == "phone" and (FAX.search(text[max(0, low - 12) : low]) or FAX.search(text[high : high + 6])):
        return "phone_fax"
    return rule


def _surrogate(rule: str, value: str, number: int) -> str:
    """Reserved ranges: RFC 2606 names, RFC 5737 and 3849 addresses, 555-01xx numbers, SSN area 000."""
    if rule == "email":
        return f"user{number}@example.com"
    if rule == "url":
        return f"https://example.com/{number}"
    if rule == "ip" and number < 256:
        return f"2001:db8::{number:x}" if ":" in value else f"192.0.2.{number}"
    if rule in {"phone", "phone_fax"} and number < 100:
        return f"202-555-01{number - 1:02d}" if rule == "phone" else f"202-555-01{100 - number:02d}"
    if rule == "ssn":
        return f"000-00-{number:04d}"
    if rule == "date":
        year = re.search(r"(?:19|20)\d{2}", value)
        return year.group() if year else f"[DATE_{number}]"
    return "90 or more" if rule == "age" else f"[{rule.upper()}_{number}]"
