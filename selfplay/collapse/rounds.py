"""Compares many rounds of texts at one budget with one reference; one row per round, with its alarm.

The step from the first round to the second is often a change of author (human text, then a model), not collapse. So
where rounds start at 0 and there are three or more, alarms compare with the first round after it; name another with
`reference`.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from selfplay.collapse.alarms import Rules, alarms
from selfplay.collapse.dev_alarm import NAMES, DevAlarm, alarm_of
from selfplay.collapse.dev_history import DevRound
from selfplay.collapse.dev_rules import METRIC_OF
from selfplay.collapse.dev_set import DevSet, dev_set_metrics, dev_set_of
from selfplay.collapse.duplicates import text_hashes
from selfplay.collapse.estimate import wilson
from selfplay.collapse.texts import Budget, Reference, Row, budget_of, measure, reference_of
from selfplay.errors import ConfigError, DataError, EmptyMetric
from selfplay.textstats.ngrams import Units, units_of

MAX_TEXTS = 20_000


@dataclass
class RoundTexts:
    """One round's texts, thinned to a seeded uniform sample once there are more than `cap`; groups and verdicts beside."""

    cap: int = MAX_TEXTS
    seed: int = 0
    seen: int = 0
    texts: list[str] = field(default_factory=list)
    groups: list[Hashable] = field(default_factory=list)
    correct: list[bool | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        """A generator of its own, so that what is kept depends on the seed and the order of the file alone."""
        self._rng = np.random.default_rng(self.seed)

    def add(self, text: str, group: Hashable = None, correct: bool | None = None) -> None:
        """Reservoir sampling (Vitter 1985): every text seen so far is kept with equal chance."""
        self.seen += 1
        if len(self.texts) < self.cap:
            self.texts.append(text)
            self.groups.append(group)
            self.correct.append(correct)
            return
        place = int(self._rng.integers(self.seen))
        if place < self.cap:
            self.texts[place], self.groups[place], self.correct[place] = text, group, correct


def default_reference(rounds: Sequence[int]) -> int:
    """The round that alarms compare with: the second where rounds start at 0 and there are three or more, else the first."""
    ordered = sorted(rounds)
    return ordered[1] if len(ordered) > 2 and ordered[0] == 0 else ordered[0]


def profile(
    rounds: Mapping[int, Sequence[str] | RoundTexts],
    *,
    reference: int | Sequence[str] | None = None,
    rules: Rules | None = None,
    judged_only: bool = False,
    seed: int = 0,
) -> list[Row]:
    """One row per round, oldest first: the keys of `measure` at one budget, dev-set keys where verdicts are there, alarms.

    `reference`: a round's number, or texts to hold all rounds against; None: `default_reference`. Alarm keys:
    collapse_alarm/level (0..2 here), n_active, first_metric, blind (why the pass rate of a round with verdicts is not
    judged), `reasons`, and `smallest_changes` (see `alarms.smallest_changes`). An empty round gets its row with
    `collapse_data/texts` 0 and is judged by nothing. `judged_only`: see `measure`. Raises DataError for no round, ConfigError for an unknown one.
    """
    data = {number: _as_round(texts) for number, texts in sorted(rounds.items())}
    if not any(r.texts for r in data.values()):
        raise DataError("collapse: no round has a text; check the file and the text field")
    units: Units = units_of([t for r in data.values() for t in r.texts[:200]])
    given = reference if reference is not None and not isinstance(reference, int) else None
    budget = budget_of([r.texts for r in data.values() if r.texts] + ([given] if given else []), units)
    base = default_reference([n for n, r in data.items() if r.texts]) if reference is None else reference
    frozen = _frozen(data, base, budget, units, seed)
    read = partial(measure, reference=frozen, budget=budget, units=units, judged_only=judged_only, seed=seed)
    rows = [_row(n, r, read) for n, r in data.items()]
    dev_sets = {n: p for n, r in data.items() if (p := _dev_set(r)) is not None}
    _add_dev_sets(rows, dev_sets, base if isinstance(base, int) else None)
    return _with_alarms(rows, dev_sets, base, read, rules)


def _as_round(texts: Sequence[str] | RoundTexts) -> RoundTexts:
    if isinstance(texts, RoundTexts):
        return texts
    out = RoundTexts()
    for text in texts:
        out.add(text)
    return out


def _frozen(
    data: Mapping[int, RoundTexts], base: int | Sequence[str], budget: Budget, units: Units, seed: int
) -> Reference | None:
    if isinstance(base, int) and base not in data:
        raise ConfigError(f"collapse: reference round {base} is not in the file; it has rounds {sorted(data)}")
    texts = data[base].texts if isinstance(base, int) else base
    try:
        return reference_of(texts, budget, units=units, seed=seed)
    except EmptyMetric:
        return None


def _row(number: int, texts: RoundTexts, read: Callable[[Sequence[str]], Row]) -> Row:
    row: Row = {"round": number, **read(texts.texts)}
    row["collapse_data/texts_seen"] = texts.seen
    judged = [c for c in texts.correct if c is not None]
    if judged and all(group is None for group in texts.groups):
        rate = wilson(sum(judged), len(judged))
        row |= {"eval/pass_at_1": rate.value, "eval/pass_at_1_lo": rate.lo, "eval/pass_at_1_hi": rate.hi}
    return row


def _dev_set(texts: RoundTexts) -> DevSet | None:
    """Tasks by group, right ones clustered by equal text; None without groups or verdicts."""
    by_task: dict[Hashable, list[tuple[bool, Hashable]]] = defaultdict(list)
    labels = text_hashes(texts.texts).tolist()
    for group, correct, label in zip(texts.groups, texts.correct, labels, strict=True):
        if group is not None and correct is not None:
            by_task[group].append((correct, label))
    if not by_task:
        return None
    right = [[ok for ok, _ in row] for row in by_task.values()]
    named = [[label for _, label in row] for row in by_task.values()]
    return dev_set_of([str(task) for task in by_task], right, named, named)


def _add_dev_sets(rows: list[Row], dev_sets: Mapping[int, DevSet], base: int | None) -> None:
    """Dev-set keys of each round, paired with the reference round's tasks; tail coverage stays that of the texts."""
    for row in rows:
        dev_set = dev_sets.get(row["round"])
        if dev_set is None:
            continue
        first = dev_sets.get(base) if base is not None and base != row["round"] else None
        found = dev_set_metrics(dev_set, first)
        row |= {key: value for key, value in found.items() if not key.startswith("collapse_tails/rare_item")}


def _with_alarms(
    rows: list[Row],
    dev_sets: Mapping[int, DevSet],
    base: int | Sequence[str],
    read: Callable[[Sequence[str]], Row],
    rules: Rules | None,
) -> list[Row]:
    """Adds the alarm of the texts, and of the tasks with verdicts where there are any; the higher level counts."""
    judged = [_without_rate(row) if row["round"] in dev_sets else row for row in rows]
    if isinstance(base, int):
        found = alarms(judged, rules=rules, reference=base)
    else:
        before = {"round": rows[0]["round"] - 1, **read(base)}
        found = alarms([before, *judged], rules=rules)[1:]
    by_tasks = _task_alarms(dev_sets, base) if isinstance(base, int) else {}
    first = ""
    for row, alarm in zip(rows, found, strict=True):
        tasks = by_tasks.get(row["round"], DevAlarm(0))
        moved = [METRIC_OF[key] for key in tasks.keys]
        first = first or "".join(moved[:1]) or alarm["first_metric"]
        row["collapse_alarm/level"] = max(alarm["level"], tasks.level)
        row["collapse_alarm/n_active"] = alarm["n_active"] + len(moved)
        row["collapse_alarm/first_metric"] = first
        said = [f"{key} {reason}" for key, reason in zip(moved, tasks.reasons, strict=True)]
        row["reasons"] = said + alarm["reasons"]
        row["smallest_changes"] = alarm["smallest"]
        if why := tasks.blind.get("task_rate"):
            row["collapse_alarm/blind"] = f"{NAMES['task_rate']}: {why}"
    return rows


def _without_rate(row: Row) -> Row:
    """A row whose pass rate has no interval, so that only the rules over tasks judge it."""
    return {key: value for key, value in row.items() if not key.startswith("eval/pass_at_1_")}


def _task_alarms(dev_sets: Mapping[int, DevSet], base: int) -> dict[int, DevAlarm]:
    """The alarm over tasks of each round with verdicts from the reference on; the first of them has the place of round 0."""
    counted = [
        DevRound.read(number, {"samples": dev_set.to_dict()})
        for number, dev_set in sorted(dev_sets.items())
        if number >= base
    ]
    return {counted[t].number: alarm_of(counted[: t + 1], planned=len(counted) - 1) for t in range(1, len(counted))}
