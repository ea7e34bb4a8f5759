"""Floor 5: what the makers of a round start from, out of the chain of parents: solved tasks, gaps in the tail, the level."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from selfplay.records import Task
from selfplay.runtime.context import RoundContext
from selfplay.runtime.resources import RunResources
from selfplay.runtime.round_tasks import read_tasks
from selfplay.store import read_json
from selfplay.synthesis import rare, rounds
from selfplay.synthesis.makers import Tools, gaps_in


def synthesize(ctx: RoundContext) -> None:
    """The makers' phase of a round."""
    section = ctx.config.propose.make
    if section is None:
        return
    rounds.make_tasks(
        section,
        stock_of(ctx),
        open_tools=lambda: open_tools(ctx.resources),
        max_error_share=ctx.config.verify.max_error_share,
        seed=ctx.config.seed,
        round=ctx.number,
        out=ctx.at("synthesize"),
        ranks=ctx.ranks,
        progress=ctx.progress,
    )


@contextmanager
def open_tools(resources: RunResources) -> Iterator[Tools]:
    """What the makers of a round work with: the source, all verifiers, the teacher where one is configured."""
    with resources.verifiers() as verifiers, resources.teacher() as teacher:
        yield Tools(resources.source, verifiers, teacher, resources.texts, resources.screen)


def stock_of(ctx: RoundContext) -> rounds.Stock:
    """What this round's makers start from; the same at every start."""
    section, curriculum = ctx.config.propose.make, ctx.config.propose.curriculum
    level, shares = ctx.level, read_json(ctx.at("propose") / "DONE")["shares"]
    gaps = gaps_of(ctx, strata_of(ctx))
    if section is not None and section.rare is not None:
        known = {gap.axis for gap in gaps}
        gaps += [gap for gap in gaps_in(section.rare) if gap.axis not in known]
    return rounds.Stock(
        parents=solved(ctx),
        drawn=[task.id for task in read_tasks(ctx.at("propose"))],
        gaps=gaps,
        texts=ctx.resources.texts,
        shares={int(difficulty): share for difficulty, share in shares.items()} or None,
        level=level,
        longest=None if level is None or curriculum is None else min(level + 2, curriculum.end),
    )


def solved(ctx: RoundContext) -> list[Task]:
    """Tasks of which an earlier round of the chain accepted an attempt, and the anchor; each once, the latest form."""
    found = {task.id: task for task in ctx.resources.source.fixed.anchor}
    for commit in ctx.chain:
        if commit.round:
            right = set(read_json(ctx.run.phase(commit.round, "curate") / "DONE").get("solved", ()))
            for phase in ("propose", "synthesize"):
                tasks = read_tasks(ctx.run.phase(commit.round, phase))
                found |= {task.id: task for task in tasks if task.id in right}
    return [found[name] for name in sorted(found)]


def strata_of(ctx: RoundContext, own: bool = False) -> Counter[str]:
    """Solved tasks by tag, in the anchor and all rounds that this one stands on; with `own`, its own curated ones too."""
    total: Counter[str] = Counter()
    for number in [commit.round for commit in ctx.chain] + [ctx.number] * own:
        total.update(read_json(ctx.run.phase(number, "curate") / "DONE").get("strata", {}))
    return total


def axes_of(ctx: RoundContext) -> dict[str, tuple[str, ...]]:
    """The axes on which this run's tail is measured: the taxonomy's, and the source's own."""
    section = ctx.config.propose.make
    if section is None:
        return {}
    return {**(section.rare.taxonomy if section.rare else {}), **ctx.config.tasks.axes}


def gaps_of(ctx: RoundContext, strata: Mapping[str, float]) -> list[rare.Gap]:
    """How well the tail is covered, against the dev set's shares, which are fixed at round 0."""
    return rare.measured(axes_of(ctx), strata, [task.tags for task in ctx.resources.source.fixed.dev])


def figures(ctx: RoundContext) -> dict[str, float]:
    """What the round made, and coverage of the tail before and after it; nothing in a round without makers."""
    if not (ctx.at("synthesize") / "metrics.json").is_file():
        return {}
    found: dict[str, float] = read_json(ctx.at("synthesize") / "metrics.json")
    before, after = gaps_of(ctx, strata_of(ctx)), gaps_of(ctx, strata_of(ctx, own=True))
    if after:
        found["data/rare_coverage_before"] = round(rare.covered(before), 6)
        found["data/rare_coverage_after"] = round(rare.covered(after), 6)
    return found
