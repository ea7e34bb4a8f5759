"""Finds duplicates: exact, near (MinHash, then an exact check), and of what earlier rounds accepted. Pure.

MinHash in 32 bands of 4 over 5-word shingles finds candidates; each is checked by its exact Jaccard similarity, so the bands
decide only what is compared (Leskovec et al., Mining of Massive Datasets, ch. 3). At similarity 0.7 a pair escapes all bands
with probability 1.5e-4, at 0.6 with 1.2e-2. The archive of earlier rounds holds no text: for each accepted attempt the key of the exact
row, the signature of the solution within its task, and a sketch for near-duplicates.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from selfplay.errors import DataError
from selfplay.textstats.hashing import BANDS, PERMUTATIONS, U32, Hashes, band, mix, sketches
from selfplay.textstats.ngrams import shingles
from selfplay.textstats.words import batches

SHINGLE_WORDS = 5
"""Words in a shingle: shorter runs are shared by chance in templated problems, longer ones miss light rewording."""

THRESHOLD = 0.7
"""Similarity from which two texts are near-duplicates: the usual value for text corpora (Lee et al. 2022 use 0.8
after a finer check, SlimPajama 0.8, RefinedWeb 0.75); lower, since rewordings of one solution are what we look for."""

SKETCH_MARGIN = 0.15
"""A candidate whose estimated similarity is this far below the threshold (3.5 standard errors) is not checked exactly."""

MAX_CANDIDATES = 200
"""Candidates checked for one text, oldest first: bounds the cost where thousands of texts share a boilerplate."""


@dataclass(frozen=True)
class Sketches:
    """What the near-duplicate search keeps of D texts."""

    minhash: U32
    """(D, 128)"""
    shingles: U32
    """Sorted shingle hashes of each text, flat; repeats kept."""
    offsets: NDArray[np.int64]
    """(D + 1,)"""
    numbers: Hashes
    """(D,) one word for the multiset of numbers in the text; 0 where it has none."""

    def shingle_set(self, index: int) -> U32:
        """The different shingles of one text, sorted."""
        return np.unique(self.shingles[self.offsets[index] : self.offsets[index + 1]])


def sketch(texts: Sequence[str], shingle_words: int = SHINGLE_WORDS) -> Sketches:
    """Sketches of all texts; the same text has the same sketch in every batch."""
    minhash = np.zeros((len(texts), PERMUTATIONS), np.uint32)
    numbers = np.zeros(len(texts), np.uint64)
    parts: list[U32] = []
    lengths: list[NDArray[np.int64]] = []
    for start, block in batches(texts):
        hashed, offsets = shingles(block.hashes, block.offsets, shingle_words)
        low = (hashed >> np.uint64(32)).astype(np.uint32)
        for d in np.flatnonzero(np.diff(block.offsets) == 0).tolist():
            low[offsets[d]] = _wordless(texts[start + d])
        parts.append(low)
        lengths.append(np.diff(offsets))
        numbers[start : start + len(block)] = _numbers(block.hashes, block.is_number, block.offsets)
        minhash[start : start + len(block)] = sketches(low, offsets)
    flat = np.concatenate(parts) if parts else np.zeros(0, np.uint32)
    counts = np.concatenate(lengths) if lengths else np.zeros(0, np.int64)
    return Sketches(minhash, flat, np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)]), numbers)


def _wordless(text: str) -> int:
    """The one shingle of a text without words: its characters, so that `[+]` and `{-}` are not the same text."""
    data = "".join(text.split()).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=4).digest(), "big")


def _numbers(hashes: Hashes, is_number: NDArray[np.bool_], offsets: NDArray[np.int64]) -> Hashes:
    """The multiset of numbers of each text as one word, whatever their order."""
    values = np.where(is_number, mix(hashes), np.uint64(0))
    total = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
    sums: Hashes = total[offsets[1:]] - total[offsets[:-1]]
    return sums


def jaccard(a: str, b: str, shingle_words: int = SHINGLE_WORDS) -> float:
    """Exact similarity of two texts: shared shingles over all different shingles, in [0, 1]; two empty texts: 1."""
    both = sketch([a, b], shingle_words)
    return _overlap(both.shingle_set(0), both.shingle_set(1))


def _overlap(a: U32, b: U32) -> float:
    shared = np.intersect1d(a, b, assume_unique=True).size
    return float(shared / (a.size + b.size - shared))


def exact_duplicates(keys: Sequence[str]) -> list[int | None]:
    """For each key the index of the first equal key before it, or None."""
    first: dict[str, int] = {}
    return [None if (seen := first.setdefault(key, index)) == index else seen for index, key in enumerate(keys)]


def near_duplicates(
    texts: Sequence[str],
    threshold: float = THRESHOLD,
    groups: Sequence[str] | None = None,
    number_aware: bool = True,
    sketches: Sketches | None = None,
) -> list[int | None]:
    """For each text the index of an earlier kept text that it nearly repeats, or None where it is kept.

    Texts are taken in the order given and each is compared with the kept ones only, so the first of a family stays.
    `groups` (one word a text) limits the search to texts of the same group. `number_aware`: two texts whose numbers
    differ are never duplicates, as templated word problems would be. `threshold` is in (0, 1].
    """
    found = sketches if sketches is not None else sketch(texts)
    salts = _salts(groups, len(texts))
    if number_aware:
        salts = mix(salts + found.numbers)
    buckets = _shared_buckets(found.minhash, salts)
    kept_in: dict[int, list[int]] = {}
    result: list[int | None] = [None] * len(texts)
    for index in sorted(buckets):
        candidates = sorted({k for bucket in buckets[index] for k in kept_in.get(bucket, ())})
        result[index] = _first_match(found, index, candidates[:MAX_CANDIDATES], threshold)
        if result[index] is None:
            for bucket in buckets[index]:
                kept_in.setdefault(bucket, []).append(index)
    return result


def _salts(groups: Sequence[str] | None, count: int) -> Hashes:
    if groups is None:
        return np.zeros(count, np.uint64)
    ids: dict[str, int] = {}
    return mix(np.fromiter((ids.setdefault(group, len(ids) + 1) for group in groups), np.uint64, count))


def _shared_buckets(minhash: U32, salts: Hashes) -> dict[int, list[int]]:
    """Text -> ids of the buckets it shares with another text; texts alone in all bands are left out."""
    found: dict[int, list[int]] = {}
    next_bucket = 0
    for number in range(BANDS):
        keys = mix(salts + np.uint64(number))
        for row in band(minhash, number).T:
            keys = mix(keys ^ row.astype(np.uint64))
        order = np.argsort(keys, kind="stable")
        ranked = keys[order]
        same = ranked[1:] == ranked[:-1]
        shared = np.concatenate([same, [False]]) | np.concatenate([[False], same])
        bucket_ids = np.cumsum(np.concatenate([[True], ~same])) + next_bucket if len(ranked) else np.zeros(0, np.int64)
        for place in np.flatnonzero(shared):
            found.setdefault(int(order[place]), []).append(int(bucket_ids[place]))
        next_bucket += len(ranked) + 1
    return found


def _first_match(found: Sketches, index: int, candidates: Sequence[int], threshold: float) -> int | None:
    """The first candidate that is similar enough, by the exact check."""
    if not candidates:
        return None
    estimated = (found.minhash[candidates] == found.minhash[index]).mean(axis=1)
    mine: U32 | None = None
    for candidate, estimate in zip(candidates, estimated, strict=True):
        if estimate < threshold - SKETCH_MARGIN:
            continue
        mine = found.shingle_set(index) if mine is None else mine
        if _overlap(mine, found.shingle_set(candidate)) >= threshold:
            return candidate
    return None


def sketch_text(minhash: U32) -> str:
    """One text's MinHash as base64, for an archive."""
    return base64.b64encode(minhash.astype("<u4").tobytes()).decode("ascii")


def read_sketch(text: str) -> U32:
    """What `sketch_text` wrote. Raises ValueError on anything else."""
    values = np.frombuffer(base64.b64decode(text, validate=True), "<u4").astype(np.uint32)
    if values.shape != (PERMUTATIONS,):
        raise ValueError(f"a sketch of {values.size} values, must be {PERMUTATIONS}")
    return values


def estimated_similarity(minhash: U32, earlier: Iterable[U32]) -> float:
    """The greatest similarity to earlier sketches, estimated (standard error 0.04 at 0.7); 0.0 where there are none."""
    stack = list(earlier)
    return float((np.stack(stack) == minhash).mean(axis=1).max()) if stack else 0.0


@dataclass(frozen=True)
class Entry:
    """One accepted attempt of an earlier round."""

    round: int
    task_id: str
    exact: str
    """`signature.exact_key` of prompt and text."""
    signature: str
    """`signature.signature_of`, meaningful within its task only."""
    sketch: str = ""
    """MinHash of the text, base64, by `dedup.sketch_text`; empty: not kept, then near-duplicates of it are not seen."""
    numbers: str = ""
    """The numbers of the text as one hex word, so that two texts that differ in numbers are not near-duplicates."""


@dataclass(frozen=True)
class Archive:
    """All entries so far. Adding makes a new archive; equal entries are kept once."""

    entries: tuple[Entry, ...] = ()
    _exact: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)
    _signatures: Mapping[tuple[str, str], int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        exact: dict[str, int] = {}
        signatures: dict[tuple[str, str], int] = {}
        for entry in self.entries:
            exact[entry.exact] = exact.get(entry.exact, 0) + 1
            key = (entry.task_id, entry.signature)
            signatures[key] = signatures.get(key, 0) + 1
        object.__setattr__(self, "_exact", exact)
        object.__setattr__(self, "_signatures", signatures)

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, entries: Iterable[Entry]) -> "Archive":
        """A new archive with these entries too; entries that are already in are skipped, order is kept."""
        return Archive(tuple(dict.fromkeys((*self.entries, *entries))))

    def contains_exact(self, exact: str) -> bool:
        """Whether this exact row was accepted in an earlier round."""
        return exact in self._exact

    def contains(self, task_id: str, signature: str) -> bool:
        """Whether this task was solved in this way in an earlier round."""
        return (task_id, signature) in self._signatures

    def count(self, task_id: str, signature: str) -> int:
        """How many earlier accepted attempts of the task have the signature."""
        return self._signatures.get((task_id, signature), 0)

    def of_task(self, task_id: str) -> list[Entry]:
        """The entries of one task, oldest first."""
        return self._by_task().get(task_id, [])

    def _by_task(self) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] | None = self.__dict__.get("_tasks")
        if found is None:
            found = {}
            for entry in self.entries:
                found.setdefault(entry.task_id, []).append(entry)
            object.__setattr__(self, "_tasks", found)
        return found

    def to_lines(self) -> Iterator[str]:
        """One JSON object an entry, without line end, in order; equal archives give equal bytes."""
        for entry in self.entries:
            record = {key: value for key, value in vars(entry).items() if value != ""}
            yield json.dumps(record, ensure_ascii=True, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_lines(cls, lines: Iterable[str], where: str = "archive") -> "Archive":
        """Reads what `to_lines` wrote; blank lines are skipped. Raises DataError with file and line on anything else."""
        entries = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                entries.append(_entry(json.loads(line)))
            except (ValueError, TypeError) as error:
                raise DataError(
                    f"{where}:{number}: not an archive entry ({error}); restore the file from its round, or start a run of another name"
                ) from None
        return cls(tuple(dict.fromkeys(entries)))


def _entry(record: object) -> Entry:
    if not isinstance(record, dict):
        raise ValueError(f"a {type(record).__name__}, not an object")
    entry = Entry(**record)
    for name, value in vars(entry).items():
        wanted = int if name == "round" else str
        if type(value) is not wanted:
            raise ValueError(f"{name} is a {type(value).__name__}, must be {wanted.__name__}")
    return entry
