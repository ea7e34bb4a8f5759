"""Attempts at the fixed dev set, compared between rounds: flat keys with intervals and paired changes to round 0.

`P` tasks, `G` attempts of one task. Tasks are the units of every interval (a task's attempts are not independent), and a
change to round 0 is paired over tasks: see `selfplay.collapse.estimate`. What has nothing to measure is left out: a
missing key is unknown, a 0 would read as collapse. Unequal attempts are rarefied to the smallest.
"""

import math
import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from selfplay.collapse.estimate import Estimate, Floats, bounded_mean, paired_delta, t975
from selfplay.collapse.passes import miss_chance, polarisation
from selfplay.errors import DataError, EmptyMetric
from selfplay.textstats.hashing import Ints

RARE_DRAWS = 4
"""Right attempts of each task that the figures of variety draw."""
UNSOLVED = "collapse_tails/unsolved_answer_diversity"
"""It has no change: its tasks are those that round 0 did not solve, some of them by luck, so that it rises by itself."""


@dataclass(frozen=True)
class DevSet:
    """One round's attempts at the dev set, counted task by task. `to_dict` makes it JSON, so that round 0 can be frozen."""

    task_ids: tuple[str, ...]
    attempts: tuple[int, ...]
    """Attempts counted per task, outages left out."""
    correct: tuple[int, ...]
    clusters: tuple[tuple[int, ...], ...]
    """Per task: how many right attempts fall in each cluster; sums to `correct`."""
    answers: tuple[tuple[int, ...], ...] = ()
    """Per task: how many attempts, right or wrong, gave each different answer; empty where answers were not given."""
    strata: tuple[str, ...] = ()
    """A name per task, frozen at round 0; empty for none."""
    tail: tuple[bool, ...] = ()
    """The rare tasks, frozen at round 0; empty for none."""
    items: dict[str, int] = field(default_factory=dict)
    """Frozen rare items (constructions, calls, n-grams): in how many of the dev set's attempts each was met."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "DevSet":
        """Reads what `to_dict` wrote, also after a trip through JSON."""
        nested: dict[str, Any] = {k: tuple(tuple(row) for row in data.get(k, ())) for k in ("clusters", "answers")}
        flat: dict[str, Any] = {
            k: tuple(data.get(k, ())) for k in ("task_ids", "attempts", "correct", "strata", "tail")
        }
        return cls(**flat, **nested, items=dict(data.get("items", {})))


def dev_set_of(
    task_ids: Sequence[str],
    right_P_G: Sequence[Sequence[bool]],
    labels_P_G: Sequence[Sequence[Hashable]] | None = None,
    answers_P_G: Sequence[Sequence[Hashable]] | None = None,
    *,
    strata: Sequence[str] = (),
    tail: Sequence[bool] = (),
    items: Mapping[str, int] | None = None,
) -> DevSet:
    """Counts a round's attempts. Rows may be ragged (the caller leaves outages out); a task without attempts is dropped.

    `labels_P_G`: the cluster of each attempt, read only where it is right (canonical tree, answer, behaviour); without
    it all right attempts of a task are one cluster. Raises DataError where the shapes differ.
    """
    for name, given in (("labels", labels_P_G), ("answers", answers_P_G), ("strata", strata), ("tail", tail)):
        if given and len(given) != len(task_ids):
            raise DataError(
                f"dev set: {len(given)} {name} for {len(task_ids)} tasks; give one per task, in the same order"
            )
    if len(right_P_G) != len(task_ids):
        raise DataError(f"dev set: {len(right_P_G)} rows of verdicts for {len(task_ids)} tasks; give one row per task")
    kept = [i for i, row in enumerate(right_P_G) if len(row) > 0]
    rows = [[bool(x) for x in right_P_G[i]] for i in kept]
    if labels_P_G is None:
        clusters: list[tuple[int, ...]] = [(sum(row),) if any(row) else () for row in rows]
    else:
        clusters = [_cluster_counts(task_ids[i], row, labels_P_G[i]) for i, row in zip(kept, rows, strict=True)]
    return DevSet(
        task_ids=tuple(task_ids[i] for i in kept),
        attempts=tuple(len(row) for row in rows),
        correct=tuple(sum(row) for row in rows),
        clusters=tuple(clusters),
        answers=tuple(tuple(sorted(Counter(answers_P_G[i]).values())) for i in kept) if answers_P_G else (),
        strata=tuple(strata[i] for i in kept) if strata else (),
        tail=tuple(bool(tail[i]) for i in kept) if tail else (),
        items=dict(items or {}),
    )


def _cluster_counts(task_id: str, right: Sequence[bool], labels: Sequence[Hashable]) -> tuple[int, ...]:
    if len(labels) != len(right):
        raise DataError(
            f"dev set: task {task_id} has {len(right)} verdicts but {len(labels)} labels; give one per attempt"
        )
    return tuple(sorted(Counter(label for label, ok in zip(labels, right, strict=True) if ok).values()))


def freeze_strata(dev_set: DevSet) -> tuple[str, ...]:
    """Strata by round 0's pass rate: never (0), low (up to .25), middle (up to .75), high."""
    rates = [c / max(1, n) for c, n in zip(dev_set.correct, dev_set.attempts, strict=True)]
    return tuple("never" if r == 0 else "low" if r <= 0.25 else "middle" if r <= 0.75 else "high" for r in rates)


def dev_set_metrics(now: DevSet, first: DevSet | None = None, *, ks: Sequence[int] = (1, 4, 8)) -> dict[str, float]:
    """Flat keys of one round: value, `_lo`, `_hi`, and against `first` (round 0's attempts) also `_delta`, `_delta_lo`, ...

    Only tasks in both rounds are compared. Strata and tail are read from `first` where given, so they stay frozen.
    `ks` below 1 or above the attempts at hand are left out; `pass_at_n` uses all attempts. Keys: eval/pass_at_*,
    collapse_quality/, collapse_diversity/, collapse_tails/ of docs/collapse.md. No common task gives an empty dict.
    """
    base = first or now
    present = _attempted(now)
    common = [t for t in _attempted(base) if t in present]
    if not common:
        return {}
    pair = _Pair(now, base, common)
    columns_now = _columns(pair, now, ks)
    columns_first = _columns(pair, base, ks) if first is not None else {}
    columns_first.pop(UNSOLVED, None)
    out: dict[str, float] = {}
    for key, column in columns_now.items():
        out |= _reported(key, column, columns_first.get(key))
    out |= _polarisation_keys(pair, first is not None)
    if first is not None:
        out |= _support_keys(pair)
    return out | _item_keys(now, first)


def _attempted(dev_set: DevSet) -> dict[str, None]:
    """The tasks with attempts, in order; one that the dev set repeats is there once."""
    return dict.fromkeys(task for task, n in zip(dev_set.task_ids, dev_set.attempts, strict=True) if n > 0)


class Column(NamedTuple):
    """A figure by task: the metric is its weighted mean over tasks."""

    values: Floats
    weights: Floats
    """0 for a task that does not count."""
    low: float = 0.0
    high: float = 1.0
    trials: float = 1.0
    """Independent draws that a task's value is an average of: see `bounded_mean`."""


class _Pair:
    """Two rounds on their common tasks, in the same order, with the number of attempts that both can be rarefied to."""

    def __init__(self, now: DevSet, base: DevSet, common: list[str]) -> None:
        places = {id(p): {t: i for i, t in enumerate(p.task_ids)} for p in (now, base)}
        self.rows = {which: [place[t] for t in common] for which, place in places.items()}
        self.now, self.base = now, base
        self.m = min(min(p.attempts[i] for i in self.rows[id(p)]) for p in (now, base))

    def ints(self, dev_set: DevSet, values: Sequence[int]) -> Floats:
        """A per-task field of one round on the common tasks."""
        return np.asarray([values[i] for i in self.rows[id(dev_set)]], dtype=np.float64)

    def frozen(self, values: Sequence[Any]) -> list[Any]:
        """A field of the first round on the common tasks; empty where it was not given."""
        return [values[i] for i in self.rows[id(self.base)]] if values else []


def _columns(pair: _Pair, dev_set: DevSet, ks: Sequence[int]) -> dict[str, Column]:
    n, c = pair.ints(dev_set, dev_set.attempts), pair.ints(dev_set, dev_set.correct)
    clusters = [dev_set.clusters[i] for i in pair.rows[id(dev_set)]]
    ones, m = np.ones(c.size), pair.m
    out: dict[str, Column] = {}
    for name, k in [*((str(k), k) for k in ks if 1 <= k <= m), ("n", m)]:
        out[f"eval/pass_at_{name}"] = Column(1.0 - miss_chance(n, c, k), ones, trials=m / k)
        out[f"collapse_diversity/unique_correct_at_{name}"] = Column(_different(clusters, n, k), ones, high=k, trials=m)
    solved = out["eval/pass_at_n"].values
    out["collapse_quality/pass_gap"] = Column(solved - c / n, ones, trials=m)
    if m >= 2:
        out["collapse_diversity/pass_at_k_s"] = Column(_two_different(clusters, n, c, m), ones)
    out |= _mode_columns(pair, dev_set, clusters)
    out["collapse_tails/frac_all_fail"] = Column((c == 0).astype(np.float64), ones)
    out["collapse_tails/frac_all_pass"] = Column((c == n).astype(np.float64), ones)
    out |= _group_columns(pair, dev_set, solved)
    if dev_set.answers and m >= 2:
        never = (pair.ints(pair.base, pair.base.correct) == 0).astype(np.float64)
        answers = [dev_set.answers[i] for i in pair.rows[id(dev_set)]]
        different, effective = _different(answers, n, m), np.exp(_entropy_in(answers, n, m))
        out["collapse_diversity/unconditional_hill1"] = Column(effective, ones, 1.0, m, m)
        out[UNSOLVED] = Column(different, never, 1.0, m, m)
    return out


def _group_columns(pair: _Pair, dev_set: DevSet, solved: Floats) -> dict[str, Column]:
    """pass@n on the rare tasks and in each stratum, as frozen at round 0."""
    out: dict[str, Column] = {}
    tail = np.asarray(pair.frozen(pair.base.tail), dtype=np.float64)
    if tail.any():
        out["collapse_tails/rare_strata_pass_at_n"] = Column(solved, tail)
        if not (dev_set.items and pair.base.items):
            out["collapse_tails/rare_item_coverage"] = Column(solved, tail)
    strata = pair.frozen(pair.base.strata)
    for name in sorted(set(strata)):
        inside = np.asarray([s == name for s in strata], dtype=np.float64)
        out[f"collapse_tails/pass_at_n_in_{re.sub(r'[^A-Za-z0-9]+', '_', name)}"] = Column(solved, inside)
    return out


def _flat(clusters: Sequence[Sequence[int]]) -> tuple[Floats, Ints]:
    """All cluster counts in one array, and the task that each belongs to."""
    each = np.asarray([count for row in clusters for count in row], dtype=np.float64)
    return each, np.repeat(np.arange(len(clusters)), [len(row) for row in clusters])


def _different(clusters: Sequence[Sequence[int]], n: Floats, k: int) -> Floats:
    """Expected number of clusters among k of n attempts, a task: `passes.unique_correct_at_k` for all tasks at once."""
    each, task = _flat(clusters)
    return np.asarray(np.bincount(task, 1.0 - miss_chance(n[task], each, k), n.size), dtype=np.float64)


def _entropy_in(clusters: Sequence[Sequence[int]], n: Floats, k: int) -> Floats:
    """Expected Shannon entropy (nats) of the clusters among k of n attempts, a task, exact: each cluster's share i/k is
    hypergeometric. At k = n it is the plug-in value; fewer draws make tasks and rounds comparable."""
    each, task = _flat(clusters)
    log_fact = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, max(int(n.max(initial=1)), 1) + 1)))])

    def log_choose(a: Floats, b: Floats) -> Floats:
        inside = (b >= 0) & (b <= a)
        top, low = a.astype(int), np.where(inside, b, 0).astype(int)
        return np.where(inside, log_fact[top] - log_fact[low] - log_fact[top - low], -np.inf)

    out, rest, whole = np.zeros(n.size), n[task] - each, log_choose(n[task], np.full(each.size, float(k)))
    for i in range(1, k + 1):
        drawn = np.full(each.size, float(i))
        chance = np.exp(log_choose(each, drawn) + log_choose(rest, k - drawn) - whole)
        out += np.bincount(task, chance, n.size) * -(i / k) * np.log(i / k)
    return out


def _two_different(clusters: Sequence[Sequence[int]], n: Floats, c: Floats, k: int) -> Floats:
    """Chance of two clusters or more among k attempts: `passes.pass_at_k_s` with s = 2, whose polynomial has two terms
    below y^2: no right attempt, or right ones of a single cluster."""
    each, task = _flat(clusters)
    none = miss_chance(n, c, k)
    single = np.bincount(task, miss_chance(n[task], (c[task] - each), k) - none[task], n.size)
    return np.clip(1.0 - none - single, 0.0, 1.0)


def _polarisation_keys(pair: _Pair, compared: bool) -> dict[str, float]:
    """How far tasks are always or never solved, and its change; without intervals, since none holds at low pass rates."""
    key, found = "collapse_tails/polarisation", dict[int, float]()
    for dev_set in (pair.now, pair.base):
        n, c = pair.ints(dev_set, dev_set.attempts), pair.ints(dev_set, dev_set.correct)
        try:
            found[id(dev_set)] = polarisation(n, c)
        except EmptyMetric:
            continue
    now, before = found.get(id(pair.now)), found.get(id(pair.base))
    out = {key: now} if now is not None else {}
    return out | ({f"{key}_delta": now - before} if compared and now is not None and before is not None else {})


def _mode_columns(pair: _Pair, dev_set: DevSet, clusters: list[tuple[int, ...]]) -> dict[str, Column]:
    """Variety among the right attempts, on tasks that have enough of them in both rounds."""
    both = np.minimum(pair.ints(pair.now, pair.now.correct), pair.ints(pair.base, pair.base.correct))
    c, m = pair.ints(dev_set, dev_set.correct), pair.m
    one = (both >= 1).astype(np.float64)
    two, four = (both >= 2).astype(np.float64), (both >= RARE_DRAWS).astype(np.float64)
    each, task = _flat(clusters)
    alike = np.bincount(task, each * (each - 1), c.size)
    enough, fewer = np.maximum(c, RARE_DRAWS), RARE_DRAWS - 1
    spread = np.where(four > 0, _different(clusters, enough, RARE_DRAWS), 1.0)
    entropy = np.where(four > 0, _entropy_in(clusters, enough, RARE_DRAWS), 0.0)
    news = np.where(four > 0, spread - _different(clusters, enough, fewer), 0.0)
    drawn = fewer * m / RARE_DRAWS
    different = _different(clusters, pair.ints(dev_set, dev_set.attempts), m)
    return {
        "collapse_diversity/unique_correct_per_solved": Column(different, one, high=m, trials=m),
        "collapse_diversity/heterozygosity": Column(1 - alike / np.maximum(c * (c - 1), 1), two, trials=m / 2),
        "collapse_diversity/hill0_rarefied": Column(spread, four, 1.0, RARE_DRAWS, drawn),
        "collapse_diversity/behaviour_entropy": Column(entropy, four, 0.0, math.log(RARE_DRAWS), drawn),
        "collapse_tails/good_turing_unseen": Column(news, four, trials=m / RARE_DRAWS),
    }


def _reported(key: str, now: Column, first: Column | None) -> dict[str, float]:
    """The mean over tasks and its change, which is paired over the same tasks with the same weights."""
    if not now.weights.any():
        return {}
    out = bounded_mean(now.values, now.weights, low=now.low, high=now.high, trials=now.trials).keyed(key)
    if first is not None:
        span = now.high - now.low
        change = paired_delta(now.values, first.values, now.weights, span=span, trials=now.trials)
        out |= change.keyed(f"{key}_delta")
    return out


def _support_keys(pair: _Pair) -> dict[str, float]:
    """Retention against what chance alone would keep, and expansion, at the common number of attempts."""
    n0, c0 = pair.ints(pair.base, pair.base.attempts), pair.ints(pair.base, pair.base.correct)
    n1, c1 = pair.ints(pair.now, pair.now.attempts), pair.ints(pair.now, pair.now.correct)
    s0, s1 = 1.0 - miss_chance(n0, c0, pair.m), 1.0 - miss_chance(n1, c1, pair.m)
    expansion = bounded_mean((1 - s0) * s1).keyed("collapse_tails/support_expansion")
    if not s0.any():
        return expansion
    pooled = np.maximum(np.round((c0 / n0 + c1 / n1) * pair.m), (c0 + c1) > 0)  # what was solved once stays so
    q = np.where(pooled > 0, miss_chance(2.0 * pair.m, pooled, pair.m), 1.0)
    kept, either = np.where(pooled > 0, 1 - 2 * q, 0.0), 1 - q
    change, expected = _beyond_chance(s0, s1, kept, either)
    key = "collapse_tails/support_retention"
    out = bounded_mean(s1, s0).keyed(key) | {f"{key}_expected": expected}
    return out | change.keyed(f"{key}_delta") | expansion


def _beyond_chance(s0: Floats, s1: Floats, kept: Floats, either: Floats) -> tuple[Estimate, float]:
    """Retention minus `passes.expected_retention`, and the latter.

    The interval is Student's t on the linearised difference, with the variance of one more lost task added: where no
    task was lost, luck may still lose the next one.
    """
    solved, expected = float(s0.sum()), float(kept.sum() / either.sum())
    retention = float((s0 * s1).sum()) / solved
    moved = s0 * (s1 - retention) / solved - (kept - expected * either) / float(either.sum())
    half = t975(max(7, int(solved) - 1)) * math.sqrt(float((moved**2).sum()) + 1 / solved**2)
    value = retention - expected
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), int(solved)), expected


def _item_keys(now: DevSet, first: DevSet | None) -> dict[str, float]:
    """Coverage of the frozen rare items: the share still met in a fixed draw; items are the units."""
    names = sorted(first.items if first is not None else now.items)
    if not names or not now.items:
        return {}
    ones = np.ones(len(names))
    met = Column(np.asarray([now.items.get(name, 0) > 0 for name in names], dtype=np.float64), ones)
    before = None
    if first is not None:
        before = Column(np.asarray([first.items[name] > 0 for name in names], dtype=np.float64), ones)
    return _reported("collapse_tails/rare_item_coverage", met, before)
