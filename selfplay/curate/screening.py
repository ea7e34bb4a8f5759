"""Searches a round's traces for evaluation text and for personal data: flags for `select`, and counts. Pure.

The prompt and the completion of every trace are read, whatever its outcome: a failed attempt may become the rejected side of a
preference pair. Counts are by benchmark, source and rule, and hold no text or value. Notes quote evaluation text, never
an identifier's value.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from selfplay.config.curation import RULES, Decontaminate
from selfplay.curate import decontaminate, privacy
from selfplay.curate.eval_index import Protected
from selfplay.records import Task, Trace

PRIVATE_RULES = tuple(rule for rule in privacy.RULES if rule not in {"url", "date", "age", "zip", "street", "name"})
"""Classes that drop a trace by default. The others are as common in made-up word problems and code as in personal
records (10 of 7,473 GSM8K rows have a birthday or an age over 89); name them where the sources are about people."""

EXCERPT_CHARS = 60
"""How much of what a text shares with an evaluation task a note shows."""


@dataclass(frozen=True)
class Screening:
    """What was found in a round's traces."""

    flags: dict[str, str] = field(default_factory=dict)
    """Attempt id -> `contaminated` or `privacy` (contaminated where both); goes into `select`."""
    contaminated: dict[tuple[str, str, str], int] = field(default_factory=dict)
    """(benchmark, source of the task, rule) -> attempts."""
    private: dict[tuple[str, str], int] = field(default_factory=dict)
    """(source of the task, class) -> attempts."""
    notes: dict[str, str] = field(default_factory=dict)
    """Attempt id -> a sentence on the first hit of each contaminated one: rule, characters, and the evaluation task."""


def screen(
    traces: Sequence[Trace],
    benchmarks: Mapping[str, Protected | Sequence[str | Mapping[str, object]]] | None = None,
    private_rules: Collection[str] = PRIVATE_RULES,
    leak_rules: Collection[str] = RULES,
) -> Screening:
    """Flags every trace whose prompt or completion holds text of a benchmark or an identifier of `private_rules`.

    `benchmarks`: name -> evaluation rows (see `decontaminate.find`). Empty `private_rules`: no privacy search.
    """
    texts = [f"{trace.task.text}\n{trace.attempt.text}" for trace in traces]
    private: dict[int, set[str]] = {}
    for hit in privacy.find(texts, private_rules) if private_rules else ():
        private.setdefault(hit.row, set()).add(hit.rule)
    indexed = {n: rows if isinstance(rows, Protected) else Protected.of(rows) for n, rows in (benchmarks or {}).items()}
    found = {name: decontaminate.find(texts, index, leak_rules) for name, index in indexed.items()}
    flags = {traces[row].attempt.id: "privacy" for row in sorted(private)}
    leaks: Counter[tuple[str, str, str]] = Counter()
    notes: dict[str, str] = {}
    for name, hits in found.items():
        for leak in hits:
            said = (
                f"rule {leak.rule}, {name} task {indexed[name].names[leak.of]}, {_excerpt(texts[leak.row], leak.span)}"
            )
            notes.setdefault(traces[leak.row].attempt.id, said)
        for row, rule in sorted({(one.row, one.rule) for one in hits}):
            flags[traces[row].attempt.id] = "contaminated"
            leaks[name, traces[row].task.source, rule] += 1
    counts = Counter(
        (traces[row].task.source, rule) for row, rules in sorted(private.items()) for rule in sorted(rules)
    )
    return Screening(flags, dict(leaks), dict(counts), notes)


def _excerpt(text: str, span: tuple[int, int]) -> str:
    """The shared characters, cut to EXCERPT_CHARS, and where they stand."""
    shared = " ".join(text[slice(*span)].split())
    shown = shared if len(shared) <= EXCERPT_CHARS else f"{shared[:EXCERPT_CHARS]}..."
    return f"characters {span[0]} to {span[1]}: {shown!r}"


Screen = Callable[[Sequence[Trace]], Screening]
"""Flags attempts by id as `contaminated` or `privacy`, with a note on each that repeats a held-out task."""


def screen_of(
    templated: bool, section: Decontaminate, personal: str, held_out: Sequence[Task], training: Sequence[Task]
) -> Screen | None:
    """The screen; None if it would search for nothing.

    `templated`: whether the source writes all prompts from one template. Such a source keeps held-out tasks apart itself, since a
    search for shared text would flag every attempt. `section`: which rules count as evaluation text. `personal`: what becomes of
    attempts with personal data, off or drop.
    """
    searched = bool(section.wanted) and not templated
    private = personal != "off" and not templated
    if not searched and not private:
        return None
    benchmarks = {}
    if searched:
        benchmarks["held_out"] = Protected.of(
            [{"id": task.id, "prompt": task.text, "answer": task.reference or ""} for task in held_out],
            [task.text for task in training],
            common_tasks=section.common_tasks,
            common_training=section.common_training,
        )
    rules = PRIVATE_RULES if private else ()
    return lambda traces: screen(traces, benchmarks, rules, section.wanted)
