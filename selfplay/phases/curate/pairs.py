"""Preference pairs: an accepted attempt against a rejected one of the same task, for DPO and KTO.

Pairs are balanced in length: where one side is longer, training learns to prefer longer or shorter answers at once (length bias
of DPO: Park et al. 2024, 2403.19159), which says nothing about being right. The pairs of a round are built group by group, and mixed with those of
earlier rounds. One group of tasks is in memory at a time; pairs of earlier rounds are held as arrow tables.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from selfplay.config.tree import Curate
from selfplay.phases.curate.mixing import by_regime
from selfplay.records import Preference, Trace
from selfplay.store.traces import PAIRS, Stacked

PAIRS_PER_TASK = 4
"""Most pairs of one task: as the cap on accepted attempts, so that easy-to-pair tasks do not fill the set."""

MAX_LENGTH_RATIO = 3.0
"""A pair whose longer side has more than this many times the characters of the shorter one is not built, since nothing could balance it."""

DRIFT = 0.7
"""A task's second and later pairs are made only while the sum of all log ratios stays within this (one pair with a side
twice as long as the other), or comes nearer to 0: more pairs are not worth a bias."""

REJECTED_REASONS = ("failed", "invalid")
"""Reasons of attempts that may be the rejected side: they were judged wrong. Attempts that were dropped for
their rank, cut off, flagged, or lost in an outage never are."""


@dataclass(frozen=True)
class PairReport:
    """The counts of the pairs that were built."""

    pairs: int
    tasks: int
    """Tasks with at least one pair."""
    one_sided: int
    """Tasks with attempts on one side only."""
    too_uneven: int
    """Possible pairs left out by MAX_LENGTH_RATIO."""
    mean_log_ratio: float
    """Mean of log(characters of chosen / of rejected); 0 is balanced, above 0 the chosen side is longer."""


def preference_pairs(traces: Sequence[Trace]) -> tuple[list[Preference], PairReport]:
    """Pairs of accepted and wrong attempts of each task, sorted by task, and the report. Every trace has its decision.

    Each attempt is in one pair at most; the next pair is the one that brings the sum of log length ratios nearest to 0, ties
    by rank; every task gives its first pair, more only as DRIFT allows. The order of the traces never counts.
    """
    sides: dict[str, tuple[list[Trace], list[Trace]]] = {}
    for trace in traces:
        chosen, rejected = sides.setdefault(trace.task.id, ([], []))
        if _accepted(trace):
            chosen.append(trace)
        elif trace.decision and trace.decision.reason in REJECTED_REASONS and trace.attempt.finish_reason == "stop":
            rejected.append(trace)
    pairs: list[Preference] = []
    balance, too_uneven = 0.0, 0
    for task_id in sorted(sides):
        if not all(sides[task_id]):
            continue
        chosen_side, rejected_side = map(_ordered, sides[task_id])
        made, balance, uneven = _pairs_of(chosen_side, rejected_side, balance)
        pairs.extend(made)
        too_uneven += uneven
    one_sided = sum((not chosen) != (not rejected) for chosen, rejected in sides.values())
    mean = balance / len(pairs) if pairs else 0.0
    return pairs, PairReport(len(pairs), len({pair.task_id for pair in pairs}), one_sided, too_uneven, mean)


def _accepted(trace: Trace) -> bool:
    return trace.decision is not None and trace.decision.decision == "accepted"


def _ordered(side: Sequence[Trace]) -> list[Trace]:
    """Best rank first; the unranked last."""

    def place(trace: Trace) -> tuple[float, int, int, str]:
        rank = trace.decision.rank if trace.decision else None
        one = trace.attempt
        return math.inf if rank is None else rank, one.round, one.attempt, one.text

    return sorted(side, key=place)


def _pairs_of(chosen: list[Trace], rejected: list[Trace], balance: float) -> tuple[list[Preference], float, int]:
    """The pairs of one task, the running sum of log ratios after them, and how many were too uneven."""
    options = [
        (i, j, _log_ratio(a, b))
        for i, a in enumerate(chosen)
        for j, b in enumerate(rejected)
        if a.attempt.text != b.attempt.text
    ]
    even = [option for option in options if abs(option[2]) <= math.log(MAX_LENGTH_RATIO)]
    made: list[Preference] = []
    while even and len(made) < PAIRS_PER_TASK:
        i, j, ratio = min(even, key=lambda o: (round(abs(balance + o[2]), 9), o[0] + o[1], o[0]))
        if made and abs(balance + ratio) > max(abs(balance), DRIFT):
            break
        balance += ratio
        made.append(_pair(chosen[i], rejected[j]))
        even = [option for option in even if option[0] != i and option[1] != j]
    return made, balance, len(options) - sum(abs(option[2]) <= math.log(MAX_LENGTH_RATIO) for option in options)


def _log_ratio(chosen: Trace, rejected: Trace) -> float:
    return math.log((len(chosen.attempt.text) + 1) / (len(rejected.attempt.text) + 1))


def _pair(chosen: Trace, rejected: Trace) -> Preference:
    word = "failed" if rejected.outcome is None else rejected.outcome.value
    why = next((v.reason for v in rejected.verdicts if v.outcome is rejected.outcome and v.reason), "")
    return Preference(
        task_id=chosen.task.id,
        prompt_ids=rejected.attempt.prompt_ids or (),
        chosen_ids=chosen.attempt.completion_ids or (),
        rejected_ids=rejected.attempt.completion_ids or (),
        chosen=chosen.attempt.id,
        rejected=rejected.attempt.id,
        reason=f"{word}: {why}" if why else word,
        round=rejected.attempt.round,
    )


@dataclass
class PairWriter:
    """Builds the pairs of each group of decided traces, passes them to `write`, and counts them."""

    write: Callable[[Sequence[Preference]], None]
    corrections: Literal["final", "whole"]
    """With `final`, an accepted correction may be the chosen side of a pair, under the task's own prompt."""
    pairs: int = 0
    tasks: int = 0
    one_sided: int = 0
    too_uneven: int = 0
    log_ratios: float = 0.0

    def add(self, traces: Sequence[Trace]) -> None:
        """Adds the pairs of whole tasks, on the token ids that were sampled; the rejected side is always a first try."""
        found, report = preference_pairs([trace for trace in traces if self._fits(trace)])
        self.write(found)
        self.pairs += report.pairs
        self.tasks += report.tasks
        self.one_sided += report.one_sided
        self.too_uneven += report.too_uneven
        self.log_ratios += report.mean_log_ratio * report.pairs

    def _fits(self, trace: Trace) -> bool:
        return trace.attempt.turn == 0 or (self.corrections == "final" and _accepted(trace))

    def figures(self, trained: int) -> dict[str, float]:
        """The `data/` metrics of the round. `trained`: the number of pairs after mixing."""
        return {
            "data/pairs": self.pairs,
            "data/pairs_tasks": self.tasks,
            "data/pairs_one_sided_tasks": self.one_sided,
            "data/pairs_too_uneven": self.too_uneven,
            "data/pairs_log_length_ratio": round(self.log_ratios / max(1, self.pairs), 6),
            "data/train_pairs": trained,
        }


def mix_pairs(section: Curate, new: Path, older: Sequence[Path], out: Path, seed: int) -> int:
    """Writes the pairs that a round trains on, mixed by the regime as `mixing.mix` mixes rows; returns their number.

    `anchor_share` and `above_level_share` do not apply to pairs. Deterministic by seed; a missing file counts as empty.
    """
    with Stacked([new, *older], PAIRS) as pairs:
        fresh, past = pairs.rows_of(0, 1), pairs.rows_of(1, 1 + len(older))
        chosen = sorted(by_regime(section, fresh, past, random.Random(seed)))
        pairs.write(out, chosen, lambda row: "new" if row < len(fresh) else "older")
    return len(chosen)
