"""Floor 4: decides on every attempt and makes the training rows. Rank 0 alone; idempotent until its DONE."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from selfplay.config.tree import Curate
from selfplay.curate import Archive, SelectRules, archive_entries, select
from selfplay.models.student import Encoder
from selfplay.phases.mixing import mix
from selfplay.phases.verify import read_judged
from selfplay.records import Attempt, Request, Row, Task, Trace
from selfplay.store import ChunkFolder, write_json, write_whole
from selfplay.store.traces import read_rows, write_rows, write_traces
from selfplay.verify import Judged

Groups = Iterator[tuple[list[Task], list[Attempt], list[Judged]]]
Screen = Callable[[Sequence[Trace]], Mapping[str, str]]
"""Flags attempts by id: `contaminated` or `privacy`."""


@dataclass
class Tally:
    """What curation counted."""

    sampled: int = 0
    accepted: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    by_operations: dict[str, list[int]] = field(default_factory=dict)
    """Operation count -> [right attempts, attempts]."""
    disagreements: int = 0
    tasks_solved: set[str] = field(default_factory=set)
    too_long: int = 0


def curate_anchor(anchor: Sequence[Task], encoder: Encoder, out: Path) -> None:
    """Round 0: the anchor's rows, which are the training rows of its warm-up."""
    rows = [
        encode_row(encoder, Request.of(task), task.reference or "", kind="anchor", source=task.id) for task in anchor
    ]
    write_rows(out / "anchor.parquet", rows)
    write_rows(out.parent / "train.parquet", rows)
    write_json(
        out / "DONE", {"metrics": {"data/anchor_rows": len(rows), "data/train_rows": len(rows)}, "by_operations": {}}
    )


def curate(
    section: Curate,
    groups: Groups,
    *,
    encoder: Callable[[], Encoder],
    archive: Archive,
    screen: Screen | None,
    older: Sequence[Path],
    anchor: Path,
    refused: int,
    seed: int,
    out: Path,
) -> None:
    """Writes traces.parquet and train.parquet beside `out`; new.parquet, archive.jsonl and DONE into it.

    `groups`: tasks, attempts and verdicts, chunk by chunk, one in memory at a time. `older`: the new.parquet of the
    rounds this one stands on; `anchor`: round 0's.
    """
    rules, tally = rules_of(section), Tally()
    new: list[Row] = []
    entries: list[str] = []
    source = _Encoding(encoder)

    def decided() -> Iterator[list[Trace]]:
        for tasks, attempts, judged in groups:
            traces = [
                Trace(task=t, attempt=source.completed(t, a), verdicts=j.verdicts, outcome=j.outcome)
                for t, a, j in zip(tasks, attempts, judged, strict=True)
            ]
            decisions = select(traces, rules, archive, screen(traces) if screen else None)
            done = [trace.model_copy(update={"decision": d}) for trace, d in zip(traces, decisions, strict=True)]
            tally_up(tally, done, judged)
            new.extend(
                row_of_trace(trace) for trace in done if trace.decision and trace.decision.decision == "accepted"
            )
            entries.extend(Archive(tuple(archive_entries(traces, decisions))).to_lines())
            yield sorted(done, key=lambda trace: (trace.task.id, trace.attempt.attempt))

    write_traces(out.parent / "traces.parquet", decided())
    earlier = [row for path in older for row in read_rows(path)]
    rows = mix(section, new, earlier, read_rows(anchor), seed)
    write_rows(out / "new.parquet", new)
    write_rows(out.parent / "train.parquet", rows)
    write_whole(out / "archive.jsonl", "".join(f"{line}\n" for line in entries))
    write_json(out / "DONE", {"metrics": _figures(tally, rows, refused), "by_operations": tally.by_operations})


def rules_of(section: Curate) -> SelectRules:
    """The selection's rules of a config section."""
    order = (*section.dedup, "bottom_share", "cap")
    return SelectRules(verified_only=section.verified_only, drop_share=section.drop_share, cap=section.cap, order=order)


def grouped(tasks: Sequence[Task], attempts: ChunkFolder, judged: ChunkFolder) -> Groups:
    """Tasks, attempts and verdicts, chunk by chunk: attempts of one task always stand in one chunk."""
    by_id = {task.id: task for task in tasks}
    for (_, rows), words in zip(attempts.each(), read_judged(judged), strict=True):
        made = [Attempt.model_validate(row) for row in rows]
        yield [by_id[attempt.task_id] for attempt in made], made, words


class _Encoding:
    """Opens the encoder at the first attempt whose sampler gave no token ids; most runs never need it."""

    def __init__(self, open_encoder: Callable[[], Encoder]) -> None:
        self._open, self._encoder = open_encoder, None

    def completed(self, task: Task, attempt: Attempt) -> Attempt:
        """The attempt with token ids, made from its text where it has none."""
        if attempt.completion_ids is not None and attempt.prompt_ids is not None:
            return attempt
        self._encoder = encoder = self._encoder or self._open()
        ids = {
            "prompt_ids": tuple(encoder.prompt(Request.of(task))),
            "completion_ids": tuple(encoder.completion(attempt.text)),
        }
        return attempt.model_copy(update={**ids, "retokenised": True})

    _encoder: Encoder | None


def row_of_trace(trace: Trace) -> Row:
    """The training row of an accepted attempt, on the exact ids that were sampled."""
    prompt, completion = trace.attempt.prompt_ids or (), trace.attempt.completion_ids or ()
    return Row(input_ids=(*prompt, *completion), labels=(*[-100] * len(prompt), *completion), source=trace.attempt.id)


def encode_row(encoder: Encoder, request: Request, text: str, *, kind: Any, source: str) -> Row:
    """The training row of a text that no sampler wrote."""
    prompt, completion = encoder.prompt(request), encoder.completion(text)
    return Row(input_ids=(*prompt, *completion), labels=(*[-100] * len(prompt), *completion), kind=kind, source=source)


def tally_up(tally: Tally, traces: Sequence[Trace], judged: Sequence[Judged]) -> None:
    """Counts a group of decided traces."""
    for trace, one in zip(traces, judged, strict=True):
        right = one.outcome.value == "pass"
        accepted = trace.decision is not None and trace.decision.decision == "accepted"
        tally.sampled += 1
        tally.accepted += accepted
        tally.outcomes[one.outcome.value] += 1
        tally.reasons[trace.decision.reason if trace.decision else "undecided"] += 1
        tally.disagreements += one.disagree
        if right:
            tally.tasks_solved.add(trace.task.id)
        operations = trace.task.tag("operations")
        if operations is not None:
            count = tally.by_operations.setdefault(operations, [0, 0])
            count[0] += right
            count[1] += 1


def _figures(tally: Tally, rows: Sequence[Row], refused: int) -> dict[str, float]:
    kinds = Counter(row.kind for row in rows)
    shares = {f"data/{kind}_share": round(kinds[kind] / max(1, len(rows)), 6) for kind in ("new", "older", "anchor")}
    reasons = {f"data/dropped_{name}": count for name, count in sorted(tally.reasons.items()) if name != "accepted"}
    outcomes = {f"data/outcome_{name}": count for name, count in sorted(tally.outcomes.items())}
    return {
        "data/sampled": tally.sampled,
        "data/passed": tally.outcomes["pass"],
        "data/accepted": tally.accepted,
        "data/accept_rate": round(tally.accepted / max(1, tally.sampled), 6),
        "data/tasks_solved": len(tally.tasks_solved),
        "data/tasks_refused": refused,
        "data/disagreements": tally.disagreements,
        "data/train_rows": len(rows),
        **shares,
        **outcomes,
        **reasons,
    }
