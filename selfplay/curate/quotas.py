"""Quotas: shares of a round's accepted attempts by tag, with a report on what was asked for, what was reached, and why not. Pure.

A minimum takes back attempts that passed and were dropped for rank alone; a maximum drops the lowest-ranked attempts of the stratum, from
the fullest tasks first. What cannot be met is reported, never forced. Quotas act in the order given: all minima, then all maxima.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from selfplay.config.curation import TagQuota
from selfplay.records import Decision, Trace

REASON = "quota:"
"""Prefix of the reason of an attempt that a quota dropped or took back; the stratum follows it."""
Decided = tuple[Literal["accepted", "dropped"], str, int | None]
"""Decision, reason, rank."""
_FOR_RANK = frozenset({"bottom_share", "over_cap"})


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
    """The reason in words; empty if the share was met."""


@dataclass(frozen=True)
class Shares:
    """The decisions of a round after its quotas have been applied."""

    decisions: Mapping[str, Decided] = field(default_factory=dict)
    """Attempt id -> decision, reason, rank; empty without quotas."""
    lines: Sequence[QuotaLine] = ()
    taken_back: int = 0

    def over(self, traces: list[Trace]) -> tuple[list[Trace], list[Decision]]:
        """The traces with the decision on each."""
        found = [self.decisions[trace.attempt.id] for trace in traces]
        return traces, [Decision(decision=decision, reason=reason, rank=rank) for decision, reason, rank in found]

    def report(self) -> list[dict[str, Any]]:
        """The content of `quotas.json`: for each stratum the requested and the reached share, and why it was missed."""
        return [asdict(line) for line in self.lines]

    def unmet(self) -> list[str]:
        """A sentence for each requested share that could not be reached."""
        return [
            f"quota {line.tag} {line.asked}: reached {line.reached:.3f}; {line.why}"
            for line in self.lines
            if not line.met
        ]

    def figures(self) -> dict[str, float]:
        """The `data/` metrics of the quotas; {} without quotas."""
        if not self.lines:
            return {}
        return {
            "data/quotas_asked": len(self.lines),
            "data/quotas_met": sum(line.met for line in self.lines),
            "data/quota_taken_back": self.taken_back,
        }


def apply_quotas(quotas: Sequence[TagQuota], groups: Iterable[tuple[Sequence[Trace], Sequence[Decision]]]) -> Shares:
    """The round's decisions under quotas. Texts are not kept in memory, only a few hundred bytes per attempt."""
    decided: dict[str, Decided] = {}
    rows: list[Candidate] = []
    for traces, decisions in groups:
        for trace, one in zip(traces, decisions, strict=True):
            name, kept = trace.attempt.id, one.decision == "accepted"
            decided[name] = (one.decision, one.reason, one.rank)
            if kept or one.reason in _FOR_RANK:
                rows.append(Candidate(trace.task.id, trace.task.tags, one.rank or 0, kept, name))
    changed, lines = _changes_of(rows, quotas)
    for place, tag in changed.items():
        row = rows[place]
        decided[row.key] = ("dropped" if row.kept else "accepted", f"{REASON}{tag}", row.rank)
    return Shares(decided, lines, sum(not rows[place].kept for place in changed))


def _changes_of(rows: Sequence[Candidate], quotas: Sequence[TagQuota]) -> tuple[dict[int, str], list[QuotaLine]]:
    """The places whose decision changes, each with the stratum for whose sake it does, and the report."""
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
    """Takes rows of the stratum back, best-ranked first and the emptiest task first, until the share is reached; returns their places."""
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
    """Drops rows of the stratum, of the fullest task first and worst-ranked first, until the share is kept; returns their places.

    If nothing else is accepted, no drop can lower the share: then all rows stay, and the report says so.
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


def _report(rows: Sequence[Candidate], kept: Sequence[bool], quota: TagQuota, tag: str) -> list[QuotaLine]:
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
