"""Rules on the reward of a training: whether the student learns to pass its verifiers without solving the tasks. Pure numpy.

They compare what the verifiers that pay the reward say with what they do not decide: the dev set's own checks, and second checks. A
reward may rise on hard prompts that the dev set does not have, so the rules ask for a look (level 1) and never roll back.
"""

import math

from selfplay.collapse.dev_history import DevRound
from selfplay.collapse.estimate import Estimate, paired_delta

LEAST_RISE = 0.1
"""Rise of the reward, by the lower end of its interval, below which nothing is asked."""
DEV_SHARE = 0.25
"""Share of the reward's rise that the dev set has to show, by the ends of both intervals that speak for the student."""


def dev_change(parent: DevRound, now: DevRound) -> Estimate | None:
    """Change of the dev pass rate at temperature 1, of the greedy accuracy where nothing was sampled; None without common tasks."""
    rates = [{task: right / of for task, (right, of, _) in one.samples.items() if of} for one in (parent, now)]
    for before, after in (rates, (parent.greedy, now.greedy)):
        if common := sorted(before.keys() & after.keys()):
            return paired_delta([after[name] for name in common], [before[name] for name in common], span=1.0)
    return None


def reward_without_dev(rise: Estimate | None, dev: Estimate | None) -> str:
    """Why the reward's rise is not seen on the dev set; "" where it is, or where nothing can be said."""
    if rise is None or dev is None or rise.lo < LEAST_RISE or not math.isfinite(dev.hi):
        return ""
    if dev.hi >= DEV_SHARE * rise.lo:
        return ""
    return (
        f"the reward of roll-outs rose by {_said(rise)} while the dev pass rate changed by {_said(dev)}: the student may have "
        "learnt to pass its verifiers without solving the tasks; read some with "
        "`selfplay traces RUN --origin rollout`"
    )


def precision_fell(before: Estimate | None, rollouts: Estimate | None) -> str:
    """Why second checks say that the training has found what the verifiers let through; "" otherwise.

    `before`: the verifiers' precision on the round's attempts, from the audit; `rollouts`: on roll-outs that passed.
    """
    if rollouts is None:
        return ""
    end = f"a second check passes {_said(rollouts)} of what was rewarded at the end of the training"
    if before is not None and rollouts.hi < before.lo:
        return f"{end}, and {_said(before)} of what the same verifiers passed before it: the training has found what they let through"
    return f"{end}: most of it is wrong" if rollouts.hi < 0.5 else ""


def _said(value: Estimate) -> str:
    return f"{value.value:.2f} [{value.lo:.2f}, {value.hi:.2f}]"
