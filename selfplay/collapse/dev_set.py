"""Attempts at the fixed dev set, compared between rounds: flat keys with intervals and paired changes to round 0.

`P` tasks, `G` attempts of one task, `B` bootstrap resamples. Intervals are percentile bootstraps over tasks (a task's
attempts are not independent); a change to round 0 draws the same tasks for both rounds. What has nothing to measure is
left out: a missing key is unknown, a 0 would read as collapse. Unequal attempts are rarefied to the smallest.
"""

import re
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from selfplay.collapse.estimate import Estimate, Floats, interval, resample_weights
from selfplay.collapse.passes import miss_chance
from selfplay.errors import DataError
from selfplay.textstats.hashing import Ints

RARE_DRAWS = 4
"""Right attempts that `hill0_rarefied` draws from each task."""


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
    rates = [c / n for c, n in zip(dev_set.correct, dev_set.attempts, strict=True)]
    return tuple("never" if r == 0 else "low" if r <= 0.25 else "middle" if r <= 0.75 else "high" for r in rates)


def freeze_tail(dev_set: DevSet) -> tuple[bool, ...]:
    """The rare tasks where none are tagged: pass rate up to .25 at round 0, never-solved ones included.

    Taking the never-solved in keeps chance from looking like loss: a tail of luckily solved tasks alone would fall
    in the next round by itself. Tags of the task set say better what is rare; give those where there are any.
    """
    return tuple(s in ("never", "low") for s in freeze_strata(dev_set))


def dev_set_metrics(
    now: DevSet, first: DevSet | None = None, *, ks: Sequence[int] = (1, 4, 8), resamples: int = 1000, seed: int = 0
) -> dict[str, float]:
    """Flat keys of one round: value, `_lo`, `_hi`, and against `first` (round 0's attempts) also `_delta`, `_delta_lo`, ...

    Only tasks in both rounds are compared. Strata and tail are read from `first` where given, so they stay frozen.
    `ks` above the attempts at hand are left out; `pass_at_n` uses all attempts. Keys: eval/pass_at_*,
    collapse_quality/, collapse_diversity/, collapse_tails/ of docs/collapse.md. No common task gives an empty dict.
    """
    base = first or now
    common = [t for t in base.task_ids if t in set(now.task_ids)]
    if not common:
        return {}
    pair = _Pair(now, base, common)
    weights = resample_weights(len(common), resamples, seed)
    columns_now, columns_first = _columns(pair, now, ks), _columns(pair, base, ks)
    out: dict[str, float] = {}
    for key, column in columns_now.items():
        reference = columns_first.get(key) if first is not None else None
        out |= _reported(key, column, reference, weights)
    out |= _polarisation_keys(pair, weights, first is not None)
    if first is not None:
        out |= _support_keys(pair, weights)
    return out | _item_keys(now, first, resamples, seed)


Column = tuple[Floats, Floats]
"""Per-task numerators and denominators: the metric is sum(numerator) / sum(denominator)."""


class _Pair:
    """Two rounds on their common tasks, in the same order, with the number of attempts that both can be rarefied to."""

    def __init__(self, now: DevSet, base: DevSet, common: list[str]) -> None:
        self.rows = {id(p): [p.task_ids.index(t) for t in common] for p in (now, base)}
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
    for name, k in [*((str(k), k) for k in ks if k <= m), ("n", m)]:
        out[f"eval/pass_at_{name}"] = (1.0 - miss_chance(n, c, k), ones)
        out[f"collapse_diversity/unique_correct_at_{name}"] = (_different(clusters, n, k), ones)
    solved = out["eval/pass_at_n"][0]
    out["collapse_quality/pass_gap"] = (solved - c / n, ones)
    if m >= 2:
        out["collapse_diversity/pass_at_k_s"] = (_two_different(clusters, n, c, m), ones)
    out |= _mode_columns(pair, dev_set, clusters)
    out["collapse_tails/frac_all_fail"] = ((c == 0).astype(np.float64), ones)
    out["collapse_tails/frac_all_pass"] = ((c == n).astype(np.float64), ones)
    tail = np.asarray(pair.frozen(pair.base.tail), dtype=np.float64)
    if tail.any():
        out["collapse_tails/rare_strata_pass_at_n"] = (solved * tail, tail)
        if not (dev_set.items and pair.base.items):
            out["collapse_tails/rare_item_coverage"] = (solved * tail, tail)
    strata = pair.frozen(pair.base.strata)
    for name in sorted(set(strata)):
        inside = np.asarray([s == name for s in strata], dtype=np.float64)
        out[f"collapse_tails/pass_at_n_in_{re.sub(r'[^A-Za-z0-9]+', '_', name)}"] = (solved * inside, inside)
    if dev_set.answers:
        never = (pair.ints(pair.base, pair.base.correct) == 0).astype(np.float64)
        answers = [dev_set.answers[i] for i in pair.rows[id(dev_set)]]
        out["collapse_diversity/unconditional_hill1"] = (np.exp(_entropy_in(answers, n, m)), ones)
        out["collapse_tails/unsolved_answer_diversity"] = (_different(answers, n, m) * never, never)
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


def _polarisation(pair: _Pair, dev_set: DevSet, weights: Floats) -> tuple[float, Floats]:
    """Var(rho) / mean (1 - mean) with its draws (see `passes.polarisation`); NaN where all or no attempt is right."""
    n, c = pair.ints(dev_set, dev_set.attempts), pair.ints(dev_set, dev_set.correct)
    square = np.where(n > 1, c * (c - 1) / np.maximum(n * (n - 1), 1), c / n)

    def spread(mean: Floats, squares: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((squares - mean**2) / (mean - mean**2))

    value = spread(np.asarray((c / n).mean()), np.asarray(square.mean()))
    return float(value), spread(weights @ (c / n), weights @ square)


def _polarisation_keys(pair: _Pair, weights: Floats, compared: bool) -> dict[str, float]:
    """How far tasks are always or never solved, and its paired change."""
    if pair.m < 2:
        return {}
    key, units = "collapse_tails/polarisation", weights.shape[1]
    value, draws = _polarisation(pair, pair.now, weights)
    out = _put(key, interval(value, draws, units)) if np.isfinite(value) else {}
    before, draws_before = _polarisation(pair, pair.base, weights)
    if out and compared and np.isfinite(before):
        out |= _put(f"{key}_delta", interval(value - before, draws - draws_before, units))
    return out


def _mode_columns(pair: _Pair, dev_set: DevSet, clusters: list[tuple[int, ...]]) -> dict[str, Column]:
    """Variety among the right attempts, on tasks that have enough of them in both rounds."""
    both = np.minimum(pair.ints(pair.now, pair.now.correct), pair.ints(pair.base, pair.base.correct))
    c = pair.ints(dev_set, dev_set.correct)
    one = (both >= 1).astype(np.float64)
    two, four = (both >= 2).astype(np.float64), (both >= RARE_DRAWS).astype(np.float64)
    each, task = _flat(clusters)
    alike = np.bincount(task, each * (each - 1), c.size)
    singles = np.asarray(np.bincount(task, each == 1, c.size), dtype=np.float64)
    differ = 1 - alike / np.maximum(c * (c - 1), 1)
    spread = _different(clusters, np.maximum(c, RARE_DRAWS), RARE_DRAWS)
    entropy = _entropy_in(clusters, np.maximum(c, RARE_DRAWS), RARE_DRAWS)
    n = pair.ints(dev_set, dev_set.attempts)
    return {
        "collapse_diversity/unique_correct_per_solved": (_different(clusters, n, pair.m) * one, one),
        "collapse_diversity/heterozygosity": (differ * two, two),
        "collapse_diversity/hill0_rarefied": (spread * four, four),
        "collapse_diversity/behaviour_entropy": (entropy * four, four),
        "collapse_tails/good_turing_unseen": (singles, c),
    }


def _ratio(column: Column, weights: Floats) -> tuple[float, Floats]:
    numerator, denominator = column
    total = float(denominator.sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        draws = (weights @ numerator) / (weights @ denominator)
    return (float(numerator.sum()) / total if total else float("nan")), draws


def _put(key: str, estimate: Estimate) -> dict[str, float]:
    return {key: estimate.value, f"{key}_lo": estimate.lo, f"{key}_hi": estimate.hi}


def _reported(key: str, now: Column, first: Column | None, weights: Floats) -> dict[str, float]:
    value, draws = _ratio(now, weights)
    if not np.isfinite(value):
        return {}
    units = now[0].size
    out = _put(key, interval(value, draws, units))
    if first is not None:
        before, draws_before = _ratio(first, weights)
        if np.isfinite(before):
            out |= _put(f"{key}_delta", interval(value - before, draws - draws_before, units))
    return out


def _support_keys(pair: _Pair, weights: Floats) -> dict[str, float]:
    """Retention against what chance alone would keep, and expansion, at the common number of attempts."""
    n0, c0 = pair.ints(pair.base, pair.base.attempts), pair.ints(pair.base, pair.base.correct)
    n1, c1 = pair.ints(pair.now, pair.now.attempts), pair.ints(pair.now, pair.now.correct)
    s0, s1 = 1.0 - miss_chance(n0, c0, pair.m), 1.0 - miss_chance(n1, c1, pair.m)
    pooled = np.round((c0 / n0 + c1 / n1) * pair.m)
    q = np.where(pooled > 0, miss_chance(2.0 * pair.m, pooled, pair.m), 0.5)
    seen = (pooled > 0).astype(np.float64)
    out = _reported("collapse_tails/support_retention", (s0 * s1, s0), ((1 - 2 * q) * seen, (1 - q) * seen), weights)
    if out:
        expected, _ = _ratio(((1 - 2 * q) * seen, (1 - q) * seen), weights)
        out["collapse_tails/support_retention_expected"] = expected
    return out | _reported("collapse_tails/support_expansion", ((1 - s0) * s1, np.ones(s0.size)), None, weights)


def _item_keys(now: DevSet, first: DevSet | None, resamples: int, seed: int) -> dict[str, float]:
    """Coverage of the frozen rare items: the share still met in a fixed draw, resampled over items."""
    names = sorted(first.items if first is not None else now.items)
    if not names or not now.items:
        return {}
    weights = resample_weights(len(names), resamples, seed + 1)
    met = np.asarray([now.items.get(name, 0) > 0 for name in names], dtype=np.float64)
    before = np.asarray([first.items[name] > 0 for name in names], dtype=np.float64) if first is not None else None
    ones = np.ones(met.size)
    reference = (before, ones) if before is not None else None
    return _reported("collapse_tails/rare_item_coverage", (met, ones), reference, weights)
