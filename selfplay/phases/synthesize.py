"""The phase `synthesize`: adds new tasks, derived from tasks that earlier rounds solved, with more of them in rare strata.

It runs only if `propose.synthesize` is set; all ranks share its chunks. This file collects the input of the methods, which are in
`selfplay.synthesis`: tasks that were solved in earlier rounds (`curate/DONE`, `tasks.jsonl`), gaps in the coverage of rare strata,
and the curriculum's level. Writes `synthesize/tasks.jsonl`, `synthesize/metrics.json` and `synthesize/DONE`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from selfplay.config.synthesis import RoundSynthesis
from selfplay.records import Task
from selfplay.runtime.context import RoundContext, read_tasks
from selfplay.runtime.resources import RunResources
from selfplay.store import read_json
from selfplay.synthesis.coverage import Gap, mean_coverage, measure_gaps
from selfplay.synthesis.round_synthesis import METRICS_FILE, RoundInput, synthesize_tasks
from selfplay.synthesis.teacher_methods import SynthesisTools, configured_gaps
from selfplay.tasks import Evolver


def synthesize(ctx: RoundContext) -> None:
    """Writes the round's synthesized tasks; does nothing if `propose.synthesize` is not set."""
    section = ctx.config.propose.synthesize
    if section is None:
        return
    synthesize_tasks(
        section,
        round_input(ctx, section),
        open_tools=lambda: _open_tools(ctx.resources),
        max_error_share=ctx.config.verify.max_error_share,
        seed=ctx.config.seed,
        round=ctx.number,
        out=ctx.at("synthesize"),
        ranks=ctx.ranks,
        progress=ctx.progress,
    )


def synthesis_metrics(ctx: RoundContext) -> dict[str, float]:
    """The round's synthesis metrics, and the coverage of rare strata before and after this round; {} in a round without synthesis.

    Must be called after the phase `curate`.
    """
    if not (ctx.at("synthesize") / METRICS_FILE).is_file():
        return {}
    found: dict[str, float] = read_json(ctx.at("synthesize") / METRICS_FILE)
    before, after = _gaps(ctx, _solved_by_tag(ctx)), _gaps(ctx, _solved_by_tag(ctx, own=True))
    if after:
        found["data/rare_coverage_before"] = round(mean_coverage(before), 6)
        found["data/rare_coverage_after"] = round(mean_coverage(after), 6)
    return found


@contextmanager
def _open_tools(resources: RunResources) -> Iterator[SynthesisTools]:
    with resources.verifiers() as verifiers, resources.teacher() as teacher:
        yield SynthesisTools(resources.source, verifiers, teacher, resources.texts, resources.screen)


def round_input(ctx: RoundContext, section: RoundSynthesis) -> RoundInput:
    """The input of this round's methods; it is the same at every start."""
    level, curriculum, source = ctx.level, ctx.config.propose.curriculum, ctx.resources.source
    shares = read_json(ctx.at("propose") / "DONE")["shares"]
    gaps = _gaps(ctx, _solved_by_tag(ctx))
    if section.rare is not None:
        measured = {gap.axis for gap in gaps}
        gaps += [gap for gap in configured_gaps(section.rare) if gap.axis not in measured]
    return RoundInput(
        parents=solved_tasks(ctx),
        proposed=[task.id for task in read_tasks(ctx.at("propose"))],
        gaps=gaps,
        source_axes=ctx.config.tasks.axes,
        texts=ctx.resources.texts,
        shares={int(difficulty): share for difficulty, share in shares.items()} or None,
        level=level,
        can_evolve=source.can_evolve if isinstance(source, Evolver) else lambda task: False,
        longest=None if level is None or curriculum is None else min(level + 2, curriculum.end),
    )


def solved_tasks(ctx: RoundContext) -> list[Task]:
    """The anchor, and the tasks with an accepted attempt in an ancestor of this round; sorted by id, each in its latest version."""
    found = {task.id: task for task in ctx.resources.source.fixed.anchor}
    for commit in ctx.chain:
        if commit.round:
            solved = set(read_json(ctx.run.phase(commit.round, "curate") / "DONE").get("solved", ()))
            for phase in ("propose", "synthesize"):
                tasks = read_tasks(ctx.run.phase(commit.round, phase))
                found |= {task.id: task for task in tasks if task.id in solved}
    return [found[name] for name in sorted(found)]


def _solved_by_tag(ctx: RoundContext, own: bool = False) -> Counter[str]:
    """The number of solved tasks by tag, over the anchor and the round's ancestors; with `own`, over this round too."""
    total: Counter[str] = Counter()
    for number in [commit.round for commit in ctx.chain] + [ctx.number] * own:
        total.update(read_json(ctx.run.phase(number, "curate") / "DONE").get("strata", {}))
    return total


def _gaps(ctx: RoundContext, solved: Mapping[str, float]) -> list[Gap]:
    """How well solved tasks cover each stratum, compared with its share of the dev set. The axes are the taxonomy's and the source's."""
    section = ctx.config.propose.synthesize
    taxonomy = dict(section.rare.taxonomy) if section is not None and section.rare is not None else {}
    axes = {**taxonomy, **ctx.config.tasks.axes}
    return measure_gaps(axes, solved, [task.tags for task in ctx.resources.source.fixed.dev])
