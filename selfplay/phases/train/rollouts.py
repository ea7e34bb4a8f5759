"""What becomes of the roll-outs of a training: they are traces of the round, and some that passed are judged again."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from selfplay.collapse.estimate import wilson
from selfplay.records import Outcome, Trace
from selfplay.runtime.attempts import row_of
from selfplay.runtime.context import RoundContext
from selfplay.runtime.metrics.base import interval, rounded
from selfplay.runtime.metrics.rollouts import PRECISION
from selfplay.runtime.second_checks import Recheck, scope_of, second_verdicts
from selfplay.store import write_whole
from selfplay.store.traces import read_parquet, replace_origin
from selfplay.training.methods.base import TrainingMethod
from selfplay.training.rollouts import FOLDER, Rollout, numbered, read_rollouts
from selfplay.verify.audit_rates import DECIDED, sample


def keep_rollouts(ctx: RoundContext, method: TrainingMethod) -> dict[str, Any]:
    """Adds the roll-outs to the round's traces and judges some again, on rank 0; returns the figures. Called again it does the same."""
    out = ctx.at("train")
    if not (out / FOLDER).is_dir():
        return {}
    batches = [[_without_tokens(row) for row in batch] for batch in read_rollouts(out)]
    path, taken = ctx.run.round(ctx.number) / "traces.parquet", dict[str, int]()
    for row in read_parquet(path, ("task_id", "attempt", "origin")):
        if row["origin"] != "rollout":
            taken[row["task_id"]] = max(taken.get(row["task_id"], 0), row["attempt"] + 1)
    replace_origin(path, "rollout", (_traces(ctx, batch) for batch in numbered(read_rollouts(out), taken)))
    figures = {**method.rollout_figures(batches), **_judged_again(ctx, batches)}
    return {key: rounded(key, value) for key, value in figures.items()}


def _without_tokens(row: Rollout) -> Rollout:
    bare = {"prompt_ids": None, "completion_ids": None, "logprobs": None}
    return row.model_copy(update={"attempt": row.attempt.model_copy(update=bare)})


def _traces(ctx: RoundContext, batch: Sequence[Rollout]) -> list[Trace]:
    """A batch as traces without a decision, since curation does not choose among them."""
    made = [
        Trace(task=ctx.tasks[row.attempt.task_id], attempt=row.attempt, verdicts=row.verdicts, outcome=row.outcome)
        for row in batch
    ]
    return sorted(made, key=lambda trace: (trace.task.id, trace.attempt.attempt))


def _judged_again(ctx: RoundContext, batches: Sequence[Sequence[Rollout]]) -> dict[str, float]:
    """The share of passed roll-outs of the last quarter of the batches that a second check passes too; {} where none is judged."""
    section, source = ctx.config.audit, ctx.resources.source
    rechecks = list(_rechecks(ctx, batches[-max(1, len(batches) // 4) :])) if section.share else []
    if not rechecks:
        return {}
    with ctx.resources.auditors() as opened, ctx.progress.timed("audit"):
        second = second_verdicts(section, rechecks, opened, source, ctx.config.seed)
    lines = (json.dumps(row_of(one.attempt, judged)) + "\n" for one, judged in zip(rechecks, second, strict=True))
    write_whole(ctx.at("train") / "rechecked.jsonl", "".join(lines))
    decided = [judged.outcome for judged in second if judged.outcome in DECIDED]
    if not decided:
        return {}
    right = sum(outcome is Outcome.PASS for outcome in decided)
    return interval(PRECISION, wilson(right, len(decided)))


def _rechecks(ctx: RoundContext, batches: Sequence[Sequence[Rollout]]) -> Iterator[Recheck]:
    """A sample of the passed roll-outs, one at most of each task, the newest: attempts at one task are not independent."""
    section, source = ctx.config.audit, ctx.resources.source
    newest = {row.attempt.task_id: row for batch in batches for row in batch if row.outcome is Outcome.PASS}
    found = [
        Recheck(ctx.tasks[name], row.attempt, row.outcome, scope)
        for name, row in sorted(newest.items())
        if (scope := scope_of(ctx.tasks[name], section, source)) is not None
    ]
    share = min(section.share, section.max_rechecked / max(1, len(found)))
    least = min(section.min_rechecked, section.max_rechecked)
    for place in sample(len(found), share, ctx.config.seed, "rollouts", ctx.number, at_least=least):
        yield found[place]
