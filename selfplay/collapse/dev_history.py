"""What the rounds of a run keep about their dev tasks, side by side: arrays by task, matched by id.

`R` runs, `T` rounds (a round and its ancestors, oldest first), `P` tasks that are answered greedily, `Q` sampled tasks,
`D` human texts. NaN is unknown: a task that a round lacks, an outcome that could not be judged.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from selfplay.collapse.estimate import Floats


@dataclass(frozen=True)
class DevRound:
    """One round's results on the dev tasks."""

    number: int
    greedy: Mapping[str, float] = field(default_factory=dict)
    """1 (solved) or 0 by id of the dev task."""
    samples: Mapping[str, tuple[int, int, tuple[int, ...]]] = field(default_factory=dict)
    """Right attempts, attempts, and right attempts by solution, by id of the sampled dev task."""
    nats: Mapping[str, float] = field(default_factory=dict)
    """Nats per token by id of the human text."""

    @classmethod
    def read(cls, number: int, kept: Mapping[str, Any]) -> "DevRound":
        """From what a round keeps in `evaluate/dev.json` (`dev`, `samples`, `nll`); what is missing or not finite is left out.

        A task that the dev set repeats counts once.
        """
        samples = kept.get("samples") or {}
        fields = (samples.get(name) or () for name in ("task_ids", "correct", "attempts", "clusters"))
        counted = {
            str(task): (int(right), int(of), tuple(map(int, clusters)))
            for task, right, of, clusters in zip(*fields, strict=False)
            if right is not None and of
        }
        return cls(number, _finite(kept.get("dev") or {}), counted, _finite(kept.get("nll") or {}))


def _finite(values: Mapping[str, Any]) -> dict[str, float]:
    numbers = {str(key): value for key, value in values.items() if isinstance(value, int | float)}
    return {key: float(value) for key, value in numbers.items() if math.isfinite(value)}


@dataclass(frozen=True)
class History:
    """Results by run, round and task."""

    greedy_R_T_P: Floats
    rates_R_T_Q: Floats
    """Share of right attempts at temperature 1."""
    differ_R_T_Q: Floats
    """Chance that two right attempts of the task are different solutions; NaN with fewer than two right ones."""
    nats_R_T_D: Floats

    @property
    def runs(self) -> int:
        """Number of runs."""
        return int(self.greedy_R_T_P.shape[0])

    @property
    def rounds(self) -> int:
        """Number of rounds of each run."""
        return int(self.greedy_R_T_P.shape[1])


def history_of(rounds: Sequence[DevRound]) -> History:
    """One run's history: its rounds, oldest first, each an ancestor of the next. Tasks of any round are in it.

    What is not finite, and a task without attempts, is unknown.
    """
    rates = [{task: right / of for task, (right, of, _) in one.samples.items() if of > 0} for one in rounds]
    differ = [
        {task: differs(clusters) for task, (right, _, clusters) in one.samples.items() if right >= 2} for one in rounds
    ]
    sampled = sorted(set().union(*(one.samples for one in rounds)))
    return History(
        _table([one.greedy for one in rounds]),
        _table(rates, sampled),
        _table(differ, sampled),
        _table([one.nats for one in rounds]),
    )


def differs(clusters: Iterable[int]) -> float:
    """Chance that two of the counted attempts, drawn without replacement, are in different clusters; NaN below two."""
    counts = list(clusters)
    n = sum(counts)
    return 1 - sum(c * (c - 1) for c in counts) / (n * (n - 1)) if n >= 2 else math.nan


def _table(values: Sequence[Mapping[str, float]], columns: Sequence[str] | None = None) -> Floats:
    names = sorted(set().union(*values)) if columns is None else columns
    rows = [[one.get(name, math.nan) for name in names] for one in values]
    table = np.asarray(rows, np.float64).reshape(1, len(values), len(names))
    return np.where(np.isfinite(table), table, np.nan)
