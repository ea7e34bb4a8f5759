"""Commits a round: moves its weights into place, writes its COMMIT and removes weights that are no longer needed.

Runs on rank 0 alone. Reads `gate/DONE` (the decision and the metrics) and the `time.json` of each phase. Writes `model/` and
`COMMIT` in the round's folder, and the run's `metrics.jsonl`. A round exists once its COMMIT does.
"""

import platform
from collections.abc import Sequence
from functools import cache
from importlib import metadata

from selfplay.config.metrics import best_round
from selfplay.runtime.context import RoundContext
from selfplay.runtime.progress import read_times
from selfplay.store import Commit, read_json, sha256_of

OUTPUTS = ("traces.parquet", "train.parquet", "pairs.parquet", "model")


def commit_round(ctx: RoundContext, phases: Sequence[str]) -> Commit:
    """Commits the round with the gate's decision and prunes old weights. `phases`: names of the phases that the round has."""
    decision = read_json(ctx.at("gate") / "DONE")
    ctx.run.place_model(ctx.number)
    before = ctx.commits[-1].train_steps if ctx.commits else 0
    commit = Commit(
        round=ctx.number,
        parent=ctx.parent,
        action=decision["action"],
        reason=decision["reason"],
        next_parent=decision["next_parent"],
        state=decision["state"],
        metrics=decision["metrics"],
        inputs={} if ctx.parent is None else {"parent": sha256_of(ctx.run.round(ctx.parent) / "COMMIT")},
        outputs=ctx.run.outputs(ctx.number, OUTPUTS),
        versions=_versions(),
        world_size=ctx.ranks.world_size,
        train_steps=before + int(decision["metrics"].get("train/steps", 0)),
        time=read_times([ctx.at(name) for name in phases]),
        cost=_cost(ctx),
    )
    ctx.run.commit(commit)
    ctx.run.prune(_kept(ctx, [*ctx.commits, commit]))
    return commit


def _cost(ctx: RoundContext) -> dict[str, float]:
    """What the round's requests to servers cost: the run's total minus the cost of earlier rounds."""
    spent = ctx.resources.spent()
    before = {key: sum(commit.cost.get(key, 0.0) for commit in ctx.commits) for key in spent}
    return {key: round(total - before[key], 6) for key, total in spent.items()}


def _kept(ctx: RoundContext, commits: list[Commit]) -> set[int]:
    """Rounds whose weights are kept: those that `keep` selects, and those that a later round may start from."""
    section = ctx.config.keep
    kept = {commit.round for commit in commits[-section.last :]} | {commits[-1].next_parent}
    if section.first or ctx.config.train.start == "from_base":
        kept.add(0)
    return kept | ({best_round(commits)} if section.best else set())


@cache
def _versions() -> dict[str, str]:
    names = ("selfplay", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "wandb", "pyarrow")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}
