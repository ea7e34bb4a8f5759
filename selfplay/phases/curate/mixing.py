"""Mixes the rows that a round trains on: this round's accepted rows, those of older rounds, and the anchor, by the regime."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

from selfplay.config.tree import Curate

T = TypeVar("T")
Difficulty = Callable[[Any], int | None]
"""The difficulty of a row's task; None where it has none."""


ANCHOR_FLOOR = 256
"""Fewest anchor rows to train on (or all, if the anchor has fewer), however few rows were accepted: a share of very few rows would
be too small to keep the student from overfitting to them."""


ROWS_FOR_FULL_SHARE = 60
"""Number of different rows above the level at which they get their full share. With fewer, the share shrinks in proportion, since
a few rows that are repeated very often would be memorised."""


WEIGHT_TWO_ABOVE = 3.0
"""Weight of a row two or more difficulties above the level, where a row one above has weight 1: such rows are rare and informative."""


@dataclass(frozen=True)
class LevelMix:
    """The curriculum's level and the number of rows, for a mix by difficulty."""

    level: int
    rows: int
    """Number of rows that the round's training will see."""


def mix(
    section: Curate,
    new: Sequence[T],
    older: Sequence[T],
    anchor: Sequence[T],
    seed: int,
    at: LevelMix | None = None,
    difficulty: Difficulty = attrgetter("difficulty"),
) -> list[T]:
    """The training rows (or their numbers), deterministic by seed; shares are met by repeating or leaving out whole rows.

    Regimes (Gerstgrasser et al. 2024; Kazdan et al. 2024): `accumulate` trains on the rows of all rounds, `replace` on the newest
    only, `accumulate_subsample` on a fixed number of rows drawn from all. Except under `replace`, anchor rows are added as
    `anchor_share` of the result, each at most `anchor_repeats` times, at least ANCHOR_FLOOR of them (or all, if the anchor has
    fewer); if no row was accepted, the result is the whole anchor. With `above_level_share` the result has exactly `at.rows` rows,
    and the shares go by difficulty.
    """
    rng = random.Random(seed)
    if section.regime == "replace":
        return list(new or anchor)
    if section.above_level_share is not None and at is not None:
        return _by_level(section, [*new, *older], anchor, at, rng, difficulty)
    kept = by_regime(section, new, older, rng)
    return [*kept, *_anchor_part(section, len(kept), anchor, rng)]


def by_regime(section: Curate, new: Sequence[T], older: Sequence[T], rng: random.Random) -> list[T]:
    """This round's items and the older ones that the regime, `newest_share` and `max_rows` select; without the anchor."""
    if section.regime == "replace":
        return list(new)
    if section.newest_share is not None and new and older:
        kept = _shares(new, older, section.newest_share, rng)
    else:
        kept = [*new, *older]
    return rng.sample(kept, section.max_rows) if section.max_rows is not None and len(kept) > section.max_rows else kept


def _by_level(
    section: Curate,
    rows: Sequence[T],
    anchor: Sequence[T],
    at: LevelMix,
    rng: random.Random,
    difficulty: Difficulty,
) -> list[T]:
    """`above_level_share` from above the level, `anchor_share` anchor, the rest mastered; the others fill a share that falls short."""
    by_difficulty: dict[int, list[T]] = defaultdict(list)
    for row in rows:
        by_difficulty[difficulty(row) or 0].append(row)
    groups = sorted(by_difficulty.items())
    above = {n: group for n, group in groups if n > at.level}
    known = {n: group for n, group in groups if n <= at.level}
    share = (section.above_level_share or 0.0) * min(1.0, sum(map(len, above.values())) / ROWS_FOR_FULL_SHARE)
    left = (section.above_level_share or 0.0) - share
    own = len(anchor) / at.rows if section.anchor_share is None else section.anchor_share
    anchor_share = own + (left / 2 if known else left)
    weights = {n: (WEIGHT_TWO_ABOVE if n > at.level + 1 else 1.0) * len(group) for n, group in above.items()}
    top = _weighted(above, weights, round(share * at.rows), rng)
    human = _resized(anchor, min(round(anchor_share * at.rows), at.rows - len(top)), rng)
    rest = at.rows - len(top) - len(human)
    mastered = _weighted(known, {n: float(n**2) for n in known}, rest, rng)
    return [*top, *(mastered if known else _resized(anchor, rest, rng)), *human]


def _weighted(
    groups: Mapping[int, Sequence[T]], weights: Mapping[int, float], count: int, rng: random.Random
) -> list[T]:
    """`count` rows: groups in proportion to their weights, and all rows of a group equally often."""
    total, filled, out = sum(weights.values()), 0, list[T]()
    for number, (name, weight) in enumerate(weights.items(), start=1):
        end = count if number == len(weights) else filled + round(count * weight / total)
        out += _resized(groups[name], max(0, min(end, count) - filled), rng)
        filled = max(filled, min(end, count))
    return out


def _shares(new: Sequence[T], older: Sequence[T], newest: float, rng: random.Random) -> list[T]:
    """All rows of both parts, neither of which is empty; the part that is too small is repeated until its share is met."""
    wanted = round(len(older) * newest / (1 - newest))
    if len(new) < wanted:
        return [*_resized(new, wanted, rng), *older]
    return [*new, *_resized(older, max(len(older), round(len(new) * (1 - newest) / newest)), rng)]


def anchor_cut(section: Curate, others: int, anchor: int) -> str:
    """What `anchor_repeats` takes from the share of the anchor beside so many other rows; "" where it takes nothing."""
    share, most = section.anchor_share, section.anchor_repeats
    if (
        not share
        or not others
        or not anchor
        or most is None
        or section.regime == "replace"
        or section.above_level_share is not None
    ):
        return ""
    wanted, given = round(others * share / (1 - share)), most * anchor
    if wanted <= given:
        return ""
    return (
        f"the anchor is {given / (given + others):.0%} of the training rows and not {share:.0%}: it has {anchor} rows, each of which stands "
        f"there {most} times at most (curate.anchor_repeats); give more tasks with a reference, or raise it"
    )


def _anchor_part(section: Curate, others: int, anchor: Sequence[T], rng: random.Random) -> list[T]:
    share = section.anchor_share
    if share is None or not others:
        return list(anchor)
    wanted = round(others * share / (1 - share))
    if section.anchor_repeats is not None:
        wanted = min(wanted, section.anchor_repeats * len(anchor))
    return _resized(anchor, max(wanted, min(len(anchor), ANCHOR_FLOOR)) if share else 0, rng)


def _resized(rows: Sequence[T], count: int, rng: random.Random) -> list[T]:
    """`count` rows: all rows equally often; a remainder is drawn at random."""
    if not rows:
        return []
    times, rest = divmod(count, len(rows))
    return [*rows] * times + rng.sample(list(rows), rest)
