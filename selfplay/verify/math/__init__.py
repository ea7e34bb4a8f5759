"""Floor 3: mathematics, answers and steps, checked exactly where that is possible and bounded in time everywhere."""

from selfplay.verify.math.equality import equal, unreadable
from selfplay.verify.math.step_checks import (
    SolutionVerdict,
    StepOutcome,
    StepVerdict,
    answer_follows,
    check_solution,
    check_steps,
    first_wrong,
)
from selfplay.verify.math.symbolic import close, warm_up

__all__ = [
    "SolutionVerdict",
    "StepOutcome",
    "StepVerdict",
    "answer_follows",
    "check_solution",
    "check_steps",
    "close",
    "equal",
    "first_wrong",
    "unreadable",
    "warm_up",
]
