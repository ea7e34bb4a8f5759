"""Quotas over a whole round: chunks decide first, then shares by tag do, from ids, tags and ranks alone."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from selfplay.config.quotas import TagQuota
from selfplay.curate.quotas import Candidate, Quota, QuotaLine, changes_of
from selfplay.records import Decision, Trace

REASON = "quota:"
"""Begins the reason of an attempt that a quota dropped or took back; the stratum stands behind it."""
Decided = tuple[Literal["accepted", "dropped"], str, int | None]
"""Decision, reason, rank."""
_FOR_RANK = frozenset({"bottom_share", "over_cap"})


@dataclass(frozen=True)
class Shares:
    """What the quotas made of a round."""

    decisions: Mapping[str, Decided] = field(default_factory=dict)
    """Attempt id -> decision, reason, rank; empty without quotas."""
    lines: Sequence[QuotaLine] = ()
    taken_back: int = 0

    def over(self, traces: list[Trace]) -> tuple[list[Trace], list[Decision]]:
        """The traces with the decision on each."""
        found = [self.decisions[trace.attempt.id] for trace in traces]
        return traces, [Decision(decision=decision, reason=reason, rank=rank) for decision, reason, rank in found]

    def report(self) -> list[dict[str, Any]]:
        """The lines for `quotas.json`: asked, reached, and why not."""
        return [asdict(line) for line in self.lines]

    def unmet(self) -> list[str]:
        """A sentence for each share that was asked for and could not be reached."""
        return [
            f"quota {line.tag} {line.asked}: reached {line.reached:.3f}; {line.why}"
            for line in self.lines
            if not line.met
        ]

    def figures(self) -> dict[str, float]:
        """Flat figures of the round; none without quotas."""
        if not self.lines:
            return {}
        return {
            "data/quotas_asked": len(self.lines),
            "data/quotas_met": sum(line.met for line in self.lines),
            "data/quota_taken_back": self.taken_back,
        }


def apply_quotas(wishes: Sequence[TagQuota], groups: Iterable[tuple[Sequence[Trace], Sequence[Decision]]]) -> Shares:
    """The round's decisions under quotas. Of an attempt no text is kept, so memory grows by a few hundred bytes each."""
    decided: dict[str, Decided] = {}
    rows: list[Candidate] = []
    for traces, decisions in groups:
        for trace, one in zip(traces, decisions, strict=True):
            name, kept = trace.attempt.id, one.decision == "accepted"
            decided[name] = (one.decision, one.reason, one.rank)
            if kept or one.reason in _FOR_RANK:
                rows.append(Candidate(trace.task.id, trace.task.tags, one.rank or 0, kept, name))
    quotas = [Quota(wish.tag, wish.minimum, wish.maximum) for wish in wishes]
    changed, lines = changes_of(rows, quotas)
    for place, tag in changed.items():
        row = rows[place]
        decided[row.key] = ("dropped" if row.kept else "accepted", f"{REASON}{tag}", row.rank)
    return Shares(decided, lines, sum(not rows[place].kept for place in changed))
