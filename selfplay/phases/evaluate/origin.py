"""Scores what a round trains on under round 0's weights: how far the data has moved from what the first student would write.

Rank 0 opens round 0's weights in place of the round's own, so that one model is in memory at a time.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from selfplay.models.base import scorer_of
from selfplay.models.encode import row_of
from selfplay.phases.evaluate.drift import MOST_TOKENS
from selfplay.runtime.chunk_runner import Json
from selfplay.runtime.context import RoundContext
from selfplay.runtime.metrics.drift import DATA
from selfplay.store import read_json, write_json
from selfplay.store.trace_index import TraceIndex

FILE = "data_under_round_0.json"


def data_under_round_0(ctx: RoundContext) -> list[Json]:
    """A row with `nats` and `tokens` for each of at most `eval.round_0_rows` accepted attempts of this round; kept in a file.

    Empty in round 0, where none was accepted with token ids, and where the weights of round 0 are not kept (section `keep`).
    """
    done = ctx.at("evaluate") / FILE
    if done.is_file():
        kept: list[Json] = read_json(done)
        return kept
    accepted = _accepted(ctx) if ctx.number else []
    if accepted and not ctx.run.model(0).is_dir():
        ctx.note(
            "its data is not scored under round 0, whose weights are not kept; set keep.first, or eval.round_0_rows to 0"
        )
        accepted = []
    rows = _score(ctx, accepted)
    write_json(done, rows)
    return rows


def _accepted(ctx: RoundContext) -> list[dict[str, Any]]:
    """Accepted attempts, evenly spaced over the round's traces."""
    path, count = ctx.run.round(ctx.number) / "traces.parquet", ctx.config.eval.round_0_rows
    if not count or not path.is_file():
        return []
    index = TraceIndex([path])
    accepted = index.select({"decision": "accepted"})
    places = np.unique(np.linspace(0, len(accepted) - 1, min(count, len(accepted))).round().astype(int))
    rows = index.rows(accepted[places].tolist(), ("task_id", "prompt_ids", "completion_ids")) if len(accepted) else []
    index.close()
    return [row for row in rows if row["prompt_ids"] and row["completion_ids"]]


def _score(ctx: RoundContext, accepted: Sequence[dict[str, Any]]) -> list[Json]:
    if not accepted:
        return []
    rows = [row_of(row["prompt_ids"], row["completion_ids"][:MOST_TOKENS]) for row in accepted]
    with ctx.resources.student(ctx.run.model(0), ctx.commits[0].outputs["model"]) as backend:
        scorer = scorer_of(backend)
        if scorer is None:
            return []
        ctx.progress.phase("score", len(rows))
        with ctx.progress.timed("evaluate"), ctx.progress.sampling(len(rows), 0):
            scored = scorer.likelihood(rows)
        ctx.progress.end("score")
    return [
        {"part": DATA, "task_id": row["task_id"], "nats": -math.fsum(found), "tokens": len(found)}
        for row, found in zip(accepted, scored, strict=True)
    ]
