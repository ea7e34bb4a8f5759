"""What a student forgets of human text: which texts become less likely, and whether the rare tokens do first.

The texts are never trained on, and are the same in every round. `D` texts; nats are negative log-likelihoods under the student.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from selfplay.collapse.dev_rules import count_moved, dev_rules
from selfplay.collapse.estimate import Estimate, Floats, mean_of, ratio_of_sums

DECILES = 10
FEWEST_TEXTS = 8
"""Texts that must have tokens in a decile; below it the decile is left out."""


class Moved(NamedTuple):
    """Texts by how their nats per token have changed."""

    rose: int
    """Forgotten: less likely than at first."""
    fell: int
    texts: int
    """Texts that both rounds have."""


def moved_texts(now: Mapping[str, float], first: Mapping[str, float]) -> Moved:
    """How many texts became clearly less likely, and how many likelier, as the alarm counts them (`dev_rules.count_moved`): by more than
    0.1 nats per token and 10 % of the mean at first. Nats per token by text id.
    """
    both = [text for text in now if text in first]
    rose, fell = count_moved(np.array([now[x] for x in both]), np.array([first[x] for x in both]), dev_rules())
    return Moved(int(rose), int(fell), len(both))


def token_deciles(ids_D_T: Sequence[Sequence[int]]) -> dict[int, int]:
    """Token id -> 1 (rarest) to 10 (commonest): tenths of all tokens of the texts, in order of how often their type occurs in them.

    Types that occur equally often lie in one tenth, and a type of more than a tenth of the tokens takes the place of several: so tenths
    are unequal, and some may be empty.
    """
    counts = Counter(token for ids in ids_D_T for token in ids)
    mass = Counter[int]()
    for times in counts.values():
        mass[times] += times
    total, below, place = counts.total(), 0, dict[int, int]()
    for times in sorted(mass):
        place[times] = 1 + int(DECILES * (below + mass[times] / 2) / total)
        below += mass[times]
    return {token: place[times] for token, times in counts.items()}


def decile_sums(ids: Sequence[int], nats: Sequence[float], deciles: Mapping[int, int]) -> list[list[float]]:
    """(10, 2): the nats of one text's tokens in each decile, and their number; tokens without a decile are left out."""
    found = [[0.0, 0.0] for _ in range(DECILES)]
    for token, value in zip(ids, nats, strict=True):
        if token in deciles:
            cell = found[deciles[token] - 1]
            cell[0] += value
            cell[1] += 1
    return found


def decile_estimates(sums_D: Sequence[Sequence[Sequence[float]]]) -> dict[int, Estimate]:
    """Nats per token in each decile, over texts; a decile that fewer than FEWEST_TEXTS texts have is left out."""
    table = _table(sums_D)
    return {
        decile + 1: ratio_of_sums(table[:, decile, 0], table[:, decile, 1])
        for decile in range(DECILES)
        if (table[:, decile, 1] > 0).sum() >= FEWEST_TEXTS
    }


def rare_minus_common(
    sums_D: Sequence[Sequence[Sequence[float]]], first_D: Sequence[Sequence[Sequence[float]]] | None = None
) -> Estimate | None:
    """Nats per token of the rarest decile there is minus those of the commonest; given round 0's sums, the change of that difference.

    The interval is over texts, and takes both deciles of a text together: that of the mean of its linearised terms. None with fewer than
    two deciles.
    """
    table = _table(sums_D)
    usable = np.flatnonzero((table[:, :, 1] > 0).sum(0) >= FEWEST_TEXTS)
    if usable.size < 2:
        return None
    value, parts = _difference(table, int(usable[0]), int(usable[-1]))
    if first_D is not None:
        before, parts_before = _difference(_table(first_D), int(usable[0]), int(usable[-1]))
        value, parts = value - before, parts - parts_before
    return mean_of(value + parts)


def _table(sums_D: Sequence[Sequence[Sequence[float]]]) -> Floats:
    return np.asarray(sums_D, dtype=np.float64).reshape(-1, DECILES, 2)


def _difference(table: Floats, rare: int, common: int) -> tuple[float, Floats]:
    """The difference of two ratios of sums, and the term of each text (D,), which sum to 0."""
    value, parts = 0.0, np.zeros(len(table))
    for decile, sign in ((rare, 1.0), (common, -1.0)):
        nats, tokens = table[:, decile, 0], table[:, decile, 1]
        ratio = float(nats.sum() / tokens.sum())
        value += sign * ratio
        parts = parts + sign * (nats - ratio * tokens) / tokens.mean()
    return value, parts
