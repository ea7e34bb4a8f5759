"""Preference pairs: an accepted attempt against a rejected one of the same task, for DPO and KTO. Pure.

Pairs are balanced in length: a preference for longer or shorter answers is learned at once where one side is longer
(length bias of DPO: Park et al. 2024, 2403.19159), and says nothing of being right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from selfplay.records import Decision, Trace

PAIRS_PER_TASK = 4
"""Most pairs of one task: as the cap on accepted attempts, so that easy-to-pair tasks do not fill the set."""

MAX_LENGTH_RATIO = 3.0
"""A pair whose longer side has more than this times the characters of the shorter one is not made: nothing balances it."""

DRIFT = 0.7
"""A task's second and later pairs are made only while the sum of all log ratios stays within this (one pair with a side
twice as long as the other), or comes nearer to 0: more pairs are not worth a lean."""

REJECTED_REASONS = ("failed", "invalid")
"""Why the rejected side was dropped: it was judged wrong. Never for rank, for being cut off, for an outage, or flagged."""


@dataclass(frozen=True)
class Pair:
    """One preference."""

    task_id: str
    prompt: str
    chosen: str
    rejected: str
    chosen_id: str
    """Attempt id."""
    rejected_id: str
    reason: str
    """Why the rejected side lost, in the verifier's words, such as `failed: wrong_answer`."""


@dataclass(frozen=True)
class PairReport:
    """What the pairs came to."""

    pairs: int
    tasks: int
    """Tasks with at least one pair."""
    one_sided: int
    """Tasks with attempts on one side only."""
    too_uneven: int
    """Possible pairs left out by MAX_LENGTH_RATIO."""
    mean_log_ratio: float
    """Mean of log(characters of chosen / of rejected); 0 is balanced, above 0 the chosen side is longer."""


def preference_pairs(
    traces: Sequence[Trace],
    decisions: Sequence[Decision],
    per_task: int = PAIRS_PER_TASK,
    max_ratio: float = MAX_LENGTH_RATIO,
) -> tuple[list[Pair], PairReport]:
    """Pairs of accepted and wrong attempts of each task, sorted by task, and the report.

    Each attempt is in one pair at most; the next pair is the one that brings the sum of log length ratios nearest to 0, ties
    by rank; every task gives its first pair, more only as DRIFT allows. The order of the traces never counts.
    """
    sides: dict[str, tuple[list[tuple[Trace, Decision]], list[tuple[Trace, Decision]]]] = {}
    for trace, decision in zip(traces, decisions, strict=True):
        chosen, rejected = sides.setdefault(trace.task.id, ([], []))
        if decision.decision == "accepted":
            chosen.append((trace, decision))
        elif decision.reason in REJECTED_REASONS and trace.attempt.finish_reason == "stop":
            rejected.append((trace, decision))
    pairs: list[Pair] = []
    balance, too_uneven = 0.0, 0
    for task_id in sorted(sides):
        if not all(sides[task_id]):
            continue
        chosen_side, rejected_side = map(_ordered, sides[task_id])
        made, balance, uneven = _pairs_of(chosen_side, rejected_side, per_task, math.log(max_ratio), balance)
        pairs.extend(made)
        too_uneven += uneven
    one_sided = sum((not chosen) != (not rejected) for chosen, rejected in sides.values())
    mean = balance / len(pairs) if pairs else 0.0
    return pairs, PairReport(len(pairs), len({pair.task_id for pair in pairs}), one_sided, too_uneven, mean)


def _ordered(side: Sequence[tuple[Trace, Decision]]) -> list[Trace]:
    """Best rank first; the unranked last."""
    ranked = sorted(
        side,
        key=lambda td: (
            math.inf if td[1].rank is None else td[1].rank,
            td[0].attempt.round,
            td[0].attempt.attempt,
            td[0].attempt.text,
        ),
    )
    return [trace for trace, _ in ranked]


def _pairs_of(
    chosen: list[Trace], rejected: list[Trace], per_task: int, limit: float, balance: float
) -> tuple[list[Pair], float, int]:
    """The pairs of one task, the running sum of log ratios after them, and how many were too uneven."""
    options = [
        (i, j, _log_ratio(a, b))
        for i, a in enumerate(chosen)
        for j, b in enumerate(rejected)
        if a.attempt.text != b.attempt.text
    ]
    even = [option for option in options if abs(option[2]) <= limit]
    made: list[Pair] = []
    while even and len(made) < per_task:
        i, j, ratio = min(even, key=lambda o: (round(abs(balance + o[2]), 9), o[0] + o[1], o[0]))
        if made and abs(balance + ratio) > max(abs(balance), DRIFT):
            break
        balance += ratio
        made.append(_pair(chosen[i], rejected[j]))
        even = [option for option in even if option[0] != i and option[1] != j]
    return made, balance, len(options) - sum(abs(option[2]) <= limit for option in options)


def _log_ratio(chosen: Trace, rejected: Trace) -> float:
    return math.log((len(chosen.attempt.text) + 1) / (len(rejected.attempt.text) + 1))


def _pair(chosen: Trace, rejected: Trace) -> Pair:
    word = "failed" if rejected.outcome is None else rejected.outcome.value
    told = next((v.reason for v in rejected.verdicts if v.outcome is rejected.outcome and v.reason), "")
    reason = f"{word}: {told}" if told else word
    task = chosen.task
    return Pair(
        task.id, task.text, chosen.attempt.text, rejected.attempt.text, chosen.attempt.id, rejected.attempt.id, reason
    )
