"""Commits a round: moves its weights into place, writes its COMMIT and removes weights that are no longer needed.

Runs on rank 0 alone. Reads `gate/DONE` (the decision and the metrics) and the `time.json` of each phase. Writes `model/` and
`COMMIT` in the round's folder, and the run's `metrics.jsonl`. A round exists once its COMMIT does.
"""

import platform
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata

from selfplay import __version__
from selfplay.collapse import sight
from selfplay.config.metrics import best_round
from selfplay.loop.gate import BACK
from selfplay.runtime.context import RoundContext
from selfplay.runtime.progress import read_times
from selfplay.store import Commit, read_json, sha256_of
from selfplay.tasks.base import Fixed

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
        remarks=_remarks(ctx),
        versions=_versions(),
        world_size=ctx.ranks.world_size,
        train_steps=before + int(decision["metrics"].get("train/steps", 0)),
        time=read_times([ctx.at(name) for name in phases]),
        cost=_cost(ctx),
    )
    ctx.run.commit(commit)
    ctx.run.prune(_kept(ctx, [*ctx.commits, commit]))
    return commit


def _remarks(ctx: RoundContext) -> tuple[str, ...]:
    """What the phases remarked; in round 0, what the run lacks."""
    done = [*(ctx.at(name) / "DONE" for name in ("propose", "curate", "train")), ctx.at("evaluate") / "remarks.json"]
    found = [text for file in done if file.is_file() for text in read_json(file).get("remarks", ())]
    return tuple(found) if ctx.number else (*found, *set_up_remarks(ctx.resources.source.fixed))


def set_up_remarks(fixed: Fixed) -> list[str]:
    """What the dev set cannot show, and that there is no anchor."""
    found = [blind] if (blind := sight(len(fixed.dev))) else []
    if not fixed.anchor:
        found.append(
            "there is no anchor: no task has a reference, so no round replays human solutions; give tasks a reference"
        )
    return found


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
    back = commits[-1].metrics.get(BACK)
    if ctx.config.gate.action == "roll_back" and back is not None:
        kept.add(int(back))
    return kept | ({best_round(commits)} if section.best else set())


@cache
def _versions() -> dict[str, str]:
    """Versions of Python, of this package (which a checkout need not have installed), and of the libraries that are installed."""
    found = {"python": platform.python_version(), "selfplay": __version__}
    for name in ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "wandb", "pyarrow"):
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
