"""Floor 1: `screen`: evaluation text and personal data in a round's traces, as flags for `select` and counts. Pure.

Prompt and completion of every trace are read, whatever their outcome: a failed attempt may become the rejected side of a
preference pair. Counts are by benchmark, source and rule; no text or value stands in them.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from selfplay.curate import decontaminate, privacy
from selfplay.curate.protected import Protected
from selfplay.records import Trace

PRIVATE_RULES = tuple(rule for rule in privacy.RULES if rule not in {"url", "date", "age", "zip", "street", "name"})
"""Classes that drop a trace by default. The others are as common in made-up word problems and code as in personal
records (10 of 7,473 GSM8K rows have a birthday or an age over 89); name them where the sources are about people."""


@dataclass(frozen=True)
class Screening:
    """What was found in a round's traces."""

    flags: dict[str, str] = field(default_factory=dict)
    """Attempt id -> `contaminated` or `privacy` (contaminated where both); goes into `select`."""
    contaminated: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """(benchmark, source of the task, rule) -> attempts."""
    private: dict[tuple[str, str], int] = field(default_factory=dict)
    """(source of the task, class) -> attempts."""
    hits: dict[str, list[decontaminate.Hit]] = field(default_factory=dict)
    """Benchmark -> its hits; `row` is the index of the trace, spans count in prompt + line end + completion."""


def screen(
    traces: Sequence[Trace],
    benchmarks: Mapping[str, Protected | Sequence[str | Mapping[str, object]]] | None = None,
    private_rules: Collection[str] = PRIVATE_RULES,
    leak_rules: Collection[str] = decontaminate.RULES,
) -> Screening:
    """Flags every trace whose prompt or completion holds text of a benchmark or an identifier of `private_rules`.

    `benchmarks`: name -> evaluation rows (see `decontaminate.find`). Empty `private_rules`: no privacy search.
    """
    texts = [f"{trace.task.text}\n{trace.attempt.text}" for trace in traces]
    private: dict[int, set[str]] = {}
    for hit in privacy.find(texts, private_rules) if private_rules else ():
        private.setdefault(hit.row, set()).add(hit.rule)
    found = {name: decontaminate.find(texts, rows, leak_rules) for name, rows in (benchmarks or {}).items()}
    flags = {traces[row].attempt.id: "privacy" for row in sorted(private)}
    leaks: Counter[tuple[str, str, str]] = Counter()
    for name, hits in found.items():
        for row, rule in sorted({(hit.row, hit.rule) for hit in hits}):
            flags[traces[row].attempt.id] = "contaminated"
            leaks[name, traces[row].task.source, rule] += 1
    counts = Counter(
        (traces[row].task.source, rule) for row, rules in sorted(private.items()) for rule in sorted(rules)
    )
    return Screening(flags, dict(leaks), dict(counts), found)
