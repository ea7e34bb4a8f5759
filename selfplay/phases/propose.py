"""Floor 5: the tasks of a round, as the source draws them, around the curriculum's level where there is one."""

from collections.abc import Mapping

from selfplay.config.tree import Curriculum
from selfplay.runtime.context import RoundContext
from selfplay.runtime.round_tasks import write_tasks
from selfplay.store import write_json

EDGE_OF_KNOWN = 0.6
"""Share of the mastered tasks that lie at the edge itself: what was mastered last is forgotten first."""


def propose(ctx: RoundContext) -> None:
    """Writes the round's tasks, and DONE with what was filtered out and the shares by difficulty; rank 0 alone."""
    ctx.on_main_rank("propose", lambda: _propose(ctx))


def _propose(ctx: RoundContext) -> None:
    section, level = ctx.config.propose, ctx.level
    shares = edge_shares(section.curriculum, level) if section.curriculum and level is not None else None
    found = ctx.resources.source.propose(section.tasks_per_round, shares, ctx.seed("propose"))
    write_tasks(ctx.at("propose"), found.tasks)
    by_difficulty = {str(difficulty): share for difficulty, share in (shares or {}).items()}
    summary = {"tasks": len(found.tasks), "filtered": found.refused, "shares": by_difficulty}
    write_json(ctx.at("propose") / "DONE", summary)
    if warning := too_many_filtered(len(found.tasks), found.refused):
        ctx.note(warning)


def too_many_filtered(tasks: int, filtered: int) -> str:
    """A sentence where more than half of the draws were filtered out; else ""."""
    drawn = tasks + filtered
    if 2 * filtered <= drawn:
        return ""
    return (
        f"{filtered} of {drawn} drawn tasks were filtered out, as they are held out for the dev set or the test set; widen the source "
        "(more operation counts), hold out fewer tasks, or lower propose.tasks_per_round"
    )


def edge_shares(curriculum: Curriculum, edge: int) -> dict[int, float]:
    """Shares by operation count: one and two steps beyond the edge; of the rest, most at the edge, the others below."""
    edge = min(max(edge, curriculum.start), curriculum.end)
    known = 1 - curriculum.next_share - curriculum.after_share
    below = range(min(2, edge), edge)
    shares = dict.fromkeys(below, known * (1 - EDGE_OF_KNOWN) / max(1, len(below)))
    shares[edge] = known * (EDGE_OF_KNOWN if below else 1.0)
    for count, share in ((edge + 1, curriculum.next_share), (edge + 2, curriculum.after_share)):
        count = min(count, curriculum.end)
        shares[count] = shares.get(count, 0.0) + share
    return {count: share for count, share in shares.items() if share > 0}


def next_edge(curriculum: Curriculum, edge: int, right: Mapping[int, tuple[int, int]]) -> int:
    """The edge of the next round: on while `advance_at` of the attempts at the next count were right.

    `right` maps operation counts to (right attempts, attempts) of this round's training tasks; dev set and test set have no
    say.
    """
    edge = min(max(edge, curriculum.start), curriculum.end)
    while edge < curriculum.end:
        passed, attempts = right.get(edge + 1, (0, 0))
        if not attempts or passed / attempts < curriculum.advance_at:
            break
        edge += 1
    return edge
