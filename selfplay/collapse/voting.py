"""Majority votes over the samples of a task, and whether their confidence says how often they are right.

A student that collapses grows sure of one answer, rightly or wrongly: confidence rises, accuracy does not. `P` tasks.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from selfplay.collapse.estimate import Floats
from selfplay.errors import EmptyMetric

BINS = 10
PER_BIN = 10
"""Tasks that a bin has at least, so that few tasks give few bins."""


class Vote(NamedTuple):
    """The majority answer of one task."""

    confidence: float
    """Its share of the task's samples, those without an answer included."""
    right: bool


def majority(answers: Sequence[Hashable | None], right: Sequence[bool]) -> Vote | None:
    """The commonest answer, the first met of equals; it is right if the first sample that gave it is. None where nobody voted.

    None among the answers does not vote, but counts as a sample.
    """
    votes = Counter(answer for answer in answers if answer is not None).most_common(1)
    if not votes:
        return None
    answer, count = votes[0]
    return Vote(count / len(answers), bool(right[list(answers).index(answer)]))


def calibration_error(votes: Sequence[Vote]) -> float:
    """Expected calibration error: mean over tasks of |confidence - accuracy| of the task's bin (Naeini et al. 2015), in [0, 1].

    Bins hold equally many tasks, but for equal confidences, which stay together. Chance alone makes it positive: read it beside
    `calibration_floor`. Raises EmptyMetric below PER_BIN votes.
    """
    bins = _bins(votes)
    gaps = [abs(sum(v.confidence for v in part) - sum(v.right for v in part)) for part in bins]
    return sum(gaps) / len(votes)


def calibration_floor(votes: Sequence[Vote]) -> float:
    """What `calibration_error` is on average where every vote is right with the chance that it claims: exact, same bins.

    The number of right votes of a bin is then Poisson-binomial. Raises EmptyMetric below PER_BIN votes.
    """
    total = 0.0
    for part in _bins(votes):
        law: Floats = np.ones(1)
        for vote in part:
            law = np.convolve(law, [1 - vote.confidence, vote.confidence])
        total += float(law @ np.abs(np.arange(law.size) - sum(vote.confidence for vote in part)))
    return total / len(votes)


def _bins(votes: Sequence[Vote]) -> list[list[Vote]]:
    if len(votes) < PER_BIN:
        raise EmptyMetric(f"calibration: {len(votes)} votes, needs {PER_BIN}; leave the metric out of this round")
    ordered = sorted(votes)
    size = max(PER_BIN, len(ordered) / BINS)
    cuts = [0]
    for i in range(1, len(ordered)):
        if ordered[i].confidence != ordered[i - 1].confidence and i - cuts[-1] >= size:
            cuts.append(i)
    if len(ordered) - cuts[-1] < PER_BIN and len(cuts) > 1:
        cuts.pop()
    return [ordered[a:b] for a, b in pairwise([*cuts, len(ordered)])]
