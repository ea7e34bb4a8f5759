"""Floor 5: what the makers of a round start from, out of the chain of parents: solved tasks, gaps in the tail, the edge."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from selfplay.loop.round import Round
from selfplay.phases import propose
from selfplay.records import Task
from selfplay.runtime.resources import RunResources
from selfplay.store import read_json
from selfplay.synthesis import rare, rounds
from selfplay.synthesis.makers import Tools, gaps_in
from selfplay.tasks import listprograms


def make(this: Round, edge: int | None) -> None:
    """The makers' phase of a round."""
    section = this.config.propose.make
    if section is None:
        return
    rounds.make_tasks(
        section,
        stock_of(this, edge),
        open_tools=lambda: open_tools(this.resources),
        max_error_share=this.config.verify.max_error_share,
        seed=this.config.seed,
        round=this.number,
        out=this.at("make"),
        ranks=this.ranks,
        progress=this.progress,
    )


@contextmanager
def open_tools(resources: RunResources) -> Iterator[Tools]:
    """What the makers of a round work with: the source, all verifiers, the teacher where one is configured."""
    with resources.verifiers() as verifiers, resources.teacher() as teacher:
        yield Tools(resources.source, verifiers, teacher, resources.texts, resources.screen)


def stock_of(this: Round, edge: int | None) -> rounds.Stock:
    """What this round's makers start from; the same at every start."""
    section, curriculum = this.config.propose.make, this.config.propose.curriculum
    head = propose.read_head(this.at("propose"))
    gaps = gaps_of(this, strata_of(this))
    if section is not None and section.rare is not None:
        known = {gap.axis for gap in gaps}
        gaps += [gap for gap in gaps_in(section.rare) if gap.axis not in known]
    return rounds.Stock(
        parents=solved(this),
        drawn=propose.read_tasks(this.at("propose")).ids,
        gaps=gaps,
        texts=this.resources.texts,
        lengths={int(length): share for length, share in head.shares.items()} or None,
        edge=edge,
        longest=None if edge is None or curriculum is None else min(edge + 2, curriculum.end),
    )


def solved(this: Round) -> list[Task]:
    """Tasks of which an earlier round of the chain accepted an attempt, and the anchor; each once, the latest form."""
    found = {task.id: task for task in this.resources.source.fixed.anchor}
    for commit in this.chain:
        if commit.round:
            right = set(read_json(this.run.phase(commit.round, "curate") / "DONE").get("solved", ()))
            for tasks in (
                propose.read_tasks(this.run.phase(commit.round, "propose")),
                rounds.read_made(this.run.phase(commit.round, "make")),
            ):
                found |= {name: tasks.named(name) for name in tasks.ids if name in right}
    return [found[name] for name in sorted(found)]


def strata_of(this: Round, own: bool = False) -> Counter[str]:
    """Solved tasks by tag, in the anchor and all rounds that this one stands on; with `own`, its own curated ones too."""
    total: Counter[str] = Counter()
    for number in [commit.round for commit in this.chain] + [this.number] * own:
        total.update(read_json(this.run.phase(number, "curate") / "DONE").get("strata", {}))
    return total


def axes_of(this: Round) -> dict[str, tuple[str, ...]]:
    """The axes on which this run's tail is measured: the taxonomy, and the operations of list programs."""
    section = this.config.propose.make
    if section is None:
        return {}
    taxonomy = dict(section.rare.taxonomy) if section.rare else {}
    if this.config.tasks.source == "list_programs":
        taxonomy["operation"] = tuple(operation.name for operation in listprograms.OPERATIONS)
    return taxonomy


def gaps_of(this: Round, strata: Mapping[str, float]) -> list[rare.Gap]:
    """How well the tail is covered, against the dev set's shares, which are fixed at round 0."""
    return rare.measured(axes_of(this), strata, [task.tags for task in this.resources.source.fixed.dev])


def note_quotas(this: Round) -> None:
    """Says which shares were asked for and could not be reached, and why not."""
    place = this.at("curate") / "quotas.json"
    for line in read_json(place) if place.is_file() else ():
        if not line["met"]:
            this.progress.note(f"quota {line['tag']} {line['asked']}: reached {line['reached']:.3f}; {line['why']}")


def figures(this: Round) -> dict[str, float]:
    """What the round made, and coverage of the tail before and after it; nothing in a round without makers."""
    if not (this.at("make") / "metrics.json").is_file():
        return {}
    found: dict[str, float] = read_json(this.at("make") / "metrics.json")
    before, after = gaps_of(this, strata_of(this)), gaps_of(this, strata_of(this, own=True))
    if after:
        found["data/rare_coverage_before"] = round(rare.covered(before), 6)
        found["data/rare_coverage_after"] = round(rare.covered(after), 6)
    return found
