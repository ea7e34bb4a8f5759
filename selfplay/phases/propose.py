"""The phase `propose`: draws the round's tasks from the task source, around the curriculum's level if there is a curriculum.

Runs on rank 0 alone. Reads the pass rates in the `traces.parquet` of earlier rounds, if tasks have no difficulty of their own.
Writes `propose/tasks.jsonl`, and `propose/DONE` with counts and the shares by difficulty.
"""

from collections import defaultdict

from selfplay.errors import DataError
from selfplay.records import Outcome
from selfplay.runtime.context import RoundContext, write_tasks
from selfplay.runtime.prompt_lengths import fitting, limits_of
from selfplay.store import write_json
from selfplay.store.traces import read_parquet
from selfplay.tasks import Proposal, draw
from selfplay.tasks.levels import Tally, level_shares, with_levels

JUDGED = {Outcome.PASS.value, Outcome.FAIL.value, Outcome.INVALID.value}
"""Outcomes that count when a task's difficulty is estimated."""


def propose(ctx: RoundContext) -> None:
    """Writes the round's tasks, and DONE with the number filtered out and the shares by difficulty; on rank 0 alone."""
    ctx.on_main_rank("propose", lambda: _propose(ctx))


def _propose(ctx: RoundContext) -> None:
    proposal, shares = _draw(ctx)
    limit = limits_of(ctx.resources.student_section.context(ctx.student), ctx.config.train.max_length)
    fits = fitting(proposal.tasks, limit, lambda: ctx.resources.encoder(ctx.student))
    if fits.skipped and not fits.tasks:
        raise DataError(f"round {ctx.number}: {fits.note}")
    if fits.note:
        ctx.note(fits.note)
    proposal = Proposal(fits.tasks, proposal.filtered)
    write_tasks(ctx.at("propose"), proposal.tasks)
    by_difficulty = {str(difficulty): share for difficulty, share in shares.items()}
    summary = {
        "remarks": [fits.note] * bool(fits.note),
        "tasks": len(proposal.tasks),
        "filtered": proposal.filtered + fits.skipped,
        "shares": by_difficulty,
    }
    write_json(ctx.at("propose") / "DONE", summary)
    if warning := too_many_filtered(len(proposal.tasks), proposal.filtered):
        ctx.note(warning)
    wanted = ctx.config.propose.tasks_per_round or 0
    if shares and len(proposal.tasks) + proposal.filtered < wanted:
        levels = ", ".join(map(str, sorted(shares)))
        ctx.note(
            f"{len(proposal.tasks)} of {wanted} tasks were drawn: the source has no more tasks of difficulty {levels}"
        )


def _draw(ctx: RoundContext) -> tuple[Proposal, dict[int, float]]:
    """The round's tasks, and the shares that were asked for by difficulty; {} without a curriculum."""
    section, source, level = ctx.config.propose, ctx.resources.source, ctx.level
    if section.curriculum is None or level is None:
        return source.propose(section.tasks_per_round, None, ctx.seed("propose")), {}
    if all(task.difficulty is not None for task in source.pool):
        shares = level_shares(section.curriculum, level, source.levels)
        return source.propose(section.tasks_per_round, shares, ctx.seed("propose")), shares
    pool = with_levels(source.pool, _tallies(ctx), section.curriculum, level)
    shares = level_shares(section.curriculum, level, {task.difficulty for task in pool if task.difficulty})
    return Proposal(draw(pool, section.tasks_per_round, ctx.seed("propose"), shares)), shares


def _tallies(ctx: RoundContext) -> dict[str, Tally]:
    """(right attempts, attempts) by task id over the round's ancestors, without corrections and roll-outs."""
    right, attempts = defaultdict[str, int](int), defaultdict[str, int](int)
    files = [ctx.run.round(commit.round) / "traces.parquet" for commit in ctx.chain if commit.round]
    for row in (row for file in files for row in read_parquet(file, ("task_id", "turn", "origin", "outcome"))):
        if row["turn"] == 0 and row["origin"] != "rollout" and row["outcome"] in JUDGED:
            attempts[row["task_id"]] += 1
            right[row["task_id"]] += row["outcome"] == Outcome.PASS.value
    return {name: (right[name], count) for name, count in attempts.items()}


def too_many_filtered(tasks: int, filtered: int) -> str:
    """A note if more than half of the drawn tasks were filtered out; "" otherwise."""
    drawn = tasks + filtered
    if 2 * filtered <= drawn:
        return ""
    return (
        f"{filtered} of {drawn} drawn tasks were filtered out because they are held out for the dev set or the test set; widen the source "
        "(more levels of difficulty), hold out fewer tasks, or lower propose.tasks_per_round"
    )
