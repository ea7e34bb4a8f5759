"""The best round by the dev tasks, and its accuracy without the optimism of having been chosen.

The round with the highest accuracy of many is the luckiest one as well: of ten equal rounds on 32 tasks it looks better by
about .08. So the kept round is the earliest that is not clearly worse than it, and its accuracy is estimated by
cross-fitting: chosen on some tasks, scored on the others.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from selfplay.collapse.dev_history import DevRound, history_of
from selfplay.collapse.dev_rules import DevRules, dev_rules
from selfplay.collapse.estimate import Estimate, Floats, wilson
from selfplay.collapse.paired_tests import paired_change, sign_test


class Unbiased(NamedTuple):
    """Accuracy of the best round, and its paired change to the first one."""

    accuracy: Estimate
    change: Estimate


def best_round_of(rounds: Sequence[DevRound], rules: DevRules | None = None) -> int | None:
    """The number of the earliest round that is not clearly worse than the one with the highest dev accuracy; None if none was measured.

    `rounds`: those that count, oldest first. Clearly: exact sign test on the tasks of both rounds, one-sided.
    """
    place = _best(_greedy(rounds), rules or dev_rules())
    return None if place is None else rounds[place].number


def best_unbiased(rounds: Sequence[DevRound], rules: DevRules | None = None) -> Unbiased | None:
    """The accuracy of the best round, cross-fitted: for each fold of tasks the round that the other folds choose is scored on it.

    Rounds without outcomes are left out, and only tasks of all others count; None with fewer than two of them, or without rounds.
    Wilson's interval, and that of Bonett and Price for the change to the first round.
    """
    rules = rules or dev_rules()
    greedy = _greedy(rounds)
    if not greedy.size:
        return None
    greedy = greedy[~np.isnan(greedy).all(1)]
    greedy = greedy[:, ~np.isnan(greedy).any(0)]
    tasks = greedy.shape[1]
    if tasks < 2:
        return None
    fold = np.arange(tasks) % min(rules.folds, tasks)
    scored = np.empty(tasks)
    for one in np.unique(fold):
        place = _best(greedy[:, fold != one], rules)
        scored[fold == one] = greedy[place or 0, fold == one]
    first = greedy[0]
    lost, gained = int((scored < first).sum()), int((scored > first).sum())
    return Unbiased(wilson(float(scored.sum()), tasks), paired_change(lost, gained, tasks))


def _greedy(rounds: Sequence[DevRound]) -> Floats:
    return history_of(rounds).greedy_R_T_P[0] if rounds else np.empty((0, 0))


def _best(greedy_T_P: Floats, rules: DevRules) -> int | None:
    known = ~np.isnan(greedy_T_P)
    if not known.any():
        return None
    shared = known[known.any(1)].all(0)
    counted = known & shared if shared.any() else known  # else errors at hard tasks would lift a round's mean
    mean = np.where(counted, greedy_T_P, 0.0).sum(1) / np.maximum(counted.sum(1), 1)
    top = int(np.where(known.any(1), mean, -1.0).argmax())
    worse = sign_test((greedy_T_P < greedy_T_P[top]).sum(1), (greedy_T_P > greedy_T_P[top]).sum(1)) <= rules.best
    equal = known.any(1) & ~worse & (known & known[top]).any(1)
    return int(equal.argmax())
