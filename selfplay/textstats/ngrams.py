"""Texts as one long array of token hashes, hashes of their runs of n tokens, and how often each occurs.

A token is what `str.split` gives, or a character where texts do not use spaces. A hash comes from content alone, so
equal n-grams meet across rounds and processes, and no vocabulary is kept. An n-gram never crosses from one text into the
next. `D` texts, `T` tokens of all texts.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from selfplay.errors import DataError
from selfplay.textstats.hashing import STEP, Hashes, Ints, mix

Units = Literal["words", "characters"]

WORD_CHARACTERS = 40
"""Longer "words" than this on average mean a script without spaces: characters are counted then."""
BLOCK_BYTES = 1 << 20
_SPACE = np.zeros(256, dtype=bool)
_SPACE[[9, 10, 11, 12, 13, 28, 29, 30, 31, 32]] = True  # what str.split takes for space in ASCII


@dataclass(frozen=True)
class Stream:
    """D texts as T token hashes; text d is `tokens[starts[d]:starts[d + 1]]`."""

    tokens: Hashes
    starts: Ints

    @property
    def lengths(self) -> Ints:
        """Tokens of each text."""
        return np.diff(self.starts)

    def owners(self) -> NDArray[np.int32]:
        """The text that each token stands in."""
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), self.lengths)

    def take(self, texts: Sequence[int] | Ints, cut: int | None = None) -> "Stream":
        """A smaller stream of the chosen texts in the given order, each cut to `cut` tokens."""
        ends = self.starts[1:] if cut is None else np.minimum(self.starts[1:], self.starts[:-1] + cut)
        parts = [self.tokens[self.starts[d] : ends[d]] for d in texts]
        tokens = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)
        return Stream(tokens, _starts([p.size for p in parts]))


def _starts(lengths: Sequence[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def units_of(texts: Sequence[str]) -> Units:
    """Whether these texts are counted in words or in characters, by the mean length of what stands between spaces."""
    some = texts[:: max(1, len(texts) // 200)]
    words = sum(len(text.split()) for text in some)
    return "characters" if words and sum(map(len, some)) > WORD_CHARACTERS * words else "words"


class _Powers:
    """Powers of the step and of its inverse modulo 2^64, grown when a longer block comes."""

    def __init__(self) -> None:
        self.up = self.down = np.ones(1, dtype=np.uint64)

    def reach(self, size: int) -> None:
        """Makes both at least `size` long."""
        if self.up.size < size:
            self.up, self.down = _geometric(STEP, size), _geometric(pow(STEP, -1, 2**64), size)


def _geometric(factor: int, size: int) -> Hashes:
    powers = np.full(size, factor, dtype=np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers)


def _token_hashes(raw: bytes, powers: _Powers) -> tuple[Hashes, Ints]:
    """Hash of each run of non-space bytes and where it starts: sum (byte + 1) step^place, by one running sum."""
    data = np.frombuffer(b"\n" + raw + b"\n", dtype=np.uint8)
    powers.reach(data.size)
    space = _SPACE[data]
    begins = np.flatnonzero(space[:-1] & ~space[1:]) + 1
    ends = np.flatnonzero(~space[:-1] & space[1:]) + 1
    sums = data.astype(np.uint64)
    sums += np.uint64(1)
    sums *= powers.up[: data.size]
    np.cumsum(sums, out=sums)
    hashed = sums[ends - 1] - sums[begins - 1]
    hashed *= powers.down[begins]
    return mix(hashed), begins - 1


def _blocks(texts: Iterable[str]) -> Iterator[list[bytes]]:
    """Texts as UTF-8 with ASCII spaces only, in blocks of about BLOCK_BYTES."""
    block: list[bytes] = []
    size = 0
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"texts[{i}] is a {type(text).__name__}, must be a string; name the right text field")
        plain = text if text.isascii() else " ".join(text.split())
        block.append(plain.encode("utf-8", "surrogatepass"))
        size += len(block[-1])
        if size > BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def stream_of(texts: Iterable[str], units: Units = "words") -> Stream:
    """Reads texts into a stream, a block at a time. Raises DataError for a text that is not a string."""
    if units == "characters":
        codes = [
            np.frombuffer(t.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64) for t in texts
        ]
        tokens = np.concatenate(codes) if codes else np.empty(0, dtype=np.uint64)
        return Stream(mix(tokens + np.uint64(1)), _starts([c.size for c in codes]))
    powers, hashes, lengths = _Powers(), [np.empty(0, dtype=np.uint64)], [np.empty(0, dtype=np.int64)]
    for block in _blocks(texts):
        hashed, begins = _token_hashes(b"\n".join(block), powers)
        edges = np.cumsum([0] + [len(raw) + 1 for raw in block])
        hashes.append(hashed)
        lengths.append(np.diff(np.searchsorted(begins, edges)))
    return Stream(np.concatenate(hashes), np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64))


def sequence_hashes(stream: Stream) -> Hashes:
    """64-bit hash of each text's tokens in order (D,): texts that differ in white space alone have the same. 0 for no token."""
    found = np.zeros(stream.lengths.size, dtype=np.uint64)
    powers = _geometric(STEP, int(stream.lengths.max(initial=0)) + 1)
    for d, (start, end) in enumerate(pairwise(stream.starts.tolist())):
        found[d] = stream.tokens[start:end] @ powers[: end - start]
    return mix(found + stream.lengths.astype(np.uint64), spoil=True)


def as_stream(texts: Sequence[str] | Stream) -> Stream:
    """Itself, or the stream of a list of texts."""
    return texts if isinstance(texts, Stream) else stream_of([texts] if isinstance(texts, str) else texts)


_SHINGLE_FACTOR = 0xD6E8FEB86659FD93


def gram_hashes(stream: Stream, n: int) -> tuple[Hashes, Ints]:
    """Hash of each n-gram in order of place, and how many each text has (D,); a text of fewer than n tokens has none.

    Two different n-grams share a hash with a chance of about N^2 / 2^65 for N n-grams. Raises DataError for n < 1.
    """
    if n < 1:
        raise DataError(f"n-grams: n is {n}, must be >= 1")
    counts = np.maximum(stream.lengths - n + 1, 0)
    total = stream.tokens.size - n + 1
    if n == 1 or total <= 0:
        return (stream.tokens if n == 1 else stream.tokens[:0]), counts
    whole = np.ones(total, dtype=bool)
    for back in range(1, n):  # n-grams that begin so far before the end of a text reach into the next
        begins = stream.starts[1:] - back
        whole[begins[(begins >= stream.starts[:-1]) & (begins < total)]] = False
    return mix(_rolled(stream.tokens, n, STEP)[whole], spoil=True), counts


def shingles(hashes: Hashes, offsets: Ints, n: int) -> tuple[Hashes, Ints]:
    """Hashes of all runs of n words within each text, and the offsets of the texts in them.

    A text of 1 to n-1 words is one shingle, all its words; a text without words is the one shingle `mix(0)`, which the
    caller replaces: texts too short for n words must not look alike for that.
    """
    counts = np.diff(offsets)
    out_counts = np.maximum(counts - n + 1, 1)
    out_offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(out_counts)])
    rolled = _rolled(np.concatenate([hashes, np.zeros(n, np.uint64)]), n, _SHINGLE_FACTOR)
    place = np.arange(out_offsets[-1], dtype=np.int64) + np.repeat(offsets[:-1] - out_offsets[:-1], out_counts)
    found = rolled[np.minimum(place, len(rolled) - 1)]
    for d in np.flatnonzero(counts < n):
        short = int(counts[d])
        for value in hashes[offsets[d] : offsets[d + 1]]:
            short = (short * _SHINGLE_FACTOR + int(value)) & 0xFFFFFFFFFFFFFFFF
        found[out_offsets[d]] = short if counts[d] else 0
    return mix(found), out_offsets


def _rolled(hashes: Hashes, n: int, factor: int) -> Hashes:
    """A polynomial of each n neighbours, their order counted."""
    total = len(hashes) - n + 1
    rolled = hashes[:total].copy()
    for i in range(1, n):
        rolled *= np.uint64(factor)
        rolled += hashes[i : total + i]
    return rolled


def tally(hashes: Hashes, spoil: bool = False) -> tuple[Hashes, Ints]:
    """Different hashes, sorted, and how often each occurs; `spoil` sorts the given array itself and saves a copy.

    (`np.unique` is ten times slower at this size.)
    """
    if hashes.size == 0:
        return hashes, np.empty(0, dtype=np.int64)
    if spoil:
        hashes.sort()
    ordered = hashes if spoil else np.sort(hashes)
    first = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    return ordered[first], np.diff(first, append=ordered.size)
