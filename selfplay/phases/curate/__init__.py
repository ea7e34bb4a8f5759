"""The phase `curate`: accepts or drops every attempt, and builds the training rows and preference pairs.

Runs on rank 0 alone and is deterministic. Reads the chunks of `generate`, `verify` and `correct`, and the rows of earlier rounds
and the anchor. Writes `traces.parquet`, `train.parquet` and `pairs.parquet` into the round's folder, and for a method that samples
while it trains `prompts.jsonl`. Its own folder keeps what
later rounds read: `new.parquet`, `pairs.parquet`, `archive.jsonl`, `anchor.parquet` (round 0), `quotas.json`, and DONE.
"""

from selfplay.config.tree import Curate
from selfplay.curate import Archive
from selfplay.phases.curate.mixing import LevelMix
from selfplay.phases.curate.prompts import PromptChoice
from selfplay.phases.curate.select import Curation, curate_anchor, groups_of
from selfplay.runtime.context import RoundContext
from selfplay.seeds import seed_of
from selfplay.store import read_json
from selfplay.training.methods.base import method_of

MAX_ANCHOR_SHARE = 0.95
"""Largest share of the training rows that is anchor, however often the gate has rolled back."""


def curate(ctx: RoundContext) -> None:
    """Writes the round's traces and the rows and pairs to train on; in round 0 the anchor's rows only."""
    ctx.on_main_rank("curate", lambda: _curate_anchor(ctx) if ctx.number == 0 else _curate(ctx))


def _curate_anchor(ctx: RoundContext) -> None:
    anchor, initial = ctx.resources.source.fixed.anchor, ctx.run.round(0) / "initial"
    ctx.resources.student_section.make_initial(anchor, initial, seed_of(ctx.config.seed, "student"))
    curate_anchor(anchor, ctx.resources.encoder(initial), ctx.at("curate"))


def _curate(ctx: RoundContext) -> None:
    section, rounds = section_of(ctx), [commit.round for commit in ctx.chain if commit.round]
    curation = Curation(
        section,
        encoder=lambda: ctx.resources.encoder(ctx.student),
        archive=_archive(ctx, rounds) if section.across_rounds else None,
        screen=ctx.resources.screen,
        older=[ctx.run.phase(number, "curate") / "new.parquet" for number in rounds],
        anchor=ctx.run.phase(0, "curate") / "anchor.parquet",
        filtered=int(read_json(ctx.at("propose") / "DONE")["filtered"]),
        seed=ctx.seed("curate"),
        out=ctx.at("curate"),
        corrections=ctx.config.correct.format,
        level=_level(ctx),
        prompts=PromptChoice(ctx.proposed) if method_of(ctx.config.train).needs == "prompts" else None,
    )
    for notice in curation.run(groups_of(ctx)):
        ctx.note(notice)


def section_of(ctx: RoundContext) -> Curate:
    """The settings of curation with the changes that roll-backs made: a larger anchor share, fewer attempts per task."""
    section, state = ctx.config.curate, ctx.state
    share, most = section.anchor_share, section.max_per_task
    changed = {
        "anchor_share": None if share is None else min(MAX_ANCHOR_SHARE, share + state.anchor_add),
        "max_per_task": None if most is None else max(1, round(most * state.cap_scale)),
    }
    return section.model_copy(update=changed)


def _level(ctx: RoundContext) -> LevelMix | None:
    level, section = ctx.level, ctx.config.train
    return None if level is None or section.steps is None else LevelMix(level, section.steps * section.batch_size)


def _archive(ctx: RoundContext, rounds: list[int]) -> Archive:
    files = [ctx.run.phase(number, "curate") / "archive.jsonl" for number in rounds]
    return Archive.from_lines([line for file in files for line in file.read_text().splitlines()])
