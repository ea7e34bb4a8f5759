"""All metrics of one round's texts as flat keys; needs neither verdicts nor a model.

Two kinds of keys. Whole-corpus ones (`distinct_2`, `rke_u`, ...) describe the round. Those compared between rounds
(`*_fixed`, tails) come from a sample of one token budget and carry jackknife intervals over texts. What has nothing
to measure is left out. `D` texts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from selfplay.collapse.compress import compression_ratio, long_window_codec
from selfplay.collapse.duplicates import exact_dup_estimate, near_dup_estimate
from selfplay.collapse.estimate import Estimate, Floats, jackknife, mean_of
from selfplay.collapse.grams import (
    collision_estimate,
    different_of,
    distinct_estimate,
    repetition,
)
from selfplay.collapse.kernels import hashed_features, rke_estimate, vendi_dual
from selfplay.collapse.overlap import self_bleu
from selfplay.errors import DataError, EmptyMetric
from selfplay.textstats.hashing import Hashes, Ints
from selfplay.textstats.ngrams import Stream, Units, gram_hashes, sequence_hashes, stream_of, tally, units_of

MAX_BUDGET = 400_000
"""Tokens of the compared sample: its intervals are narrow enough, and it costs under a second."""
VENDI_TEXTS, VENDI_FEATURES, VENDI_GROUPS, BLEU_TEXTS, FEATURES = 500, 128, 10, 200, 256
FEWEST = 10
EAD_VOCABULARY = 2**20
"""Assumed number of different 3-grams, one for all rounds."""
RARE_AT_MOST, COMMON_AT_LEAST = 2, 5
RKE_TEXTS = 20_000
"""RKE's unbiased form is flat in the number of texts: more of them would only cost."""
COMPRESSED_BYTES = 64 * 2**20
Row = dict[str, Any]
Encoder = Callable[[Sequence[str]], ArrayLike]
"""Texts to vectors (D, d): a sentence encoder, where one is at hand."""


@dataclass(frozen=True)
class Budget:
    """What every compared round is cut down to, in tokens and, for the character n-grams, in characters."""

    tokens: int
    cut: int
    """Longest text, in tokens; what lies beyond is not read."""
    characters: int
    cut_characters: int


@dataclass(frozen=True)
class Reference:
    """The sample that other rounds are compared with: its two halves, whose rare and common tokens are the frozen items."""

    halves: tuple[Stream, Stream]
    units: Units

    def rare(self, half: int) -> Hashes:
        """Tokens met once or twice in one half of the reference: the tail to be covered by the other half of a round."""
        hashes, counts = tally(self.halves[half].tokens)
        return hashes[counts <= RARE_AT_MOST]

    def common(self) -> Hashes:
        """Tokens met five times or more in the whole reference sample."""
        hashes, counts = tally(np.concatenate([half.tokens for half in self.halves]))
        return hashes[counts >= COMMON_AT_LEAST]

    def shares(self) -> tuple[Hashes, Floats]:
        """Different tokens and their counts."""
        hashes, counts = tally(np.concatenate([half.tokens for half in self.halves]))
        return hashes, counts.astype(np.float64)


def texts_of(rows: Sequence[str] | Sequence[Mapping[str, Any]], text_field: str = "text") -> list[str]:
    """The texts of records, or the texts themselves. Raises DataError that names the row without a usable text."""
    out = []
    for i, row in enumerate(rows):
        text = row.get(text_field) if isinstance(row, Mapping) else row
        if not isinstance(text, str):
            has = f"has fields {sorted(row)}" if isinstance(row, Mapping) else f"is a {type(row).__name__}"
            raise DataError(f"row {i}: no text in field {text_field!r}, it {has}; name the text field")
        out.append(text)
    return out


def budget_of(rounds: Sequence[Sequence[str]], units: Units = "words", max_tokens: int = MAX_BUDGET) -> Budget:
    """The budget that all rounds with a fair amount of text can meet: rounds below a fifth of the median do not count.

    A single short round must not shrink the sample of all others; it then goes uncompared (see `measure`).
    """
    tokens, cut = _fair([stream_of(texts, units).lengths for texts in rounds], max_tokens)
    characters, cut_characters = _fair([np.asarray([len(t) for t in texts]) for texts in rounds], 4 * max_tokens)
    return Budget(tokens, cut, characters, cut_characters)


def _fair(lengths_by_round: Sequence[Ints], at_most: int) -> tuple[int, int]:
    lengths = np.concatenate(lengths_by_round) if lengths_by_round else np.empty(0)
    lengths = lengths[lengths > 0]
    if lengths.size == 0:
        return 0, 0
    cut = int(np.quantile(lengths, 0.95))
    totals = np.asarray([int(np.minimum(round_lengths, cut).sum()) for round_lengths in lengths_by_round])
    fair = totals[totals >= 0.2 * np.median(totals[totals > 0])]
    return int(min(fair.min(), at_most)), cut


def sample_of(stream: Stream, tokens: int, cut: int, seed: int = 0) -> Stream | None:
    """Texts in a seeded order, cut, until the budget's tokens are reached; None where the round has too few."""
    order = _reaching(stream.lengths, tokens, cut, seed)
    if order is None:
        return None
    taken = stream.take(order, cut)
    return Stream(taken.tokens[:tokens], np.minimum(taken.starts, tokens))


def _reaching(lengths: Ints, wanted: int, cut: int, seed: int) -> Ints | None:
    """Texts, in a seeded order, that together reach the wanted length; None where all of them do not."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(lengths > 0))
    upto = np.cumsum(np.minimum(lengths[order], cut))
    if wanted == 0 or order.size < 2 or upto[-1] < wanted:
        return None
    return order[: int(np.searchsorted(upto, wanted)) + 1]


def _character_sample(rows: Sequence[str], budget: Budget, seed: int) -> Stream | None:
    lengths = np.asarray([len(row) for row in rows], dtype=np.int64)
    order = _reaching(lengths, budget.characters, budget.cut_characters, seed)
    if order is None:
        return None
    stream = stream_of([rows[i][: budget.cut_characters] for i in order], "characters")
    return sample_of(stream, budget.characters, budget.cut_characters, seed)


def halves_of(sample: Stream) -> tuple[Stream, Stream]:
    """Every second text, and the others."""
    D = sample.lengths.size
    return sample.take(np.arange(0, D, 2)), sample.take(np.arange(1, D, 2))


def reference_of(
    texts: Sequence[str], budget: Budget | None = None, *, units: Units = "words", seed: int = 0
) -> Reference:
    """Freezes a reference for `measure`; the budget defaults to the texts' own size. Raises EmptyMetric if too small."""
    budget = budget or budget_of([texts], units)
    sample = sample_of(stream_of(texts, units), budget.tokens, budget.cut, seed)
    if sample is None:
        raise EmptyMetric("reference: fewer tokens than the budget; give more reference texts")
    return Reference(halves_of(sample), units)


def measure(
    texts: Sequence[str] | Sequence[Mapping[str, Any]],
    reference: Sequence[str] | Reference | None = None,
    *,
    budget: Budget | None = None,
    units: Units | None = None,
    text_field: str = "text",
    encoder: Encoder | None = None,
    judged_only: bool = False,
    seed: int = 0,
) -> Row:
    """Flat keys of one round's texts, `_lo` and `_hi` where there is an interval; see docs/collapse.md for each key.

    `reference`: round 0's texts (or `reference_of` them) for the tail and drift keys. `budget`: one for all rounds, from
    `budget_of`; by default the round's own size, which only rounds of equal size may compare. `judged_only` leaves out
    the keys that no alarm rule reads: a fifth of the time. No text gives only
    `collapse_data/texts` = 0: a missing key is unknown, not collapse.
    """
    rows = texts_of(texts, text_field)
    if not rows:
        return {"collapse_data/texts": 0}
    if reference is not None and not isinstance(reference, Reference):
        units = units or units_of(list(reference))
        reference = reference_of(list(reference), budget, units=units, seed=seed)
    units = units or (reference.units if reference is not None else units_of(rows))
    stream = stream_of(rows, units)
    out = _counted(rows, stream, units) | {"collapse_data/units": units}
    if not judged_only:
        out |= _whole(rows, stream)
    if encoder is not None:
        out |= _vectors("encoder_rke_u", encoder(rows))
    return out | compared(rows, stream, reference, budget or budget_of([rows], units), seed, judged_only)


def compared(
    rows: Sequence[str],
    stream: Stream,
    reference: Reference | None,
    budget: Budget,
    seed: int = 0,
    judged_only: bool = False,
) -> Row:
    """The keys that may be compared between rounds, all from one sample of the budget; empty where the round is too small."""
    sample, letters = sample_of(stream, budget.tokens, budget.cut, seed), _character_sample(rows, budget, seed)
    if sample is None or letters is None:
        return {"collapse_data/compared_tokens": 0}
    out: Row = {"collapse_data/compared_tokens": budget.tokens}
    for n in (1, 2, 3):
        out |= tried(f"collapse_diversity/distinct_{n}_fixed", lambda n=n: distinct_estimate(sample, n))  # type: ignore[misc]
    for n in (4, 5):
        out |= tried(f"collapse_diversity/char_distinct_{n}_fixed", lambda n=n: distinct_estimate(letters, n))  # type: ignore[misc]
    if not judged_only:
        out |= tried("collapse_diversity/ngram2_collision_u", lambda: collision_estimate(sample, 2))
        out |= tried("collapse_diversity/vendi_fixed_n", lambda: vendi_fixed(sample))
        chosen = np.random.default_rng(seed).permutation(len(rows))[:BLEU_TEXTS]
        out |= tried("collapse_diversity/self_bleu_fixed", lambda: self_bleu([rows[i][:2000] for i in chosen]))
    return out | (_against(sample, reference) if reference is not None else {})


def tried(key: str, metric: Callable[[], Estimate | float]) -> Row:
    """The key with its interval, or nothing where the metric has nothing to measure."""
    try:
        result = metric()
    except EmptyMetric:
        return {}
    if isinstance(result, Estimate) and result.n < FEWEST:
        result = result.value  # an interval over so few texts may have no width, and would read as certainty
    if isinstance(result, Estimate):
        return result.keyed(key) if np.isfinite(result.value) else {}
    return {key: float(result)} if np.isfinite(result) else {}


def _counted(rows: Sequence[str], stream: Stream, units: Units) -> Row:
    """How many texts, how long, how many equal."""
    lengths = stream.lengths
    contents = sequence_hashes(stream) if units == "words" else rows
    out: Row = {
        "collapse_data/texts": len(rows),
        "collapse_data/tokens_total": int(lengths.sum()),
        "collapse_data/empty_share": float((lengths == 0).mean()),
    }
    out |= tried("collapse_drift/len_mean", lambda: mean_of(lengths, least=0.0))
    out["collapse_drift/len_p95"] = float(np.quantile(lengths, 0.95))
    out |= tried("collapse_diversity/exact_dup_rate", lambda: exact_dup_estimate(contents))
    return out


def _whole(rows: Sequence[str], stream: Stream) -> Row:
    """Keys of all the round's texts."""
    lengths = stream.lengths
    if not lengths.any():
        return {}
    out = _gram_keys(stream)
    out |= tried("collapse_diversity/near_dup_rate", lambda: near_dup_estimate(stream))
    codec = f"collapse_diversity/{long_window_codec()}_ratio"
    out |= tried(codec, lambda: compression_ratio(rows, "long", COMPRESSED_BYTES))
    some = np.random.default_rng(0).permutation(np.flatnonzero(lengths > 0))[:RKE_TEXTS]
    out |= _vectors("rke_u", hashed_features(stream.take(np.sort(some)), 1, FEATURES))
    return out


def _gram_keys(stream: Stream) -> Row:
    """distinct-n, entropy, adjusted distinct and collisions of the whole corpus, from one count of each order."""
    out: Row = {}
    for n in (1, 2, 3, 4):
        hashes, sizes = gram_hashes(stream, n)
        if n == 4:
            out["collapse_diversity/seq_rep_4"] = float(repetition(hashes, sizes).mean())
        if hashes.size < 2:
            continue
        counts = tally(hashes, spoil=n > 1)[1].astype(np.float64)
        out[f"collapse_diversity/distinct_{n}"] = counts.size / hashes.size
        pairs = float(hashes.size) * (hashes.size - 1)
        if n == 1:
            share = counts / hashes.size
            out["collapse_diversity/entropy_bits"] = float(abs((share * np.log2(share)).sum()))
            out["collapse_tails/good_turing_unseen"] = float((counts == 1).sum() / hashes.size)
        if n == 3:
            expected = -EAD_VOCABULARY * np.expm1(hashes.size * np.log1p(-1 / EAD_VOCABULARY))
            out["collapse_diversity/ead_3"] = float(counts.size / expected)
        if n == 4:
            out["collapse_diversity/ngram4_collision_u"] = float((counts * (counts - 1)).sum() / pairs)
    return out


def _vectors(name: str, features: ArrayLike) -> Row:
    X = np.asarray(features, dtype=np.float64)
    return tried(f"collapse_diversity/{name}", lambda: rke_estimate(X))


def vendi_fixed(sample: Stream) -> Estimate:
    """Vendi of the hashed words of a fixed number of texts, interval by leaving out a tenth of them at a time."""
    X = hashed_features(sample.take(np.arange(min(sample.lengths.size, VENDI_TEXTS))), 1, VENDI_FEATURES)
    if X.shape[0] < 2 * VENDI_GROUPS:
        raise EmptyMetric("vendi_fixed_n: too few texts; leave the metric out of this round")
    group = np.arange(X.shape[0]) % VENDI_GROUPS
    return jackknife(vendi_dual(X), [vendi_dual(X[group != g]) for g in range(VENDI_GROUPS)])


def _against(sample: Stream, reference: Reference) -> Row:
    """Tails and drift: what of the reference this round's equal draw still shows."""
    own = halves_of(sample)
    out = tried("collapse_tails/rare_item_coverage", lambda: _rare_coverage(own, reference))
    out |= tried("collapse_tails/ref_ngram_lost", lambda: tokens_lost(sample, reference.common()))
    known, before = reference.shares()
    met, after = tally(sample.tokens)
    out["collapse_tails/vocabulary_kept"] = float(np.isin(known, met, assume_unique=True).mean())
    out["collapse_drift/js_to_reference_bits"] = _js_bits(known, before, met, after.astype(np.float64))
    return out


def _covered(draw: Stream, items: Hashes) -> tuple[float, Floats]:
    """Share of the items the draw shows, and the share without each text (D,)."""
    if items.size == 0:
        raise EmptyMetric("coverage: the reference has no such item; leave the metric out of this round")
    inside = np.isin(draw.tokens, items)
    owners: NDArray[np.int32] = draw.owners()[inside]
    if not inside.any():
        return 0.0, np.zeros(draw.lengths.size)
    different, only_here = different_of(draw.tokens[inside], owners, draw.lengths.size)
    return different / items.size, (different - only_here) / items.size


def _rare_coverage(own: tuple[Stream, Stream], reference: Reference) -> Estimate:
    """Mean over the two halves of the share of the reference's rare tokens that the *other* half of this round shows.

    Crosswise, so that the reference round itself gets a fair value (its rare tokens were not chosen by what it shows).
    """
    a, left_a = _covered(own[1], reference.rare(0))
    b, left_b = _covered(own[0], reference.rare(1))
    value = (a + b) / 2
    return jackknife(value, np.concatenate([value - (a - left_a) / 2, value - (b - left_b) / 2]), share=True)


def tokens_lost(sample: Stream, items: Hashes) -> Estimate:
    """Share of the items (token hashes) that the sample does not show, with a jackknife interval over texts. Raises EmptyMetric for no item."""
    met, left = _covered(sample, items)
    return jackknife(1 - met, 1 - left, share=True)


def _js_bits(known: Hashes, before: Floats, met: Hashes, after: Floats, alpha: float = 0.5) -> float:
    names = np.union1d(known, met)
    p, q = np.full(names.size, alpha), np.full(names.size, alpha)
    p[np.searchsorted(names, known)] += before
    q[np.searchsorted(names, met)] += after
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    return float(((p * np.log2(p / middle)).sum() + (q * np.log2(q / middle)).sum()) / 2)


def rank_octaves(texts: Sequence[str], budget: Budget, units: Units = "words", seed: int = 0) -> list[float]:
    """Share of an equal draw's tokens by how common the token is: ranks 1, 2-3, 4-7, 8-15, ...

    As a student copies itself, mass moves from the last octaves (the tail) to the middle ones. Empty where the round is
    too small for the budget.
    """
    sample = sample_of(stream_of(texts, units), budget.tokens, budget.cut, seed)
    if sample is None:
        return []
    counts = np.sort(tally(sample.tokens)[1])[::-1]
    edges = [2**i - 1 for i in range(int(np.log2(counts.size)) + 1)]
    return [float(part) for part in np.add.reduceat(counts, edges) / counts.sum()]
