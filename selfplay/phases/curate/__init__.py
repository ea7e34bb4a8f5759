"""Floor 5: decides on every attempt and makes the training rows. Rank 0 alone; idempotent until its DONE."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice, repeat
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

from selfplay.collapse import wilson
from selfplay.config.tree import Curate
from selfplay.curate import Archive, SelectRules, archive_entries, select
from selfplay.curate.screening import Screening
from selfplay.models.student import Encoder
from selfplay.phases.curate.mixing import Frontier, mix
from selfplay.phases.curate.pairs import FILE as PAIRS
from selfplay.phases.curate.pairs import PairWriter, mix_pairs
from selfplay.phases.curate.quotas import REASON as QUOTA
from selfplay.phases.curate.quotas import apply_quotas
from selfplay.records import Attempt, Decision, Request, Row, Task, Trace
from selfplay.runtime.screens import Screen
from selfplay.runtime.verified import COPY, Corrected, read_attempts, read_corrections, read_verified
from selfplay.store import ChunkFolder, write_json
from selfplay.store.files import writing_text
from selfplay.store.traces import ROWS, Stacked, write_rows, write_traces, writing_pairs, writing_rows
from selfplay.tasks.book import TaskBook
from selfplay.training.rows import anchor_row, row_of_trace
from selfplay.verify import Judged


class Group(NamedTuple):
    """What curation takes into memory at once: whole tasks with all their attempts."""

    tasks: list[Task]
    """One an attempt."""
    attempts: list[Attempt]
    judged: list[Judged]
    asked: Mapping[str, Request] = {}
    """By attempt id, where it was asked by another prompt than its task's own."""


EXAMPLES, EXAMPLE_CHARS, NOTES = 3, 80, 100
"""How many dropped attempts of a reason a notice shows, how much of each, and of how many the screen's note is kept."""


@dataclass
class Tally:
    """What curation counted."""

    sampled: int = 0
    accepted: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    """The first attempts that were dropped, by reason: what a person looks at where a reason drops too many."""
    leaks: Counter[str] = field(default_factory=Counter)
    """Contaminated attempts by rule; one that repeats several evaluation tasks counts once for each rule."""
    notes: dict[str, str] = field(default_factory=dict)
    """Attempt id -> what the screen says of it, for the first that are contaminated."""
    by_operations: dict[str, list[int]] = field(default_factory=dict)
    """Operation count -> [right attempts, attempts], first turns at drawn tasks alone: a correction is no second vote on the
    edge, and what was made is not drawn evenly."""
    disagreements: int = 0
    tasks_passed: int = 0
    """Tasks with a right attempt."""
    solved: list[str] = field(default_factory=list)
    """Tasks with an accepted attempt: where makers start from."""
    strata: Counter[str] = field(default_factory=Counter)
    """How many of those carry each tag: what the tail is measured on."""
    made: Counter[str] = field(default_factory=Counter)
    """Attempts at made tasks: sampled, passed, accepted."""
    too_long: int = 0
    first_turn: int = 0
    corrections: int = 0
    corrections_passed: int = 0
    corrections_accepted: int = 0
    corrections_copied: int = 0

    def screened(self, found: Screening) -> None:
        """Counts what the screen found in a group."""
        for (_, _, rule), attempts in found.contaminated.items():
            self.leaks[rule] += attempts
        self.notes.update(islice(found.notes.items(), NOTES - len(self.notes)))


def curate_anchor(anchor: Sequence[Task], encoder: Encoder, out: Path) -> None:
    """Round 0: the anchor's rows, which are the training rows of its warm-up."""
    rows = [anchor_row(encoder, task) for task in anchor]
    write_rows(out / "anchor.parquet", rows)
    write_rows(out.parent / "train.parquet", rows)
    with writing_pairs(out.parent / PAIRS):
        pass  # a file without a pair: every round has one
    figures = {"data/anchor_rows": len(rows), "data/train_rows": len(rows)}
    strata = _counts(set(task.tags) for task in anchor)
    write_json(out / "DONE", {"metrics": figures, "by_operations": {}, "strata": strata, "solved": []})


def curate(
    section: Curate,
    groups: Iterable[Group],
    *,
    encoder: Callable[[], Encoder],
    archive: Archive | None,
    screen: Screen | None,
    older: Sequence[Path],
    anchor: Path,
    refused: int,
    seed: int,
    out: Path,
    corrections: Literal["final", "whole"] = "final",
    frontier: Frontier | None = None,
) -> None:
    """Writes traces.parquet, train.parquet and pairs.parquet beside `out`; new.parquet, its own pairs.parquet,
    archive.jsonl and DONE into it. `archive`: what earlier rounds accepted; None where rounds are not held against one another,
    and then there is no archive.jsonl.

    `groups`: tasks, attempts and verdicts, chunk by chunk, one in memory at a time; with quotas gone through twice. `older`: the new.parquet of the
    rounds this one stands on, pairs.parquet beside each; `anchor`: round 0's. `corrections`: what an accepted one teaches, see `correct.format`.
    """
    rules, tally, earlier = rules_of(section), Tally(), archive or Archive()
    source = _Encoding(encoder)

    def chosen(group: Group) -> tuple[list[Trace], list[Decision]]:
        traces = source.traces(group)
        found = screen(traces) if screen else Screening()
        tally.screened(found)
        return traces, select(traces, rules, earlier, found.flags)

    shares = apply_quotas(section.quotas, map(chosen, groups)) if section.quotas else None

    def decided(
        book: PairWriter, keep: Callable[[Sequence[Row]], None], archived: TextIO | None
    ) -> Iterator[list[Trace]]:
        for group in groups:
            traces, decisions = chosen(group) if shares is None else shares.over(source.traces(group))
            done = [_decided(trace, decision) for trace, decision in zip(traces, decisions, strict=True)]
            tally_up(tally, done, group.judged)
            kept = [trace for trace in done if trace.decision and trace.decision.decision == "accepted"]
            keep([row_of_trace(source.taught(trace, corrections)) for trace in kept])
            if archived is not None:
                lines = Archive(tuple(archive_entries(traces, decisions))).to_lines()
                archived.writelines(f"{line}\n" for line in lines)
            book.add(done)
            yield sorted(done, key=lambda trace: (trace.task.id, trace.attempt.attempt))

    with (
        writing_pairs(out / PAIRS) as write,
        writing_rows(out / "new.parquet") as keep,
        nullcontext() if archive is None else writing_text(out / "archive.jsonl") as archived,
    ):
        book = PairWriter(write, corrections)
        write_traces(out.parent / "traces.parquet", decided(book, keep, archived))
    pairs = mix_pairs(section, out / PAIRS, [p.with_name(PAIRS) for p in older], out.parent / PAIRS, seed)
    with Stacked([out / "new.parquet", *older, anchor], ROWS) as stack:
        kinds = _mixed(section, stack, len(older), seed, frontier, out.parent / "train.parquet")
    figures = {**_figures(tally, kinds, refused), **book.figures(pairs)}
    if shares is not None:
        write_json(out / "quotas.json", shares.report())
        figures |= shares.figures()
    strata = dict(sorted(tally.strata.items()))
    summary = {"by_operations": tally.by_operations, "strata": strata, "solved": sorted(tally.solved)}
    write_json(out / "DONE", {"metrics": figures, **summary, "notices": notices(tally)})


def _example(trace: Trace, note: str) -> str:
    """A dropped attempt in a few words: what was said of it, and how it begins. `note`: the screen's, "" for none."""
    if note:
        return f"{trace.attempt.id} ({note})"
    said = next((v.reason for v in trace.verdicts if v.outcome is trace.outcome and v.reason), "")
    return f"{trace.attempt.id} ({said or 'no word'}): {' '.join(trace.attempt.text.split())[:EXAMPLE_CHARS]!r}"


REMEDIES = {
    "contaminated": "they share text with evaluation tasks ({rules}); leave a rule out of curate.decontaminate.rules where that is no leak",
    "privacy": "they hold what looks like personal data; curate.privacy: off keeps them",
    "error": "their verifier failed, so nobody knows whether they are right",
    "unverified": "no verifier had an opinion on them",
    "truncated": "they were cut off; raise generate.max_new_tokens",
    "invalid": "no answer was found in them; the task's prompt should say in which form it is wanted",
}
"""Reasons that say more about the set-up than about the student, and what to do about each."""


def notices(tally: Tally) -> list[str]:
    """A sentence for each reason of REMEDIES that dropped more than half of the round's attempts, with examples."""
    rules = ", ".join(f"{rule}: {count}" for rule, count in tally.leaks.most_common())
    return [
        f"{tally.reasons[reason]} of {tally.sampled} attempts were dropped as {reason}: {remedy.format(rules=rules)}. "
        f"Such as {'; '.join(tally.examples[reason])}"
        for reason, remedy in REMEDIES.items()
        if 2 * tally.reasons[reason] > tally.sampled
    ]


def _decided(trace: Trace, decision: Decision) -> Trace:
    """The trace with its decision; the records that it joins are not checked again."""
    return Trace.model_construct(
        task=trace.task,
        attempt=trace.attempt,
        verdicts=trace.verdicts,
        outcome=trace.outcome,
        decision=decision,
    )


def _counts(tags: Iterable[Collection[str]]) -> dict[str, int]:
    """In how many of the sets each tag is, in the order of the tags."""
    return dict(sorted(Counter(tag for one in tags for tag in one).items()))


def _mixed(
    section: Curate, stack: Stacked, older: int, seed: int, frontier: Frontier | None, out: Path
) -> Counter[str]:
    """Mixes this round's rows, older ones and the anchor, which stand in the stack in this order; how many of each kind."""
    new, past, human = stack.rows_of(0, 1), stack.rows_of(1, 1 + older), stack.rows_of(1 + older, 2 + older)
    operations = stack.column("operations")
    rows = mix(section, new, past, human, seed, frontier, operations.__getitem__)

    def kind(row: int) -> str:
        return "new" if row in new else "older" if row in past else "anchor"

    stack.write(out, rows, kind)
    return Counter(map(kind, rows))


def rules_of(section: Curate) -> SelectRules:
    """The selection's rules of a config section."""
    order = (*section.dedup, "bottom_share", "cap")
    return SelectRules(
        verified_only=section.verified_only,
        drop_share=section.drop_share,
        cap=section.cap,
        emphasis_floor=section.emphasis_floor,
        order=order,
    )


def grouped(
    tasks: TaskBook, attempts: ChunkFolder, judged: ChunkFolder, corrected: ChunkFolder | None = None
) -> Iterable[Group]:
    """Tasks, attempts and verdicts, chunk by chunk: attempts of one task, corrections too, always stand in one chunk."""

    def read() -> Iterator[Group]:
        second = read_corrections(corrected) if corrected else repeat(list[Corrected]())
        for first, words, more in zip(read_attempts(attempts), read_verified(judged), second, strict=False):
            made = [*first, *(one.attempt for one in more)]
            said = [*(Judged(one.verdicts, one.outcome) for one in words), *(one.judged for one in more)]
            asked = {one.attempt.id: one.asked for one in more}
            yield Group([tasks.named(a.task_id) for a in made], made, said, asked)

    return _Grouped(read)


class _Grouped:
    """Groups that can be gone through again: each time they are read anew."""

    def __init__(self, read: Callable[[], Iterator[Group]]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[Group]:
        return self._read()


class _Encoding:
    """Opens the encoder at the first attempt whose sampler gave no token ids; most runs never need it."""

    def __init__(self, open_encoder: Callable[[], Encoder]) -> None:
        self._open, self._encoder = open_encoder, None

    def completed(self, group: Group, task: Task, attempt: Attempt) -> Attempt:
        """The attempt with token ids, made from its text and the prompt it was asked by where it has none."""
        if attempt.completion_ids is not None and attempt.prompt_ids is not None:
            return attempt
        asked = group.asked.get(attempt.id) or Request.of(task)
        self._encoder = encoder = self._encoder or self._open()
        ids = {
            "prompt_ids": tuple(encoder.prompt(asked)),
            "completion_ids": tuple(encoder.completion(attempt.text)),
        }
        return attempt.model_copy(update={**ids, "retokenised": True})

    def traces(self, group: Group) -> list[Trace]:
        """The group's attempts with their verdicts, not decided on yet."""
        return [
            Trace(
                task=t,
                attempt=self.completed(group, t, a),
                verdicts=j.verdicts,
                outcome=j.outcome,
            )
            for t, a, j in zip(group.tasks, group.attempts, group.judged, strict=True)
        ]

    def taught(self, trace: Trace, corrections: Literal["final", "whole"]) -> Trace:
        """What a row is made from: a correction, where only its final solution is taught, stands under the task's own prompt."""
        if trace.attempt.turn == 0 or corrections == "whole":
            return trace
        self._encoder = encoder = self._encoder or self._open()
        ids = tuple(encoder.prompt(Request.of(trace.task)))
        return trace.model_copy(update={"attempt": trace.attempt.model_copy(update={"prompt_ids": ids})})

    _encoder: Encoder | None


def tally_up(tally: Tally, traces: Sequence[Trace], judged: Sequence[Judged]) -> None:
    """Counts a group of decided traces; all attempts of a task stand in one group."""
    passed: set[str] = set()
    solved: dict[str, Task] = {}
    tags: dict[str, tuple[str | None, bool]] = {}  # by task: operations, whether it was made
    for trace, one in zip(traces, judged, strict=True):
        right = one.outcome.value == "pass"
        accepted = trace.decision is not None and trace.decision.decision == "accepted"
        tally.sampled += 1
        tally.accepted += accepted
        tally.outcomes[one.outcome.value] += 1
        if trace.decision and not accepted:
            reason = "quota" if trace.decision.reason.startswith(QUOTA) else trace.decision.reason
            tally.reasons[reason] += 1
            if len(shown := tally.examples.setdefault(reason, [])) < EXAMPLES:
                shown.append(_example(trace, tally.notes.get(trace.attempt.id, "") if reason == "contaminated" else ""))
        tally.disagreements += one.disagree
        if right:
            passed.add(trace.task.id)
        if accepted:
            solved[trace.task.id] = trace.task
        if trace.task.id not in tags:
            tags[trace.task.id] = trace.task.tag("operations"), trace.task.tag("maker") is not None
        operations, made = tags[trace.task.id]
        if made:
            tally.made.update({"sampled": 1, "passed": int(right), "accepted": int(accepted)})
        if trace.attempt.turn:
            tally.corrections += 1
            tally.corrections_passed += right
            tally.corrections_accepted += accepted
            tally.corrections_copied += any(verdict.verifier == COPY for verdict in trace.verdicts)
            continue
        tally.first_turn += 1
        if operations is not None and not made:
            count = tally.by_operations.setdefault(operations, [0, 0])
            count[0] += right
            count[1] += 1
    tally.tasks_passed += len(passed)
    tally.solved += solved
    tally.strata.update(tag for task in solved.values() for tag in set(task.tags))


def _figures(tally: Tally, kinds: Counter[str], refused: int) -> dict[str, float]:
    rows = kinds.total()
    shares = {f"data/{kind}_share": round(kinds[kind] / max(1, rows), 6) for kind in ("new", "older", "anchor")}
    reasons = {f"data/dropped_{name}": count for name, count in sorted(tally.reasons.items())}
    outcomes = {f"data/outcome_{name}": count for name, count in sorted(tally.outcomes.items())}
    return {
        "data/sampled": tally.sampled,
        "data/passed": tally.outcomes["pass"],
        "data/accepted": tally.accepted,
        "data/accept_rate": round(tally.accepted / max(1, tally.sampled), 6),
        "data/tasks_solved": tally.tasks_passed,
        "data/tasks_refused": refused,
        "data/disagreements": tally.disagreements,
        "data/train_rows": rows,
        **shares,
        **outcomes,
        **reasons,
        **{f"data/made_{name}": count for name, count in sorted(tally.made.items())},
        **_correction_figures(tally),
    }


def _correction_figures(tally: Tally) -> dict[str, float]:
    """What second tries came to; nothing where there was none. The delta is over all first attempts (2409.12917: t2 - t1)."""
    if not tally.corrections:
        return {}
    made, passed = tally.corrections, wilson(tally.corrections_passed, tally.corrections)
    return {
        "data/correction_sampled": made,
        "data/correction_passed": tally.corrections_passed,
        "data/correction_accepted": tally.corrections_accepted,
        "data/correction_accept_rate": round(tally.corrections_accepted / made, 6),
        "data/correction_pass_rate": round(passed.value, 6),
        "data/correction_pass_rate_lo": round(passed.lo, 6),
        "data/correction_pass_rate_hi": round(passed.hi, 6),
        "data/correction_copy_rate": round(tally.corrections_copied / made, 6),
        "data/correction_delta": round(tally.corrections_passed / max(1, tally.first_turn), 6),
    }
