"""Reads a round's attempts, decides about them, and writes the traces, the training rows, the preference pairs and the counts."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

from selfplay.config.tree import Curate
from selfplay.curate import Archive, SelectRules, archive_entries, select
from selfplay.curate.quotas import Shares, apply_quotas
from selfplay.curate.screening import Screen, Screening
from selfplay.models.base import Encoder
from selfplay.models.encode import anchor_row, row_of_trace
from selfplay.phases.curate.mixing import LevelMix, anchor_cut, mix
from selfplay.phases.curate.pairs import PairWriter, mix_pairs
from selfplay.phases.curate.prompts import PromptChoice
from selfplay.phases.curate.tally import Tally, figures_of, notices, tally_up
from selfplay.records import Attempt, Decision, Request, Row, Task, Trace
from selfplay.runtime.attempts import Corrected, VerifiedAttempt, read_corrections
from selfplay.runtime.context import RoundContext
from selfplay.store import write_json
from selfplay.store.files import writing_text
from selfplay.store.traces import (
    PAIRS_FILE,
    ROWS,
    ROWS_FILE,
    Stacked,
    write_rows,
    write_traces,
    writing_pairs,
    writing_rows,
)
from selfplay.training.prompts import PROMPTS_FILE
from selfplay.verify import Judged


class Group(NamedTuple):
    """The part of a round that curation holds in memory at once: some tasks with all their attempts."""

    tasks: list[Task]
    """The task of each attempt."""
    attempts: list[Attempt]
    judged: list[Judged]
    requests: Mapping[str, Request] = {}
    """Attempt id -> its request, for attempts with another prompt than their task's own (corrections)."""


def groups_of(ctx: RoundContext) -> Iterator[Group]:
    """Tasks, attempts and verdicts, chunk by chunk. All attempts at a task, corrections included, are in the same chunk."""
    corrected = read_corrections(ctx.finished("correct")) if ctx.config.correct.attempts else repeat(list[Corrected]())
    attempts = ctx.finished("generate").iter_records(Attempt)
    verified = ctx.finished("verify").iter_records(VerifiedAttempt)
    for first, judged_first, more in zip(attempts, verified, corrected, strict=False):
        attempts_of_chunk = [*first, *(one.attempt for one in more)]
        judged = [*(Judged(one.verdicts, one.outcome) for one in judged_first), *(one.judged for one in more)]
        requests = {one.attempt.id: one.request for one in more}
        yield Group([ctx.tasks[a.task_id] for a in attempts_of_chunk], attempts_of_chunk, judged, requests)


class Encoding:
    """Adds missing token ids to attempts. It opens the encoder at the first attempt without ids, which most runs do not have."""

    def __init__(self, open_encoder: Callable[[], Encoder]) -> None:
        self._open, self._encoder = open_encoder, None

    def completed(self, group: Group, task: Task, attempt: Attempt) -> Attempt:
        """The attempt with token ids; if it has none, they are encoded from its prompt and its text."""
        if attempt.completion_ids is not None and attempt.prompt_ids is not None:
            return attempt
        request = group.requests.get(attempt.id) or Request.of(task)
        self._encoder = encoder = self._encoder or self._open()
        ids = {
            "prompt_ids": tuple(encoder.prompt(request)),
            "completion_ids": tuple(encoder.completion(attempt.text)),
        }
        return attempt.model_copy(update={**ids, "retokenised": True})

    def traces(self, group: Group) -> list[Trace]:
        """The group's attempts with their verdicts, without a decision yet."""
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
        """The trace from which a training row is built. With `final`, a correction gets the task's own prompt in place of its own."""
        if trace.attempt.turn == 0 or corrections == "whole":
            return trace
        self._encoder = encoder = self._encoder or self._open()
        ids = tuple(encoder.prompt(Request.of(trace.task)))
        return trace.model_copy(update={"attempt": trace.attempt.model_copy(update={"prompt_ids": ids})})

    _encoder: Encoder | None


def curate_anchor(anchor: Sequence[Task], encoder: Encoder, out: Path) -> None:
    """Round 0: writes the anchor's rows, which are the training rows of its warm-up."""
    rows = [anchor_row(encoder, task) for task in anchor]
    write_rows(out / "anchor.parquet", rows)
    write_rows(out.parent / ROWS_FILE, rows)
    with writing_pairs(out.parent / PAIRS_FILE):
        pass  # an empty file: every round has pairs.parquet
    figures = {"data/anchor_rows": len(rows), "data/train_rows": len(rows)}
    strata = dict(sorted(Counter(tag for task in anchor for tag in set(task.tags)).items()))
    write_json(out / "DONE", {"metrics": figures, "by_difficulty": {}, "strata": strata, "solved": []})


class Selected(NamedTuple):
    """A group of traces with the decision and the verdicts on each."""

    traces: list[Trace]
    decisions: list[Decision]
    judged: list[Judged]


@dataclass
class Curation:
    """The curation of one round; `run` is called once."""

    section: Curate
    encoder: Callable[[], Encoder]
    """Opens the student's encoder. Called only if an attempt has no token ids, or a correction gets another prompt."""
    archive: Archive | None
    """What earlier rounds accepted; None if rounds are not compared, and then no archive is written either."""
    screen: Screen | None
    older: Sequence[Path]
    """The new.parquet of each ancestor of this round; its pairs.parquet is in the same folder."""
    anchor: Path
    """Round 0's anchor.parquet."""
    seed: int
    out: Path
    """The phase's folder; traces.parquet, train.parquet and pairs.parquet are written to its parent."""
    corrections: Literal["final", "whole"] = "final"
    """What an accepted correction is trained on; see `correct.format`."""
    level: LevelMix | None = None
    """The curriculum's level and the rows of a round; None without a curriculum or without `train.steps`."""
    filtered: int = 0
    """Number of drawn tasks that `propose` left out."""
    prompts: PromptChoice | None = None
    """Chooses the prompts of a method that samples while it trains, for prompts.jsonl; None for other methods."""
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._encoding = Encoding(self.encoder)

    def run(self, groups: Iterable[Group]) -> list[str]:
        """Writes traces, rows, pairs and DONE; returns notes for the user.

        `groups`: whole tasks. One group is in memory at a time; with quotas, which are shares of the whole round, all are.
        """
        selected: Iterable[Selected] = map(self._select, groups)
        shares: Shares | None = None
        if self.section.quotas:
            every = list(selected)
            shares = apply_quotas(self.section.quotas, [(one.traces, one.decisions) for one in every])
            selected = [Selected(*shares.over(one.traces), one.judged) for one in every]
        pairs = self._write(selected)
        trained = mix_pairs(
            self.section,
            self.out / PAIRS_FILE,
            [p.with_name(PAIRS_FILE) for p in self.older],
            self._in_round(PAIRS_FILE),
            self.seed,
        )
        mixed, cut = self._mixed()
        figures = {**figures_of(self.tally, mixed, self.filtered), **pairs.figures(trained)}
        notes = [*notices(self.tally), *filter(None, [cut])]
        if self.prompts is not None:
            self.prompts.write(self._in_round(PROMPTS_FILE))
            figures |= self.prompts.figures()
            notes = [self.prompts.note(), *notes]
        if shares is not None:
            write_json(self.out / "quotas.json", shares.report())
            figures |= shares.figures()
            notes = [*shares.unmet(), *notes]
        summary = {
            "by_difficulty": self.tally.by_difficulty,
            "strata": dict(sorted(self.tally.strata.items())),
            "solved": sorted(self.tally.solved),
        }
        write_json(self.out / "DONE", {"metrics": figures, "remarks": notes, **summary})
        return notes

    def _in_round(self, name: str) -> Path:
        return self.out.parent / name

    def _select(self, group: Group) -> Selected:
        traces = self._encoding.traces(group)
        screened = self.screen(traces) if self.screen else Screening()
        self.tally.screened(screened)
        decisions = select(traces, rules_of(self.section), self.archive or Archive(), screened.flags)
        return Selected(traces, decisions, group.judged)

    def _write(self, selected: Iterable[Selected]) -> PairWriter:
        """Writes what does not depend on earlier rounds: traces, new rows, new pairs, archive."""
        with (
            writing_pairs(self.out / PAIRS_FILE) as write,
            writing_rows(self.out / "new.parquet") as keep,
            nullcontext() if self.archive is None else writing_text(self.out / "archive.jsonl") as archived,
        ):
            pairs = PairWriter(write, self.corrections)
            write_traces(self._in_round("traces.parquet"), self._decided(selected, pairs, keep, archived))
        return pairs

    def _decided(
        self,
        selected: Iterable[Selected],
        pairs: PairWriter,
        keep: Callable[[Sequence[Row]], None],
        archived: TextIO | None,
    ) -> Iterator[list[Trace]]:
        for traces, decisions, judged in selected:
            done = [t.model_copy(update={"decision": d}) for t, d in zip(traces, decisions, strict=True)]
            tally_up(self.tally, done, judged)
            kept = [trace for trace in done if trace.decision and trace.decision.decision == "accepted"]
            keep([row_of_trace(self._encoding.taught(trace, self.corrections)) for trace in kept])
            if archived is not None:
                lines = Archive(tuple(archive_entries(traces, decisions))).to_lines()
                archived.writelines(f"{line}\n" for line in lines)
            pairs.add(done)
            if self.prompts is not None:
                self.prompts.add(done)
            yield sorted(done, key=lambda trace: (trace.task.id, trace.attempt.attempt))

    def _mixed(self) -> tuple[Counter[str], str]:
        """Mixes this round's rows, older rows and the anchor into train.parquet.

        Returns the number of each kind, and what was cut from the anchor's share.
        """
        with Stacked([self.out / "new.parquet", *self.older, self.anchor], ROWS) as stack:
            older = 1 + len(self.older)
            new, past, human = stack.rows_of(0, 1), stack.rows_of(1, older), stack.rows_of(older, older + 1)
            difficulty = stack.column("difficulty")
            rows = mix(self.section, new, past, human, self.seed, self.level, difficulty.__getitem__)

            def kind(row: int) -> str:
                return "new" if row in new else "older" if row in past else "anchor"

            stack.write(self._in_round(ROWS_FILE), rows, kind)
            counts = Counter(map(kind, rows))
        return counts, anchor_cut(self.section, counts["new"] + counts["older"], len(human))


def rules_of(section: Curate) -> SelectRules:
    """The rules of the selection, from the section `curate`."""
    order = (*section.dedup, "bottom_share", "cap")
    return SelectRules(
        verified_only=section.verified_only,
        drop_share=section.drop_bottom_share,
        cap=section.max_per_task,
        emphasis_floor=section.emphasis_floor,
        order=order,
    )
