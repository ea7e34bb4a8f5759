"""Many texts as arrays of hashed words, fast and the same on every machine.

Words are runs of letters (with `_`) or runs of digits, lower-cased; an apostrophe between letters is left out, every
other character separates. A CJK or kana character is a word of its own. Hashes are 64 bits; the same word has the same
hash in every text and batch.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from selfplay.textstats.hashing import STEP, Hashes, mix

BATCH_CHARS = 1 << 18
"""Texts are hashed in batches of about this many characters, so that the work arrays stay in the processor's cache."""

MAX_TEXT_CHARS = 1_000_000
"""Only this many characters of a text are read as words; what is cut is counted by the callers that report."""

_LETTER, _DIGIT, _WIDE = 1, 2, 3


def _byte_classes() -> NDArray[np.uint8]:
    classes = np.zeros(256, np.uint8)
    classes[[*range(ord("a"), ord("z") + 1), ord("_"), *range(0x80, 0x100)]] = _LETTER
    classes[list(range(ord("0"), ord("9") + 1))] = _DIGIT
    classes[list(range(0xE3, 0xEA))] = _WIDE
    return classes


_CLASS = _byte_classes()
_POWERS: Hashes = np.cumprod(np.full(4096, STEP, np.uint64), dtype=np.uint64)


class _Folding(dict[int, str]):
    """Maps a character to one lower-case character of the same meaning, and what is no letter or digit to a space."""

    def __missing__(self, code: int) -> str:
        character = "'" if code == 0x2019 else chr(code)
        folded = unicodedata.normalize("NFKC", character).lower()
        if len(folded) != 1:
            folded = character.lower() if len(character.lower()) == 1 else character
        self[code] = folded if folded.isalnum() or folded in "_'" or unicodedata.combining(folded) else " "
        return self[code]


_FOLDING = _Folding()


@dataclass(frozen=True)
class Words:
    """The words of D texts in one flat list of W words."""

    hashes: Hashes
    """(W,) one hash a word."""
    is_number: NDArray[np.bool_]
    """(W,) True where the word is a run of digits."""
    starts: NDArray[np.int64]
    """(W,) byte offset of the word within its own folded text."""
    ends: NDArray[np.int64]
    """(W,) byte offset of its end (excluded)."""
    offsets: NDArray[np.int64]
    """(D + 1,) text d owns words offsets[d] to offsets[d + 1]."""

    def __len__(self) -> int:
        return len(self.offsets) - 1


def fold(text: str) -> str:
    """The text as its words are read: same length in characters, lower case, one space for each separator beyond ASCII."""
    if text.isascii():
        return text.lower()
    return text.translate(_FOLDING)


def char_offset(text: str, byte: int) -> int:
    """The character offset in `text` of a byte offset in its folded form."""
    if text.isascii():
        return byte
    return len(fold(text).encode("utf-8", "surrogatepass")[:byte].decode("utf-8", "surrogatepass"))


def batches(texts: Sequence[str]) -> Iterator[tuple[int, Words]]:
    """The words of all texts, batch by batch, as (index of the first text, words). Where a batch ends changes no hash."""
    start, size = 0, 0
    for index, text in enumerate(texts):
        size += min(len(text), MAX_TEXT_CHARS)
        if size >= BATCH_CHARS:
            yield start, words(texts[start : index + 1])
            start, size = index + 1, 0
    if start < len(texts):
        yield start, words(texts[start:])


def words(texts: Sequence[str]) -> Words:
    """The words of all texts at once; a text without words owns none."""
    encoded = [fold(text[:MAX_TEXT_CHARS]).encode("utf-8", "surrogatepass") for text in texts]
    lengths = np.fromiter((len(data) + 1 for data in encoded), np.int64, len(encoded))
    text_starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    flat = np.frombuffer(b"\n".join([*encoded, b""]), np.uint8)
    classes = _CLASS[flat]
    kept = _without_apostrophes(flat, classes)
    flat, classes = flat[kept], classes[kept]
    starts, ends = _borders(classes)
    hashes, is_number = _hash_spans(flat, starts, ends), classes[starts] == _DIGIT
    starts, ends = kept[starts], kept[ends - 1] + 1
    offsets = np.searchsorted(starts, text_starts).astype(np.int64)
    owner_start = np.repeat(text_starts[:-1], np.diff(offsets))
    return Words(hashes, is_number, starts - owner_start, ends - owner_start, offsets)


def _without_apostrophes(flat: NDArray[np.uint8], classes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Places of all bytes but apostrophes between two letters: `don't` and `dont` are one word."""
    marks = np.flatnonzero(flat[1:-1] == ord("'")) + 1
    inside = marks[(classes[marks - 1] == _LETTER) & (classes[marks + 1] == _LETTER)]
    return np.delete(np.arange(len(flat)), inside)


def _borders(classes: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where words start and end: at each change of class, and at each wide character."""
    if len(classes) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    before = np.concatenate([np.zeros(1, np.uint8), classes[:-1]])
    change = classes != before
    if (classes == _WIDE).any():
        # the two bytes after a wide character's first belong to it
        continues = (before == _WIDE) & (classes == _LETTER)
        change = (change & ~continues) | (classes == _WIDE)
    borders = np.flatnonzero(change)
    following = np.append(borders[1:], len(classes))
    is_word = classes[borders] != 0
    return borders[is_word], following[is_word]


def _hash_spans(flat: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Hashes:
    """A 64-bit hash of each span of bytes: a polynomial in its bytes, then mixed."""
    if len(starts) == 0:
        return np.zeros(0, np.uint64)
    lengths = ends - starts
    total = np.cumsum(lengths)
    within = np.arange(total[-1], dtype=np.int64)
    shift = np.repeat(starts - (total - lengths), lengths)
    values = flat[within + shift].astype(np.uint64)
    place = within - np.repeat(total - lengths, lengths)
    values *= _POWERS[place & (len(_POWERS) - 1)]
    return mix(np.add.reduceat(values, total - lengths) + lengths.astype(np.uint64))
