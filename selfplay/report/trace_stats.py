"""One pass over a round's traces: how its attempts ended, and a few to read."""

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfplay.report.failed_tests import facts, messages_of, parsed, shown

TraceReader = Callable[[Path], Iterable[Mapping[str, Any]]]
"""From the path of a traces.parquet to its rows; `selfplay.store.traces.skim_traces` is one."""

EXAMPLES = 4
"""Examples kept of each decision."""
TEXT_CHARS = 1500
MESSAGES = 6
"""Messages of a chat that are shown, the last ones."""


@dataclass
class Tally:
    """What the pages show of one round's traces."""

    round: int
    total: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    """Reasons of dropped attempts."""
    origins: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)


def tally(round_: int, traces: Iterable[Mapping[str, Any]]) -> Tally:
    """Counts a round's traces in one pass; the examples do not depend on the order of the traces."""
    out = Tally(round_)
    best: dict[str, list[tuple[str, int, Mapping[str, Any]]]] = {"accepted": [], "dropped": []}
    for trace in traces:
        out.total += 1
        decision = str(trace.get("decision") or "undecided")
        out.outcomes[str(trace.get("outcome") or "none")] += 1
        out.origins[str(trace.get("origin") or "unknown")] += 1
        if decision == "accepted":
            out.accepted += 1
        elif decision == "dropped":
            out.reasons[str(trace.get("reason") or "no reason given")] += 1
        place = f"{trace.get('task_id')}/{trace.get('attempt')}"
        key = hashlib.sha256(place.encode("utf-8", "replace")).hexdigest()
        if decision in best:
            heap = best[decision]
            heapq.heappush(heap, (_flip(key), out.total, trace))
            if len(heap) > EXAMPLES * 4:
                heapq.heappop(heap)
    for decision, heap in best.items():
        out.examples += _varied([trace for *_, trace in sorted(heap, key=lambda t: t[:2], reverse=True)], decision)
    return out


def _flip(key: str) -> str:
    """Maps the smallest digest to the largest, for a heap that drops its smallest element."""
    return key.translate(str.maketrans("0123456789abcdef", "fedcba9876543210"))


def _varied(traces: list[Mapping[str, Any]], decision: str) -> list[dict[str, Any]]:
    """The first few traces, each reason once before any comes twice."""
    seen: Counter[str] = Counter()
    ranked = []
    for place, trace in enumerate(traces):
        kind = str(trace.get("reason"))
        ranked.append((seen[kind], place, trace))
        seen[kind] += 1
    return [_example(trace, decision) for *_, trace in sorted(ranked, key=lambda r: r[:2])[:EXAMPLES]]


def _example(trace: Mapping[str, Any], decision: str) -> dict[str, Any]:
    verdicts, task = parsed(trace.get("verdicts")), parsed(trace.get("task"))
    task = task if isinstance(task, dict) else {}
    said = [v for v in verdicts if isinstance(v, dict)] if isinstance(verdicts, list) else []
    return {
        "task_id": shown(trace.get("task_id")),
        "attempt": trace.get("attempt"),
        "round": trace.get("round"),
        "decision": decision,
        "reason": shown(trace.get("reason")),
        "outcome": shown(trace.get("outcome") or "none"),
        "prompt": shown(trace.get("prompt"), TEXT_CHARS),
        "messages": messages_of(task, TEXT_CHARS)[-MESSAGES:],
        "text": shown(trace.get("text"), TEXT_CHARS),
        "verdicts": [
            {k: shown(v.get(k)) for k in ("verifier", "outcome", "reason", "evidence")} | {"facts": facts(task, v)}
            for v in said[:4]
        ],
    }
