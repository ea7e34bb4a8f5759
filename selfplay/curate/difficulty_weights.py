"""Floor 1: more weight for hard tasks, with a floor for easy ones. Pure.

A loop that trains on whatever passes fills up with what it already can (ReST-EM caps it; Amin et al. boost by
1 - pass rate). Weights here are from the pass rate of the round, smoothed so that few attempts do not decide.
"""

import math
from collections.abc import Mapping

FLOOR = 0.2
"""Least weight of a task against the hardest: an always-solved task still gives a fifth, so that it is not forgotten."""


def pass_rate(passed: int, attempts: int) -> float:
    """Pass rate with one success and one failure added (Laplace), in (0, 1); 0.5 for no attempts."""
    return (passed + 1) / (attempts + 2)


def cap_for(cap: int, passed: int, attempts: int, floor: float = FLOOR) -> int:
    """The cap of one task: `cap` times max(floor, 1 - plain pass rate), rounded up, so at least 1 and at most `cap`."""
    rate = passed / attempts if attempts else 0.0
    return max(1, min(cap, math.ceil(cap * max(floor, 1 - rate) - 1e-9)))


def weights(tallies: Mapping[str, tuple[int, int]], floor: float = FLOOR) -> dict[str, float]:
    """Weight of each task from its (passed, attempts), mean 1 over the tasks; empty for none.

    Proportional to max(floor, 1 - smoothed pass rate). Serves rows (`Row.weight`) and the share of the next round's attempts.
    """
    raw = {task: max(floor, 1 - pass_rate(passed, attempts)) for task, (passed, attempts) in tallies.items()}
    mean = sum(raw.values()) / len(raw) if raw else 1.0
    return {task: value / mean for task, value in raw.items()}
