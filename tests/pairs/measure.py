"""Counts of false accepts and false rejects, with the upper bounds of their intervals."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import sqrt
from typing import Any


def wilson_upper(hits: int, of: int, z: float = 1.959964) -> float:
    """The upper end of Wilson's 95 % interval for a share; 1 where nothing was counted."""
    if not of:
        return 1.0
    share, z2 = hits / of, z * z
    return (share + z2 / (2 * of) + z * sqrt(share * (1 - share) / of + z2 / (4 * of * of))) / (1 + z2 / of)


@dataclass
class Tally:
    """What became of the cases of one kind. A case that must not pass may end in anything but a pass."""

    equal: int = 0
    unequal: int = 0
    false_accepts: list[Any] = field(default_factory=list)
    false_rejects: list[Any] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)

    def add(self, case: Any, verdict: str) -> None:
        """Counts one case: `verdict` is pass, error, or any other word for no pass."""
        if case.equal:
            self.equal += 1
        else:
            self.unequal += 1
        if verdict == "error":
            self.errors.append((case, verdict))
        elif case.equal and verdict != "pass":
            self.false_rejects.append((case, verdict))
        elif not case.equal and verdict == "pass":
            self.false_accepts.append((case, verdict))

    @property
    def count(self) -> int:
        return self.equal + self.unequal

    @property
    def disagreements(self) -> int:
        return len(self.false_accepts) + len(self.false_rejects) + len(self.errors)


def tally(cases: Iterable[Any], judge: Callable[[Any], str]) -> dict[str, Tally]:
    """The counts per kind of a judge that gives pass, error or another word for each case."""
    found: dict[str, Tally] = defaultdict(Tally)
    for case in cases:
        found[case.kind].add(case, judge(case))
    return dict(found)


def merged(tallies: Iterable[Tally]) -> Tally:
    """One count of several."""
    total = Tally()
    for one in tallies:
        total.equal += one.equal
        total.unequal += one.unequal
        total.false_accepts += one.false_accepts
        total.false_rejects += one.false_rejects
        total.errors += one.errors
    return total


def commonest(cases: Iterable[tuple[Any, str]], count: int) -> list[tuple[str, int]]:
    """The commonest ways in which these cases were made."""
    return Counter(case.how for case, _ in cases).most_common(count)
