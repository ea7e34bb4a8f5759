"""Floor 3: mathematics, answers and steps, checked exactly where that is possible and bounded in time everywhere."""

from selfplay.verify.math.equality import equal

__all__ = ["equal"]
