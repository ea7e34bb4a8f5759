"""Similarity of two or many texts: self-BLEU, ROUGE-L, shingle Jaccard, n-gram overlap.

For comparison with published figures and for checking candidates of a faster screen; the dev set is measured by collision
probabilities, which are linear in the tokens and flat in the number of texts.
"""

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from selfplay.errors import DataError, EmptyMetric

_WORD = re.compile(r"[a-z0-9]+")
Gram = tuple[str, ...]


def words(text: str) -> list[str]:
    """Tokens `[a-z0-9]+` of the lower-cased text, as ROUGE has them."""
    return _WORD.findall(text.lower())


def _counted(tokens: Sequence[str], n: int) -> Counter[Gram]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def self_bleu(texts: Sequence[str], order: int = 4) -> float:
    """Mean over texts of BLEU-4 against all the others (Zhu et al. 2018, 1802.01886), in [0, 1]; 1 = all the same.

    Tokens by `str.split`, equal weights, clipped counts, the nearest reference length (the shorter on a tie); a zero count
    at order > 1 becomes 0.1 (NLTK's method1), no match of single tokens gives 0. Linear in the tokens: of each n-gram
    only the two largest counts over texts are kept, since clipping needs the largest among the *others*. Grows with the
    number of texts. Raises EmptyMetric for fewer than two texts.
    """
    if len(texts) < 2:
        raise EmptyMetric(f"self_bleu: {len(texts)} text, needs two; leave the metric out of this round")
    tokens_D_T = [text.split() for text in texts]
    lengths = sorted(len(tokens) for tokens in tokens_D_T)
    logs = [0.0] * len(texts)
    for n in range(1, order + 1):
        counted = [_counted(tokens, n) for tokens in tokens_D_T]
        largest = _two_largest(counted)
        for d, counts in enumerate(counted):
            matched = sum(min(c, _among_others(largest[gram], d)) for gram, c in counts.items())
            possible = max(1, sum(counts.values()))
            smoothed = matched if matched or n == 1 else 0.1
            logs[d] += math.log(smoothed / possible) if smoothed else -math.inf
    scores = (
        _brevity(len(tokens), lengths) * math.exp(log / order) if log > -math.inf else 0.0
        for tokens, log in zip(tokens_D_T, logs, strict=True)
    )
    return sum(scores) / len(texts)


def _two_largest(counted: Sequence[Counter[Gram]]) -> dict[Gram, tuple[int, int, int]]:
    """Per n-gram: largest count, the text that has it, and the largest count among all other texts."""
    largest: dict[Gram, tuple[int, int, int]] = {}
    for d, counts in enumerate(counted):
        for gram, c in counts.items():
            top, owner, second = largest.get(gram, (0, -1, 0))
            largest[gram] = (c, d, top) if c > top else (top, owner, max(second, c))
    return largest


def _among_others(entry: tuple[int, int, int], text: int) -> int:
    top, owner, second = entry
    return second if owner == text else top


def _brevity(length: int, lengths: list[int]) -> float:
    """Brevity penalty against the nearest length among the other texts; `lengths` is sorted and holds this one too."""
    if length == 0:
        return 0.0
    at = bisect_left(lengths, length)
    others = [lengths[i] for i in (at - 1, at + 1) if 0 <= i < len(lengths)]
    nearest = min(others, key=lambda other: (abs(other - length), other))
    return 1.0 if length > nearest else math.exp(1 - nearest / length)


def rouge_l(reference: str, candidate: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of the longest common subsequence of words (Lin 2004, W04-1013); zeros where one is empty."""
    a, b = words(reference), words(candidate)
    if not a or not b:
        return 0.0, 0.0, 0.0
    common = _common_length(a, b)
    precision, recall = common / len(b), common / len(a)
    return precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0


def _common_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Longest common subsequence by bit-parallel rows (Hyyro 2004): one big-integer step a word of b."""
    where: dict[str, int] = {}
    for i, word in enumerate(a):
        where[word] = where.get(word, 0) | 1 << i
    full = (1 << len(a)) - 1
    row = full
    for word in b:
        hit = row & where.get(word, 0)
        row = ((row + hit) | (row - hit)) & full
    return len(a) - row.bit_count()


def shingles(text: str, n: int) -> set[Gram]:
    """The set of n-grams of `words(text)`; empty for shorter texts. Raises DataError for n < 1."""
    if n < 1:
        raise DataError(f"shingles: n is {n}, must be >= 1")
    return set(_counted(words(text), n))


def shingle_jaccard(first: str, second: str, n: int) -> float:
    """Intersection over union of the two shingle sets, in [0, 1]; 0 where both are empty (nothing shown in common)."""
    a, b = shingles(first, n), shingles(second, n)
    union = len(a | b)
    return len(a & b) / union if union else 0.0


def ngram_overlap(texts: Sequence[str], text: str, n: int) -> float:
    """Share of the text's different word n-grams that stand in any of `texts`, in [0, 1]; 0 for a text shorter than n.

    n = 13 is the usual screen for leaked test items (Brown et al. 2020, 2005.14165).
    """
    own = shingles(text, n)
    if not own:
        return 0.0
    left = set(own)
    for other in texts:
        left -= shingles(other, n)
    return 1 - len(left) / len(own)
