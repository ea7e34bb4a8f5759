"""Floor 5: which rows a round trains on: this round's accepted, older rounds' and the anchor, by the regime."""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeVar

from selfplay.config.tree import Curate

T = TypeVar("T")
Counts = Callable[[Any], int | None]
"""The operation count of a row's task, where its source counts them."""


ANCHOR_FLOOR = 256
"""Anchor rows that are trained on however few rows were accepted, as far as the anchor has so many: a share of next to nothing
would leave the student alone with a handful of rows."""


FULL_BEYOND = 60
"""Different rows beyond the edge from which they get their whole share: a handful repeated a hundredfold is memorised."""


FAR_WEIGHT = 3.0
"""A row two steps or more beyond the edge counts as so many one step beyond: it is rare, and teaches the most."""


@dataclass(frozen=True)
class Frontier:
    """Where the curriculum stands, for a mix by operation count."""

    edge: int
    rows: int
    """Rows that training will see."""


def mix(
    section: Curate,
    new: Sequence[T],
    older: Sequence[T],
    anchor: Sequence[T],
    seed: int,
    frontier: Frontier | None = None,
    operations: Counts = attrgetter("operations"),
) -> list[T]:
    """The training rows (or their numbers), deterministic by seed; shares are met by repeating or leaving out whole rows.

    Regimes (Gerstgrasser et al. 2024; Kazdan et al. 2024): `accumulate` trains on all rounds, `replace` on the newest
    rows alone, `accumulate_subsample` on a fixed number of rows drawn from all. But for `replace` the anchor comes on top,
    as `anchor_share` of all rows, and never fewer than the whole anchor or ANCHOR_FLOOR rows of it; without any accepted row
    it is the whole. With `beyond_share` the rows are exactly those of the round's
    steps, and their shares go by operation count (see `frontier`).
    """
    rng = random.Random(seed)
    if section.regime == "replace":
        return list(new or anchor)
    if section.beyond_share is not None and frontier is not None:
        return _by_count(section, [*new, *older], anchor, frontier, rng, operations)
    kept = by_regime(section, new, older, rng)
    return [*kept, *_anchor_part(section.anchor_share, len(kept), anchor, rng)]


def by_regime(section: Curate, new: Sequence[T], older: Sequence[T], rng: random.Random) -> list[T]:
    """What the regime, `newest_share` and `max_rows` take of this round's items and the older ones; no anchor."""
    if section.regime == "replace":
        return list(new)
    if section.newest_share is not None and new and older:
        kept = _shares(new, older, section.newest_share, rng)
    else:
        kept = [*new, *older]
    return rng.sample(kept, section.max_rows) if section.max_rows is not None and len(kept) > section.max_rows else kept


def _by_count(
    section: Curate,
    rows: Sequence[T],
    anchor: Sequence[T],
    frontier: Frontier,
    rng: random.Random,
    operations: Counts,
) -> list[T]:
    """`beyond_share` from beyond the edge, `anchor_share` anchor, the rest mastered; what is short goes to the others."""
    by_count: dict[int, list[T]] = defaultdict(list)
    for row in rows:
        by_count[operations(row) or 0].append(row)
    groups = sorted(by_count.items())
    beyond = {count: group for count, group in groups if count > frontier.edge}
    known = {count: group for count, group in groups if count <= frontier.edge}
    share = (section.beyond_share or 0.0) * min(1.0, sum(map(len, beyond.values())) / FULL_BEYOND)
    left = (section.beyond_share or 0.0) - share
    own = len(anchor) / frontier.rows if section.anchor_share is None else section.anchor_share
    anchor_share = own + (left / 2 if known else left)
    far = {n: (FAR_WEIGHT if n > frontier.edge + 1 else 1.0) * len(group) for n, group in beyond.items()}
    top = _weighted(beyond, far, round(share * frontier.rows), rng)
    human = _resized(anchor, min(round(anchor_share * frontier.rows), frontier.rows - len(top)), rng)
    rest = frontier.rows - len(top) - len(human)
    mastered = _weighted(known, {count: float(count**2) for count in known}, rest, rng)
    return [*top, *(mastered if known else _resized(anchor, rest, rng)), *human]


def _weighted(
    groups: Mapping[int, Sequence[T]], weights: Mapping[int, float], count: int, rng: random.Random
) -> list[T]:
    """`count` rows, groups in proportion to their weights, within one every row as often as every other."""
    total, made, out = sum(weights.values()), 0, list[T]()
    for number, (name, weight) in enumerate(weights.items(), start=1):
        end = count if number == len(weights) else made + round(count * weight / total)
        out += _resized(groups[name], max(0, min(end, count) - made), rng)
        made = max(made, min(end, count))
    return out


def _shares(new: Sequence[T], older: Sequence[T], newest: float, rng: random.Random) -> list[T]:
    """Both parts, neither empty, whole, the one that is too small repeated until its share is met."""
    wanted = round(len(older) * newest / (1 - newest))
    if len(new) < wanted:
        return [*_resized(new, wanted, rng), *older]
    return [*new, *_resized(older, max(len(older), round(len(new) * (1 - newest) / newest)), rng)]


def _anchor_part(share: float | None, others: int, anchor: Sequence[T], rng: random.Random) -> list[T]:
    if share is None or not others:
        return list(anchor)
    wanted = round(others * share / (1 - share))
    return _resized(anchor, max(wanted, min(len(anchor), ANCHOR_FLOOR)) if share else 0, rng)


def _resized(rows: Sequence[T], count: int, rng: random.Random) -> list[T]:
    """`count` rows: every row as often as every other, give or take one, the odd ones drawn."""
    if not rows:
        return []
    times, rest = divmod(count, len(rows))
    return [*rows] * times + rng.sample(list(rows), rest)
