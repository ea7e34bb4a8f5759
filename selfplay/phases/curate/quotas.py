"""Applies quotas by tag to a whole round, after the attempts of each chunk were decided, by their ids, tags and ranks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from selfplay.config.curation import TagQuota
from selfplay.curate.quotas import Candidate, Quota, QuotaLine, changes_of
from selfplay.records import Decision, Trace

REASON = "quota:"
"""Prefix of the reason of an attempt that a quota dropped or took back; the stratum follows it."""
Decided = tuple[Literal["accepted", "dropped"], str, int | None]
"""Decision, reason, rank."""
_FOR_RANK = frozenset({"bottom_share", "over_cap"})


@dataclass(frozen=True)
class Shares:
    """The decisions of a round after its quotas."""

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


def apply_quotas(wishes: Sequence[TagQuota], groups: Iterable[tuple[Sequence[Trace], Sequence[Decision]]]) -> Shares:
    """The round's decisions under quotas. Texts are not kept in memory, only a few hundred bytes per attempt."""
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
