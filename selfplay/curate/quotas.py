"""Quotas by tag: a minimum for rare strata, a maximum for any template; what was asked, what was reached, and why not. Pure.

Bias control that is explicit: a minimum first takes back attempts that passed and were dropped for rank alone; a maximum
drops the lowest-ranked rows of the stratum, of the fullest tasks first. What cannot be met is said, never forced.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from selfplay.errors import ConfigError


@dataclass(frozen=True)
class Quota:
    """A wish about one tag `name:value`, or about every value of `name:*`, as shares of the accepted rows."""

    tag: str
    """`topic:sets`, a bare tag `rare`, or `template:*`: each value of the name is a stratum of its own."""
    minimum: float = 0.0
    """Least share, in [0, 1); 0 asks for nothing."""
    maximum: float = 1.0
    """Greatest share, in (0, 1]; 1 forbids nothing."""

    def __post_init__(self) -> None:
        if not self.tag:
            raise ConfigError(
                "curate.quotas: tag is empty; give a tag such as topic:sets, or name:* for each of its values"
            )
        if not (0 <= self.minimum < 1 and 0 < self.maximum <= 1 and self.minimum <= self.maximum):
            raise ConfigError(
                f"curate.quotas: {self.tag} asks for {self.minimum} to {self.maximum}; shares are 0 <= minimum <= maximum <= 1"
            )
        if self.minimum == 0 and self.maximum == 1:
            raise ConfigError(
                f"curate.quotas: {self.tag} has neither minimum nor maximum, so no effect; give one or remove it"
            )


@dataclass(frozen=True)
class Candidate:
    """One attempt that passed and is no duplicate."""

    task_id: str
    tags: tuple[str, ...]
    rank: int
    """Place within its task, 0 best."""
    kept: bool
    """False: dropped for rank alone (bottom share, cap), may be taken back."""
    key: str
    """Breaks ties; the attempt's id."""


@dataclass(frozen=True)
class QuotaLine:
    """The report on one stratum."""

    tag: str
    asked: str
    """Such as `>= 0.1` or `<= 0.3`."""
    reached: float
    """Share of the accepted rows after all quotas; 0 where nothing is accepted."""
    rows: int
    """Accepted rows of the stratum."""
    total: int
    """All accepted rows."""
    met: bool
    why: str
    """Empty where met; else the reason in words."""


def apply_quotas(rows: Sequence[Candidate], quotas: Sequence[Quota]) -> tuple[list[bool], list[QuotaLine]]:
    """Which rows are kept, in their order, and the report. Quotas act in the order given: all minima, then all maxima."""
    changed, lines = changes_of(rows, quotas)
    return [row.kept != (place in changed) for place, row in enumerate(rows)], lines


def changes_of(rows: Sequence[Candidate], quotas: Sequence[Quota]) -> tuple[dict[int, str], list[QuotaLine]]:
    """As `apply_quotas`: the places whose decision changes, each with the stratum for whose sake it does, and the report."""
    kept, cause = [row.kept for row in rows], dict[int, str]()
    wishes = [(quota, tag) for quota in quotas for tag in _strata(rows, quota.tag)]
    for quota, tag in wishes:
        if quota.minimum > 0:
            cause |= dict.fromkeys(_raise_to(rows, kept, tag, quota.minimum), tag)
    for quota, tag in wishes:
        if quota.maximum < 1:
            cause |= dict.fromkeys(_lower_to(rows, kept, tag, quota.maximum), tag)
    lines = [line for quota, tag in wishes for line in _report(rows, kept, quota, tag)]
    return {place: tag for place, tag in cause.items() if kept[place] != rows[place].kept}, lines


def _strata(rows: Sequence[Candidate], tag: str) -> list[str]:
    """The tag itself, or all values met of `name:*`, sorted; the pattern itself where none is met."""
    if not tag.endswith(":*"):
        return [tag]
    found = sorted({t for row in rows for t in row.tags if t.startswith(tag[:-1])})
    return found or [tag]


def _raise_to(rows: Sequence[Candidate], kept: list[bool], tag: str, share: float) -> list[int]:
    """Takes rows of the stratum back, best-ranked first and the emptiest task first, until the share is reached; which."""
    tasks = Counter(row.task_id for row, keep in zip(rows, kept, strict=True) if keep)
    spare = [i for i, row in enumerate(rows) if not kept[i] and tag in row.tags]
    spare.sort(key=lambda i: (rows[i].rank, tasks[rows[i].task_id], rows[i].task_id, rows[i].key))
    inside = sum(kept[i] and tag in rows[i].tags for i in range(len(rows)))
    total, taken = sum(kept), list[int]()
    for index in spare:
        if total and inside >= share * total:
            break
        kept[index] = True
        taken.append(index)
        inside, total = inside + 1, total + 1
    return taken


def _lower_to(rows: Sequence[Candidate], kept: list[bool], tag: str, share: float) -> list[int]:
    """Drops rows of the stratum, of the fullest task first and worst-ranked first, until the share is kept; which.

    Where nothing else is accepted no drop can lower the share: then all stays, and the report says so.
    """
    inside = [i for i, row in enumerate(rows) if kept[i] and tag in row.tags]
    others = sum(kept) - len(inside)
    if not others:
        return []
    allowed = math.floor(share / (1 - share) * others + 1e-9)
    tasks = Counter(rows[i].task_id for i in inside)
    depth: Counter[str] = Counter()
    turns = []
    for index in sorted(inside, key=lambda i: (rows[i].rank, rows[i].key)):
        turns.append(
            (depth[rows[index].task_id], rows[index].rank, -tasks[rows[index].task_id], rows[index].key, index)
        )
        depth[rows[index].task_id] += 1
    dropped = [index for *_, index in sorted(turns)[allowed:]]
    for index in dropped:
        kept[index] = False
    return dropped


def _report(rows: Sequence[Candidate], kept: Sequence[bool], quota: Quota, tag: str) -> list[QuotaLine]:
    total = sum(kept)
    inside = sum(keep and tag in row.tags for row, keep in zip(rows, kept, strict=True))
    reached = inside / total if total else 0.0
    lines = []
    if quota.minimum > 0:
        met = total > 0 and inside >= quota.minimum * total - 1e-9
        lines.append(
            QuotaLine(
                tag, f">= {quota.minimum:g}", reached, inside, total, met, "" if met else _why_low(rows, kept, tag)
            )
        )
    if quota.maximum < 1:
        met = inside <= quota.maximum * total + 1e-9
        why = (
            ""
            if met
            else "nothing else is accepted, so no drop lowers the share"
            if inside == total
            else "the minima of others hold"
        )
        lines.append(QuotaLine(tag, f"<= {quota.maximum:g}", reached, inside, total, met, why))
    return lines


def _why_low(rows: Sequence[Candidate], kept: Sequence[bool], tag: str) -> str:
    here = [i for i, row in enumerate(rows) if tag in row.tags]
    if not here:
        return "no attempt with this tag passed"
    if all(kept[i] for i in here):
        return f"all {len(here)} attempts with this tag that passed are accepted already"
    return "another quota's maximum dropped rows of it"
