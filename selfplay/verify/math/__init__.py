"""Checks mathematical answers and steps, exactly where that is possible, and always in bounded time."""

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
    "SolutionVerdict", "StepOutcome", "StepVerdict", "answer_follows", "check_solution", "check_steps", "close",
    "equal", "first_wrong", "unreadable", "warm_up",
]  # fmt: skip
