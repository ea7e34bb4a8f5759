"""The texts of a run's rounds, compared in several small draws whose size was fixed at round 0.

One large draw could not be met once the student's texts shorten. So the fixed size is an eighth of round 0's text, and a round
takes as many such draws, of different texts, as it has, eight at most: a value is the mean over its draws, which depends on their
size and not on their number, and rests on as much text as there is.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from selfplay.collapse.compress import compression_ratio, long_window_codec
from selfplay.collapse.duplicates import exact_dup_estimate, near_dup_estimate
from selfplay.collapse.estimate import Estimate
from selfplay.collapse.grams import collision_estimate, distinct_estimate, ead, ngram_collision_u, repetition
from selfplay.collapse.kernels import hashed_features, rke_estimate
from selfplay.collapse.texts import EAD_VOCABULARY, FEATURES, Budget, Row, budget_of, tokens_lost, tried, vendi_fixed
from selfplay.errors import EmptyMetric
from selfplay.textstats.hashing import Hashes
from selfplay.textstats.ngrams import Stream, Units, gram_hashes, stream_of, tally

DRAWS = 8
"""Most draws of a round, and the share of round 0's text that one of them is."""
COMMON_PER_DRAW = 5
"""Times that a common token of round 0 occurs in one draw, on average over its draws."""
Measure = Callable[[Stream], Estimate | float]


@dataclass(frozen=True)
class Frozen:
    """What round 0 fixes for all rounds: the size of a draw, and the tokens that are common in its own."""

    budget: Budget
    units: Units
    common: Hashes
    """Hashes, sorted; each occurs COMMON_PER_DRAW times or more in a draw, on average."""


def freeze_draws(texts: Sequence[str], units: Units, seed: int = 0) -> Frozen | None:
    """What round 0 fixes; None if its texts are too few for draws of two tokens."""
    whole = budget_of([texts], units)
    budget = Budget(whole.tokens // DRAWS, whole.cut, whole.characters // DRAWS, whole.cut_characters)
    draws = draws_of(stream_of(texts, units), budget.tokens, budget.cut, seed)
    if not draws:
        return None
    hashes, counts = tally(np.concatenate([draw.tokens for draw in draws]))
    return Frozen(budget, units, hashes[counts >= COMMON_PER_DRAW * len(draws)])


def draws_of(stream: Stream, tokens: int, cut: int, seed: int = 0) -> list[Stream]:
    """Up to DRAWS samples of `tokens` tokens each, no text in two of them; empty where the round has too few tokens.

    Texts come in a seeded order, each cut to `cut` tokens; what a draw leaves of its last text is not read.
    """
    order = np.random.default_rng(seed).permutation(np.flatnonzero(stream.lengths > 0))
    upto = np.concatenate([[0], np.cumsum(np.minimum(stream.lengths[order], cut))])
    found: list[Stream] = []
    start = 0
    while tokens >= 2 and len(found) < DRAWS:
        end = int(np.searchsorted(upto, upto[start] + tokens))
        if end > order.size:
            break
        taken = stream.take(order[start:end], cut)
        found.append(Stream(taken.tokens[:tokens], np.minimum(taken.starts, tokens)))
        start = end
    return found


def drawn(texts: Sequence[str], frozen: Frozen, seed: int = 0) -> Row:
    """Keys of one round's texts: a run's samples of the dev set, equally many in every round.

    `collapse_data/compared_tokens` is 0 where the round has less text than one draw: then the keys that need draws are left
    out, and those of all texts (duplicates, Vendi, RKE) stay.
    """
    budget, stream = frozen.budget, stream_of(texts, frozen.units)
    draws = draws_of(stream, budget.tokens, budget.cut, seed)
    letters = draws_of(stream_of(texts, "characters"), budget.characters, budget.cut_characters, seed)
    out: Row = {
        "collapse_data/compared_tokens": budget.tokens if draws else 0,
        "collapse_data/compared_draws": len(draws),
    }
    for key, measure in _by_draw(frozen.common).items():
        out |= tried(key, lambda measure=measure: _mean(draws, measure))  # type: ignore[misc]
    for n in (4, 5):
        key = f"collapse_diversity/char_distinct_{n}_fixed"
        out |= tried(key, lambda n=n: _mean(letters, lambda draw: distinct_estimate(draw, n)))  # type: ignore[misc]
    order = np.random.default_rng(seed).permutation(len(texts))
    codec = f"collapse_diversity/{long_window_codec()}_ratio"
    out |= tried(codec, lambda: _compression([texts[i] for i in order], budget))
    return out | _of_all(texts, stream.take(order, budget.cut), stream)


def _by_draw(common: Hashes) -> dict[str, Measure]:
    """The keys that come from draws of tokens."""
    return {
        **{f"collapse_diversity/distinct_{n}_fixed": lambda d, n=n: distinct_estimate(d, n) for n in (1, 2, 3)},  # type: ignore[misc]
        "collapse_diversity/seq_rep_4": lambda d: float(repetition(*gram_hashes(d, 4)).mean()),
        "collapse_diversity/ngram2_collision_u": lambda d: collision_estimate(d, 2),
        "collapse_diversity/ngram4_collision_u": lambda d: ngram_collision_u(d, 4),
        "collapse_diversity/ead_3": lambda d: ead(d, 3, EAD_VOCABULARY),
        "collapse_tails/ref_ngram_lost": lambda d: tokens_lost(d, common).value,
    }


def _of_all(texts: Sequence[str], cut: Stream, stream: Stream) -> Row:
    """The keys of all texts, which need equally many in each round and no draw."""
    out = tried("collapse_diversity/rke_u", lambda: rke_estimate(hashed_features(cut, 1, FEATURES)))
    out |= tried("collapse_diversity/vendi_fixed_n", lambda: vendi_fixed(cut))
    out |= tried("collapse_diversity/exact_dup_rate", lambda: exact_dup_estimate(texts))
    return out | tried("collapse_diversity/near_dup_rate", lambda: near_dup_estimate(stream))


def _mean(draws: Sequence[Stream], measure: Measure) -> Estimate | float:
    """The mean over the draws in which there is something to measure; they share no text, so their errors are independent.

    Raises EmptyMetric if there is none.
    """
    found: list[Estimate | float] = []
    for draw in draws:
        try:
            found.append(measure(draw))
        except EmptyMetric:
            continue
    if not found:
        raise EmptyMetric("draws: nothing to measure in any of them; leave the metric out of this round")
    value = sum(map(float, found)) / len(found)
    estimates = [one for one in found if isinstance(one, Estimate)]
    if len(estimates) < len(found):
        return value
    below = math.hypot(*(one.value - one.lo for one in estimates)) / len(found)
    above = math.hypot(*(one.hi - one.value for one in estimates)) / len(found)
    return Estimate(value, value - below, value + above, sum(one.n for one in estimates))


def _compression(texts: Sequence[str], budget: Budget) -> float:
    """Mean compression ratio of pieces of equal size."""
    raw = "\n".join(text[: budget.cut_characters] for text in texts if text.strip())
    size = budget.characters
    pieces = [raw[at : at + size] for at in range(0, len(raw) - size + 1, size)][:DRAWS] if size else []
    if not pieces:
        raise EmptyMetric("compression ratio: less text than one draw; leave the metric out of this round")
    return sum(compression_ratio([piece], "long") for piece in pieces) / len(pieces)
