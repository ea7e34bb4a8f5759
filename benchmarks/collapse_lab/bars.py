"""The pre-registered bars of levels 1 and 2 held against an experiment's curves.

A bar that fails is reported as failed; nothing here is tuned to make one hold. Which bars a level can judge differs: level
1 has no tasks and no prompts, a short level 2 has too few rounds.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from benchmarks.collapse_lab.bigram import Curves, loss_slope
from benchmarks.collapse_lab.expressions import Member
from benchmarks.collapse_lab.laws import Check
from selfplay.collapse.estimate import Floats, slope

TEN = 10
"""The round the bars look at."""


def first_fall(values: Floats, share: float) -> float:
    """First round at which a curve has fallen by that share of its start; infinity for never."""
    hit = np.flatnonzero(values <= (1 - share) * values[0])
    return float(hit[0]) if hit.size else float("inf")


def first_rise(values: Floats, share: float) -> float:
    """First round at which a curve has risen by that share of its start; infinity for never."""
    hit = np.flatnonzero(values >= (1 + share) * values[0])
    return float(hit[0]) if hit.size else float("inf")


def _least(name: str, bar: float, measured: float) -> Check:
    return Check(name, bar, measured, f">= {bar:.3g}", bool(measured >= bar))


def _most(name: str, bar: float, measured: float) -> Check:
    return Check(name, bar, measured, f"<= {bar:.3g}", bool(measured <= bar))


def _ordered(name: str, ends: Sequence[float]) -> Check:
    """Losses in falling order; measured is the smallest gap between neighbours."""
    gap = min(a - b for a, b in pairwise(ends))
    return Check(name, 0.0, gap, "smallest gap >= 0", bool(gap >= 0))


FOUR = ("unfiltered_replace", "unfiltered_accsub", "unfiltered_accumulate", "oracle_fresh")
TAILS_FIRST = "4 seeds where rare items fall 20% before loss rises 5%"


def _tails_first(coverage_T_S: Floats, loss_T_S: Floats) -> tuple[int, int]:
    """In how many seeds coverage fell by a fifth before the loss rose by a twentieth, of how many."""
    seeds = coverage_T_S.shape[1]
    early = [first_fall(coverage_T_S[:, s], 0.2) < first_rise(loss_T_S[:, s], 0.05) for s in range(seeds)]
    return sum(early), seeds


def _rise(loss: Floats) -> float:
    last = min(TEN, loss.shape[0] - 1)
    return float(loss[last].mean() - loss[1].mean())


def level_1(curves: Mapping[str, Curves]) -> list[Check]:
    """Bars 1, 2, 3, 4, 6 (the variety half) and 8 on the bigram language."""
    loss = {arm: np.asarray(c.loss) for arm, c in curves.items()}
    replace, gather = loss["unfiltered_replace"], loss["unfiltered_accumulate"]
    mean, low, _ = loss_slope(curves["unfiltered_replace"])
    still = max(abs(x) for x in loss_slope(curves["oracle_fresh"]))
    late = slope(gather.mean(axis=1)[-5:].tolist())
    excess = float((replace[TEN] - replace[0]).mean() / (gather[TEN] - gather[0]).mean())
    early, seeds = _tails_first(np.asarray(curves["unfiltered_replace"].coverage), replace)
    variety, gathered = (curves[arm].mean("variety") for arm in ("verified_replace", "verified_accumulate"))
    rise = 0.2 / float(replace[0].mean())
    hot, plain = (first_rise(loss[arm].mean(axis=1), rise) for arm in ("replace_tau_0.7", "unfiltered_replace"))
    return [
        _least("1 replace: loss slope a round, lower end", 0.0, low),
        _least("1 replace: loss slope over the fresh arm's", 5.0, mean / still),
        _least("1 replace: loss at round 10 minus round 1", 0.2, _rise(replace)),
        _most("2 accumulate: loss at round 10 minus round 1", 0.05, _rise(gather)),
        _most("2 accumulate: slope of the last five rounds", 0.01, late.value),
        _least("2 excess loss, replace over accumulate, round 10", 5.0, excess),
        _ordered("3 loss: replace > subsample > accumulate > fresh", [float(loss[arm][TEN].mean()) for arm in FOUR]),
        _least(TAILS_FIRST, float(seeds), float(early)),
        _most("6 verified replace: unique correct kept", 0.7, float(variety[TEN] / variety[0])),
        _least("6 verified accumulate: unique correct kept", 0.8, float(gathered[TEN] / gathered[1])),
        _most("8 temperature 0.7: rounds to +0.2", plain / 2, hot),
    ]


def _table(members: Sequence[Member], key: str) -> dict[str, Floats]:
    """By arm: the key by round and seed (T, S)."""
    grouped: dict[str, list[list[float]]] = defaultdict(list)
    for member in members:
        grouped[member.arm].append([float(row.get(key, np.nan)) for row in member.rows])
    return {arm: np.asarray(rows).T for arm, rows in grouped.items()}


def level_2(members: Sequence[Member]) -> list[Check]:
    """The bars that this experiment's arms and rounds can judge; those whose arm or tenth round is missing are left out."""
    loss, tails = _table(members, "loss"), _table(members, "collapse_tails/rare_item_coverage")
    unique, right = _table(members, "collapse_diversity/unique_correct_at_16"), _table(members, "eval/pass_at_1")
    levels = _table(members, "level")
    rounds = next(iter(loss.values())).shape[0] - 1
    out: list[Check] = []
    if "unfiltered_replace" in loss:
        early, seeds = _tails_first(tails["unfiltered_replace"], loss["unfiltered_replace"])
        out.append(_least(TAILS_FIRST, float(seeds), float(early)))
    for arm, by in (("replace_tau_0.7", 3), ("verified_replace", 5)):
        if arm in levels and rounds >= by:
            rung = float((levels[arm][: by + 1].max(axis=0) >= 2).mean())
            out.append(_least(f"9 {arm}: share of seeds at level 2 by round {by}", 1.0, rung))
    if "oracle_fresh" in levels:
        out.append(_most("9 oracle_fresh: rounds at level 2", 0.0, float((levels["oracle_fresh"] >= 2).sum())))
    return out + _long_bars(loss, unique, right) if rounds >= TEN else out


def _long_bars(loss: dict[str, Floats], unique: dict[str, Floats], right: dict[str, Floats]) -> list[Check]:
    """Bars 1, 2, 3, 6, 7 and 8, which need ten rounds; an absent arm leaves its bars out."""
    out: list[Check] = []
    if set(FOUR) <= set(loss):
        fit = slope(loss["unfiltered_replace"].mean(axis=1).tolist())
        still = abs(slope(loss["oracle_fresh"].mean(axis=1).tolist()).value)
        out += [
            _least("1 replace: loss slope a round, lower end", 0.0, fit.lo),
            _least("1 replace: loss slope over the fresh arm's", 5.0, fit.value / max(still, 1e-9)),
            _least("1 replace: loss at round 10 minus round 1", 0.2, _rise(loss["unfiltered_replace"])),
            _most("2 accumulate: loss at round 10 minus round 1", 0.05, _rise(loss["unfiltered_accumulate"])),
            _ordered("3 loss: replace > subsample > accumulate > fresh", [float(loss[a][TEN].mean()) for a in FOUR]),
        ]
    if {"verified_replace", "verified_accumulate"} <= set(loss):
        u, a = unique["verified_replace"].mean(axis=1), unique["verified_accumulate"].mean(axis=1)
        gain = float(right["verified_replace"][TEN].mean() - right["verified_replace"][0].mean())
        out += [
            _least("6 verified replace: pass@1 gained", 0.0, gain),
            _most("6 verified replace: unique correct kept", 0.7, float(u[TEN] / u[0])),
            _least("6 verified accumulate: unique correct kept", 0.8, float(a[TEN] / a[1])),
        ]
    if {"verified_balanced", "verified_accumulate"} <= set(loss):
        b = unique["verified_balanced"].mean(axis=1)
        near = float(right["verified_balanced"][TEN].mean() - right["verified_accumulate"][TEN].mean())
        out.append(_least("7 balanced: unique correct kept", 1.0, float(b[TEN] / b[1])))
        out.append(_least("7 balanced: pass@1 above accumulate's", -0.02, near))
    if {"replace_tau_0.7", "unfiltered_replace"} <= set(loss):
        rise = 0.2 / float(loss["unfiltered_replace"][0].mean())
        hot, plain = (first_rise(loss[arm].mean(axis=1), rise) for arm in ("replace_tau_0.7", "unfiltered_replace"))
        out.append(_most("8 temperature 0.7: rounds to +0.2", plain / 2, hot))
    return out
