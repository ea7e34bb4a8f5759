"""Floor 6: the end of a round: the gate's ruling, the weights in their place, the COMMIT last."""

import platform
from functools import cache
from importlib import metadata
from typing import Any

from selfplay.loop import gate
from selfplay.loop.round import Round
from selfplay.loop.steps import PHASES, edge_after, phases_of
from selfplay.phases import synthesize
from selfplay.phases.curate import provenance
from selfplay.runtime.timing import read_times
from selfplay.store import Commit, read_json, sha256_of


def commit_round(this: Round) -> Commit:
    """Rules on the round, puts its weights in place, and writes its COMMIT: from then on it exists."""
    parts = ("audit", "curate", "train")
    summaries = {
        name: read_json(this.at(name) / "DONE") for name in parts if name in phases_of(this.config, this.number)
    }
    row = {
        "round": this.number,
        **(synthesize.figures(this) if this.number else {}),
        **summaries.get("audit", {"metrics": {}})["metrics"],
        **summaries["curate"]["metrics"],
        **summaries["train"]["metrics"],
        **_provenance(this),
        **read_json(this.at("evaluate") / "metrics.json"),
    }
    ruling = gate.gate(this.config.gate, this.number, this.parent, row, this.commits, this.knobs)
    time = read_times([this.at(name) for name in PHASES])
    this.run.place_model(this.number)
    commit = Commit(
        round=this.number,
        parent=this.parent,
        action=ruling.action,
        reason=ruling.reason,
        next_parent=ruling.next_parent,
        knobs=_next_knobs(this, ruling, summaries["curate"]["by_operations"]),
        metrics={key: value for key, value in {**row, **ruling.figures}.items() if key != "round"},
        inputs={"parent": sha256_of(this.run.round(this.parent) / "COMMIT")} if this.parent is not None else {},
        outputs=this.run.outputs(this.number, ("traces.parquet", "train.parquet", "pairs.parquet", "model")),
        versions=_versions(),
        world_size=this.ranks.world_size,
        train_steps=(this.commits[-1].train_steps if this.commits else 0)
        + int(summaries["train"]["metrics"].get("train/steps", 0)),
        time=time,
        cost=_cost(this),
    )
    this.run.commit(commit)
    commits = [*this.commits, commit]
    this.run.prune(_kept(this, commits))
    return commit


def _provenance(this: Round) -> dict[str, float]:
    """What the round's training data is made of."""
    human = [task.reference or "" for task in this.resources.source.fixed.anchor]
    tasks = len(this.tasks) if this.number else 0
    return provenance.figures(this.run.round(this.number), this.number, tasks, this.config.curate.cap, human)


def _cost(this: Round) -> dict[str, float]:
    """What the round's requests to servers cost: all that was spent, less what earlier rounds account for."""
    before = {key: sum(commit.cost.get(key, 0.0) for commit in this.commits) for key in this.resources.spent()}
    return {key: round(total - before[key], 6) for key, total in this.resources.spent().items()}


def _kept(this: Round, commits: list[Commit]) -> set[int]:
    """Rounds whose weights stay: what `keep` names, and what a later round may start from."""
    section = this.config.keep
    kept = {commit.round for commit in commits[-section.last :]} | {commits[-1].next_parent}
    if section.first or this.config.train.start == "from_base":
        kept.add(0)
    return kept | ({gate.best_round(commits)} if section.best else set())


def _next_knobs(this: Round, ruling: gate.Ruling, by_operations: dict[str, list[int]]) -> dict[str, Any]:
    """What the next round is told: after a roll-back the edge stays where the abandoned round found it."""
    knobs = {**this.knobs, **ruling.knobs}
    return knobs if ruling.action == "roll_back" else knobs | edge_after(this, by_operations)


@cache
def _versions() -> dict[str, str]:
    names = ("selfplay", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "wandb", "pyarrow")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}
