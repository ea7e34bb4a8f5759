"""The alarm of one round in words and figures: what fell, what could not be judged, and the smallest fall that would be seen.

`alarm_of` judges the last of a run's rounds by the rules of `dev_rules`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from selfplay.collapse.dev_history import DevRound, History, history_of
from selfplay.collapse.dev_rules import KEYS, DevRules, Judged, count_moved, dev_rules, judge, next_back, recent
from selfplay.collapse.estimate import Floats
from selfplay.collapse.paired_tests import minimum_detectable_fall, tasks_needed

NAMES = {
    "dev_accuracy": "dev accuracy",
    "task_rate": "pass rate at temperature 1",
    "human_text": "human text",
    "variety": "variety of right solutions",
}
UNITS = {"dev_accuracy": "tasks", "task_rate": "tasks", "human_text": "texts", "variety": "tasks"}


@dataclass(frozen=True)
class DevAlarm:
    """What the dev tasks say about one round."""

    level: int
    """0 quiet, 1 bad in this round, 2 in two rounds running or clearly at once."""
    reasons: list[str] = field(default_factory=list)
    """One sentence per key that is bad, the clearest first."""
    keys: tuple[str, ...] = ()
    """The keys that are bad, in the same order."""
    p: dict[str, float] = field(default_factory=dict)
    """p by key; a key that cannot be judged is missing."""
    blind: dict[str, str] = field(default_factory=dict)
    """Why a key cannot be judged, by key."""
    smallest_fall: dict[str, float] = field(default_factory=dict)
    """The smallest lasting fall that a round shows with 80 % power, by key: of the accuracy, of the mean pass rate, of the share of
    human texts, of the share of the variety. Missing where no fall could be shown."""
    incumbent: int = 0
    """The round that this one is compared with beside round 0, and to which a roll-back of it returns if no key was bad there."""
    back: int = 0
    """The round to which a roll-back of this round returns."""
    next_back: int = 0
    """The round to which a roll-back of the next one would return."""


def alarm_of(rounds: Sequence[DevRound], *, planned: int, rules: DevRules | None = None) -> DevAlarm:
    """Judges the last round. `rounds`: it and its ancestors, oldest first; `planned`: rounds after round 0."""
    rules = rules or dev_rules()
    if not rounds:
        return DevAlarm(0, blind=dict.fromkeys(KEYS, "there is no round yet"))
    history = history_of(rounds)
    judged = judge(history, planned=planned, rules=rules)
    t = len(rounds) - 1
    p = {key: float(judged.p_R_T_K[0, t, k]) for k, key in enumerate(KEYS) if not np.isnan(judged.p_R_T_K[0, t, k])}
    bad = sorted((key for key in KEYS if judged.warned_R_T_K[0, t, KEYS.index(key)]), key=lambda key: p[key])
    told = [_Told(rounds, history, judged, rules, t, key) for key in bad]
    blind = {key: _blindness(rounds, history, judged, rules, key) for key in KEYS if key not in p}
    smallest = _smallest_falls(history, judged, rules, t, list(p)) if t else _at_start(history, rules)
    blind |= {key: "not even a total loss would be seen for sure" for key in p if smallest[key] is None}
    return DevAlarm(
        level=int(judged.level_R_T[0, t]),
        reasons=[one.sentence() for one in told],
        keys=tuple(bad),
        p=p,
        blind={key: why for key, why in blind.items() if why},
        smallest_fall={key: fall for key, fall in smallest.items() if fall is not None},
        incumbent=rounds[int(judged.incumbent_R_T[0, t])].number,
        back=rounds[int(judged.back_R_T[0, t])].number,
        next_back=rounds[next_back(history, judged, rules)].number,
    )


@dataclass(frozen=True)
class _Told:
    """One bad key of the last round, told by its clearest comparison."""

    rounds: Sequence[DevRound]
    history: History
    judged: Judged
    rules: DevRules
    t: int
    key: str

    def sentence(self) -> str:
        k = KEYS.index(self.key)
        p = f"p = {self.judged.p_R_T_K[0, self.t, k]:.2g}"
        twice = self.judged.bad_R_T_K[0, self.t, k] and self.judged.bad_R_T_K[0, self.t - 1, k]
        return f"{self._change()}, {p}{', the second round running' if twice else ''}"

    def _change(self) -> str:
        k = KEYS.index(self.key)
        place = int(self.judged.clearest_R_T_K[0, self.t, k])
        earlier = int(self.judged.incumbent_R_T[0, self.t]) if place >= 2 else 0
        if self.key == "human_text":
            return self._human(int(self.judged.human_incumbent_R_T[0, self.t]))
        values = {
            "dev_accuracy": self.history.greedy_R_T_P,
            "task_rate": self.history.rates_R_T_Q,
            "variety": self.history.differ_R_T_Q,
        }[self.key]
        now, then = recent(values, self.t, np.array([earlier]), self.rules.window)[0], values[0, earlier]
        if place % 2 == 0:
            now = values[0, self.t]
        common = ~np.isnan(now) & ~np.isnan(then)
        was, is_ = then[common].mean(), now[common].mean()
        since = "" if place % 2 == 0 else f", the mean of the last {min(self.rules.window, self.t - earlier)} rounds"
        said = f"{NAMES[self.key]} fell from {was:.2f} (round {self.rounds[earlier].number}) to {is_:.2f}{since}"
        lost, gained = int((now[common] < then[common]).sum()), int((now[common] > then[common]).sum())
        words = ("lost", "gained") if self.key == "dev_accuracy" and place % 2 == 0 else ("lower", "higher")
        return f"{said}: {lost} tasks {words[0]}, {gained} {words[1]}"

    def _human(self, earlier: int) -> str:
        values = self.history.nats_R_T_D[0]
        rose, fell = count_moved(values[self.t], values[earlier], self.rules)
        return f"human text is forgotten: {int(rose)} texts are clearly less likely than in round {self.rounds[earlier].number}, {int(fell)} likelier"


# ---- what cannot be judged ----


def _blindness(rounds: Sequence[DevRound], history: History, judged: Judged, rules: DevRules, key: str) -> str:
    """Why a key cannot be judged in the last round; "" in round 0, which has nothing to be compared with, if its data is there."""
    t = len(rounds) - 1
    reference = int((judged.human_incumbent_R_T if key == "human_text" else judged.incumbent_R_T)[0, t])
    values = {
        "dev_accuracy": history.greedy_R_T_P, "task_rate": history.rates_R_T_Q,
        "human_text": history.nats_R_T_D, "variety": history.differ_R_T_Q,
    }[key][0]  # fmt: skip
    first, now = (f"round {rounds[place].number}" for place in (reference, t))
    known = ~np.isnan(values[t])
    if not known.any():
        return f"{now} has {_nothing(key, rounds[t])}"
    if not t:
        return ""
    if np.isnan(values[reference]).all():
        return f"{first} has {_nothing(key, rounds[reference])}"
    common = known & ~np.isnan(values[reference])
    if not common.any():
        return f"no {UNITS[key][:-1]} of {now} was measured in {first} too: the dev set changed"
    if key == "human_text":
        return (
            f"only {common.sum()} texts are in both {first} and {now}; {rules.fewest} are the fewest that show anything"
        )
    could = int((common & (values[reference] > 0)).sum())
    what = {"variety": "show different right solutions"}.get(key, "were solved")
    return f"only {could} of {common.sum()} tasks {what} in {first}, so fewer than {rules.fewest} could fall"


def _nothing(key: str, one: DevRound) -> str:
    if key == "variety" and one.samples:
        return "no task with two right samples"
    return {
        "dev_accuracy": "no outcome of a dev task",
        "task_rate": "no samples of dev tasks",
        "human_text": "no likelihood of human text",
        "variety": "no samples of dev tasks",
    }[key]


# ---- the smallest fall that is seen ----


def smallest_fall(tasks: int, *, discordance: float | None = None, rules: DevRules | None = None) -> float | None:
    """The smallest lasting fall of the dev accuracy that so many dev tasks show with the rules' power; None: they show none.

    By exact calculation for the sign test at p = `warn`: by simulation (benchmarks/gate_power.py) that is the fall at which the
    dev accuracy alone raises level 2 within ten rounds, since correction for many looks and the many looks cancel. `discordance`:
    share of tasks whose outcome differs between two equal rounds; None: that of the rules.
    """
    rules = rules or dev_rules()
    share = rules.discordance if discordance is None else discordance
    return minimum_detectable_fall(tasks, alpha=rules.warn, discordance=share, power=rules.power)


def dev_tasks_needed(fall: float, power: float = 0.8, *, rules: DevRules | None = None) -> int:
    """How many dev tasks show a lasting fall of the dev accuracy by `fall` with this power. Raises DataError outside (0, 1)."""
    rules = rules or dev_rules()
    return tasks_needed(fall, alpha=rules.warn, discordance=rules.discordance, power=power)


def sight(tasks: int, *, rules: DevRules | None = None) -> str:
    """What a run says at its start if its dev set cannot show the fall that the rules name; "" if it can."""
    rules = rules or dev_rules()
    if tasks == 0:
        return (
            "there are no dev tasks, so the gate is blind: it sees no collapse, chooses no best round, and never stops"
        )
    least = smallest_fall(tasks, rules=rules)
    if least is not None and least <= rules.fall:
        return ""
    needed = f"{dev_tasks_needed(rules.fall, rules=rules)} dev tasks would show one of {rules.fall:.2f}"
    if least is None:
        return f"the gate is blind: {tasks} dev task{'s' * (tasks != 1)} can show no fall of the dev accuracy at all; {needed}"
    return f"the gate sees little: {tasks} dev tasks show a lasting fall of the dev accuracy only from {least:.3g} on (80 % power); {needed}"


def _at_start(history: History, rules: DevRules) -> dict[str, float | None]:
    """Round 0: the fall of the dev accuracy, with the discordance that the rules assume."""
    tasks = int((~np.isnan(history.greedy_R_T_P[0, 0])).sum())
    return {"dev_accuracy": smallest_fall(tasks, rules=rules)}


def _smallest_falls(
    history: History, judged: Judged, rules: DevRules, t: int, keys: Sequence[str]
) -> dict[str, float | None]:
    inc = int(judged.incumbent_R_T[0, t])
    found: dict[str, float | None] = {}
    for key in keys:
        if key == "dev_accuracy":
            found[key] = _by_sign(history.greedy_R_T_P[0], t, inc, 0.0, rules)
        elif key == "human_text":
            human = int(judged.human_incumbent_R_T[0, t])
            found[key] = _by_sign(-history.nats_R_T_D[0], t, human, rules.human_rise_nats, rules)
        elif key == "task_rate":
            values = history.rates_R_T_Q[0]
            found[key] = rules.margin + _detectable(values[t] - values[inc], rules)
        else:
            now, then = history.differ_R_T_Q[0, t], history.differ_R_T_Q[0, inc]
            kept = 1 - rules.variety_lost
            mean = then[~np.isnan(now - then)].mean() if (~np.isnan(now - then)).any() else 0.0
            found[key] = rules.variety_lost + _detectable(now - kept * then, rules) / mean if mean > 0 else None
    return {key: None if fall is None or fall > 1 else round(float(fall), 4) for key, fall in found.items()}


def _by_sign(values_T_P: Floats, t: int, reference: int, bar: float, rules: DevRules) -> float | None:
    """By the sign test on the tasks of this round and its reference, with the discordance of the consecutive rounds so far: twice
    the rarer direction of change; that of the rules where no two consecutive rounds have a task in common."""
    changes = np.diff(values_T_P[: t + 1], axis=0)
    known = ~np.isnan(changes)
    lost, gained = ((changes < -bar) & known).sum(1), ((changes > bar) & known).sum(1)
    compared = int(known.sum())
    rarer = 2 * float(np.minimum(lost, gained).sum())
    discordance = min(0.9, max(rarer, 1) / compared) if compared else rules.discordance
    common = int((~np.isnan(values_T_P[t]) & ~np.isnan(values_T_P[reference])).sum())
    return minimum_detectable_fall(common, alpha=rules.warn, discordance=discordance, power=rules.power)


HALF = 0.5


def _detectable(change: Floats, rules: DevRules) -> float:
    """By the normal law: the mean change that a t test at p = `warn` sees with the rules' power, from the spread over tasks.

    One more task that changed by half is added to the spread, so that equal changes are no certainty.
    """
    known = change[~np.isnan(change)]
    if known.size < 2:
        return math.inf
    spread = math.sqrt((float(known.var()) * known.size + HALF * HALF) / (known.size - 1))
    return (NormalDist().inv_cdf(1 - rules.warn) + NormalDist().inv_cdf(rules.power)) * spread / math.sqrt(known.size)
