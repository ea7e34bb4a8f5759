"""The alarm rules over dev tasks: has the student lost what it could do, beyond chance, and how sure is that?

Four keys, each a test on the same tasks in two rounds:

- `dev_accuracy`: greedy outcomes of all dev tasks; the larger p of an exact sign test and a paired t test with a margin
- `task_rate`: each sampled task's share of right attempts at temperature 1; paired t test with the margin
- `human_text`: human texts whose nats per token rose clearly against those whose fell as clearly; sign test
- `variety`: the chance that two right attempts at a task differ; bad where more than half of the reference's is lost

Rounds are compared with round 0 and with the incumbent, the last round that clearly beat the incumbent before it (or that has no
task in common with it), in one round and in the mean of the last three; Bonferroni within a key. Level 1: a key has p
<= warn / m, with m keys that can be
judged. Level 2: the same key has it in two rounds running, or p <= alarm / (T m) at once, with T planned rounds (alpha
spending, which holds however rounds depend on one another). What cannot be judged is blind, with the reason; see `blindness`.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfplay.collapse.dev_history import History
from selfplay.collapse.estimate import Floats
from selfplay.collapse.paired_tests import mean_fell, sign_test

Flags = NDArray[np.bool_]
Places = NDArray[np.int64]
KEYS = ("dev_accuracy", "task_rate", "human_text", "variety")
METRIC_OF = {
    "dev_accuracy": "eval/greedy_accuracy",
    "task_rate": "eval/pass_at_1",
    "human_text": "collapse_quality/human_nll",
    "variety": "collapse_diversity/heterozygosity",
}
"""The metric whose fall (or rise) each key judges."""
COMPARISONS = ("round 0", "round 0, mean", "incumbent", "incumbent, mean")
"""What a key compares: one round or the mean of the last ones, with round 0 or with the incumbent."""


@dataclass(frozen=True)
class DevRules:
    """The numbers of the rules; `dev_rules.json` holds them, and its meaning is in the module's docstring."""

    warn: float
    alarm: float
    margin: float
    """Fall of a mean that is not minded."""
    window: int
    """Rounds in a mean."""
    incumbent: float
    """p of the sign test at which a round becomes the incumbent."""
    fewest: int
    """Fewest tasks or texts that could fall; below it a key is blind."""
    human_rise_nats: float
    human_rise_share: float
    variety_warn: float
    variety_lost: float
    best: float
    """p of the sign test above which a round is not worse than the one with the highest accuracy."""
    folds: int
    """Folds of dev tasks for `eval/best_unbiased`."""
    power: float
    """Power of the smallest fall that is told."""
    discordance: float
    """Share of dev tasks whose outcome differs between two equal rounds, where none were compared yet."""
    fall: float
    """Fall of the dev accuracy that a dev set should show; a run whose dev set cannot says so."""


@lru_cache
def dev_rules() -> DevRules:
    """The package's rules."""
    data = json.loads(_text())
    return DevRules(**{name: value for name, value in data.items() if name not in ("version", "about")})


def rules_hash() -> str:
    """The sha256 of the rule file, which a simulation writes into its results."""
    return sha256(_text().encode()).hexdigest()


def _text() -> str:
    return files("selfplay.collapse").joinpath("dev_rules.json").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Judged:
    """Every round of every run, judged by itself and its ancestors. `K` keys in the order of KEYS."""

    p_R_T_K: Floats
    """The key's p, Bonferroni over its comparisons; NaN where it is blind."""
    warned_R_T_K: Flags
    bad_R_T_K: Flags
    """Warned of something that two rounds running make level 2."""
    level_R_T: Places
    """0, 1 or 2."""
    incumbent_R_T: Places
    """The incumbent that the round is compared with."""
    human_incumbent_R_T: Places
    back_R_T: Places
    """The round to which a roll-back of this round returns: the last incumbent at which no key was warned; 0 if there was none."""
    clearest_R_T_K: Places
    """Place in COMPARISONS of the smallest p; of `human_text` always 2, its own incumbent."""


def judge(history: History, *, planned: int, rules: DevRules | None = None) -> Judged:
    """Judges all rounds. `planned`: rounds that the run will have after round 0; more that exist count instead."""
    rules = rules or dev_rules()
    runs, rounds = history.runs, history.rounds
    shape = (runs, rounds, len(KEYS))
    p, clearest = np.full(shape, np.nan), np.zeros(shape, np.int64)
    warned, bad = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    level = np.zeros((runs, rounds), np.int64)
    incumbents, human, back = (np.zeros((runs, rounds + 1), np.int64) for _ in range(3))
    total = max(planned, rounds - 1, 1)
    for t in range(1, rounds):
        inc, quiet_p = incumbents[:, t], np.full((runs, len(KEYS)), np.nan)
        p[:, t, 0], clearest[:, t, 0] = _dev_accuracy(history.greedy_R_T_P, t, inc, rules)
        p[:, t, 1], clearest[:, t, 1] = _task_rate(history.rates_R_T_Q, t, inc, rules)
        p[:, t, 2], clearest[:, t, 2] = _human_text(history.nats_R_T_D, t, human[:, t], rules), 2
        p[:, t, 3], clearest[:, t, 3] = _variety(history.differ_R_T_Q, t, inc, 1 - rules.variety_lost, rules)
        quiet_p[:] = p[:, t]
        quiet_p[:, 3], _ = _variety(history.differ_R_T_Q, t, inc, 1 - rules.variety_warn, rules)
        judged = np.maximum((~np.isnan(p[:, t])).sum(1), 1)[:, None]
        bad[:, t] = _at_most(p[:, t], rules.warn / judged)
        warned[:, t] = bad[:, t] | _at_most(quiet_p, rules.warn / judged)
        at_once = _at_most(p[:, t], rules.alarm / (total * judged))
        twice = bad[:, t] & bad[:, t - 1]
        level[:, t] = np.where((at_once | twice).any(1), 2, warned[:, t].any(1))
        beats = _beats(history.greedy_R_T_P, t, inc, rules)
        incumbents[:, t + 1] = np.where(beats, t, inc)
        likelier = _likelier(history.nats_R_T_D, t, human[:, t], rules)
        human[:, t + 1] = np.where(likelier, t, human[:, t])
        back[:, t + 1] = np.where(beats & ~warned[:, t].any(1), t, back[:, t])
    kept = slice(None, rounds)
    return Judged(p, warned, bad, level, incumbents[:, kept], human[:, kept], back[:, kept], clearest)


def next_back(history: History, judged: Judged, rules: DevRules | None = None) -> int:
    """The round to which a roll-back of the round after the last one would return, of a single run."""
    rules, t = rules or dev_rules(), history.rounds - 1
    if t < 1 or judged.warned_R_T_K[0, t].any():
        return int(judged.back_R_T[0, t])
    beats = _beats(history.greedy_R_T_P, t, judged.incumbent_R_T[:, t], rules)
    return t if bool(beats[0]) else int(judged.back_R_T[0, t])


def _at_most(p: Floats, bar: Any) -> Flags:
    """Whether p is at most the bar; never where p is NaN."""
    return np.asarray(np.where(np.isnan(p), np.inf, p) <= bar)


def chosen(values_R_T_P: Floats, rounds_R: Places) -> Floats:
    """Each run's values in a round of its own."""
    return np.asarray(values_R_T_P[np.arange(len(rounds_R)), rounds_R])


def recent(values_R_T_P: Floats, t: int, after_R: Places, window: int) -> Floats:
    """The mean of the last `window` rounds up to t, of those after `after_R`."""
    out = values_R_T_P[:, t].copy()
    length_R = np.minimum(t - after_R, window)
    for length in range(2, window + 1):
        rows = length_R == length
        if bool(rows.any()):
            out[rows] = values_R_T_P[rows, t - length + 1 : t + 1].mean(1)
    return out


def _compared(values_R_T_P: Floats, t: int, inc_R: Places, rules: DevRules, test: Any) -> tuple[Floats, Places]:
    """The smallest p of a key's comparisons, times their number, and its place. `test(now, then, single)` gives p by run.

    A comparison counts where `fewest` tasks at least are above 0 then and known now, so that they could fall. The mean of
    the last rounds says nothing where the latest one is not below the reference: it has recovered.
    """
    found = []
    for against, earlier in ((0, np.zeros_like(inc_R)), (2, inc_R)):
        then = chosen(values_R_T_P, earlier)
        for single in (True, False):
            now = values_R_T_P[:, t] if single else recent(values_R_T_P, t, earlier, rules.window)
            could = ((then > 0) & ~np.isnan(now)).sum(1) >= rules.fewest
            valid = could & (single | (t - earlier >= 2)) & ((against == 0) | (inc_R > 0))
            p = np.full(len(inc_R), np.nan)
            if bool(valid.any()):
                p[valid] = test(now[valid], then[valid], single)
            recovered = valid & (np.nansum(values_R_T_P[:, t] - then, 1) >= 0)
            p = np.where(recovered & (not single), 1.0, p)
            found.append(p)
    each = np.stack(found, 1)
    known = ~np.isnan(each)
    filled = np.where(known, each, np.inf)
    smallest = np.where(known.any(1), filled.min(1), np.nan) * known.sum(1)
    return np.minimum(smallest, 1.0), filled.argmin(1)


def _dev_accuracy(greedy_R_T_P: Floats, t: int, inc_R: Places, rules: DevRules) -> tuple[Floats, Places]:
    def test(now: Floats, then: Floats, single: bool) -> Floats:
        p = mean_fell(now - then, rules.margin)
        return np.maximum(p, sign_test((now < then).sum(1), (now > then).sum(1))) if single else p

    return _compared(greedy_R_T_P, t, inc_R, rules, test)


def _task_rate(rates_R_T_Q: Floats, t: int, inc_R: Places, rules: DevRules) -> tuple[Floats, Places]:
    return _compared(rates_R_T_Q, t, inc_R, rules, lambda now, then, single: mean_fell(now - then, rules.margin))


def _variety(differ_R_T_Q: Floats, t: int, inc_R: Places, kept: float, rules: DevRules) -> tuple[Floats, Places]:
    """Whether less than the share `kept` of the reference's variety is left."""
    return _compared(differ_R_T_Q, t, inc_R, rules, lambda now, then, single: mean_fell(now - kept * then))


def count_moved(now: Floats, then: Floats, rules: DevRules) -> tuple[Floats, Floats]:
    """Numbers of texts that became clearly less likely and clearly likelier, over the last axis."""
    common = ~np.isnan(now) & ~np.isnan(then)
    mean = np.where(common, then, 0.0).sum(-1) / np.maximum(common.sum(-1), 1)
    bar = np.maximum(rules.human_rise_nats, rules.human_rise_share * mean)[..., None]
    return (now - then > bar).sum(-1), (then - now > bar).sum(-1)


def _human_text(nats_R_T_D: Floats, t: int, inc_R: Places, rules: DevRules) -> Floats:
    now, then = nats_R_T_D[:, t], chosen(nats_R_T_D, inc_R)
    enough = (~np.isnan(now) & ~np.isnan(then)).sum(1) >= rules.fewest
    return np.where(enough, sign_test(*count_moved(now, then, rules)), np.nan)


def _likelier(nats_R_T_D: Floats, t: int, inc_R: Places, rules: DevRules) -> Flags:
    """Whether human text is clearly likelier than at its incumbent, so that the round becomes it."""
    change = nats_R_T_D[:, t] - chosen(nats_R_T_D, inc_R)
    p = sign_test((change < 0).sum(1), (change > 0).sum(1))
    clearly = (p <= rules.incumbent) & (np.where(np.isnan(change), 0.0, change).sum(1) < 0)
    return np.asarray(clearly | _in_its_stead(nats_R_T_D, t, inc_R))


def _beats(greedy_R_T_P: Floats, t: int, inc_R: Places, rules: DevRules) -> Flags:
    now, then = greedy_R_T_P[:, t], chosen(greedy_R_T_P, inc_R)
    clearly = sign_test((now > then).sum(1), (now < then).sum(1)) <= rules.incumbent
    return np.asarray(clearly | _in_its_stead(greedy_R_T_P, t, inc_R))


def _in_its_stead(values_R_T_P: Floats, t: int, inc_R: Places) -> Flags:
    """Whether a round was measured and has nothing in common with its incumbent, which was not measured or had another dev set.

    Such a round becomes the incumbent: else nothing after it could be judged.
    """
    now, then = ~np.isnan(values_R_T_P[:, t]), ~np.isnan(chosen(values_R_T_P, inc_R))
    return np.asarray(now.any(1) & ~(now & then).any(1))
