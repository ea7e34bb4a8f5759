"""Scores of round 0's own samples under the round's weights, from which `runtime/metrics/drift.py` computes the drift.

Round 0 keeps a sample of each sampled dev task, with its token ids; every later round scores them in one pass.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.models.base import Scorer
from selfplay.models.encode import row_of
from selfplay.records import Attempt
from selfplay.runtime.chunk_runner import Json
from selfplay.runtime.metrics.drift import PART

PER_TASK = 1
MOST_TOKENS = 512
"""Longer samples are scored up to here; the divergence is then that of their beginnings."""

Frozen = Mapping[str, Sequence[Json]]
"""By task id: samples of round 0 with `prompt_ids`, `completion_ids`, and once scored `nats`, `tokens`, `entropy`."""


def freeze(attempts: Sequence[Attempt]) -> Frozen:
    """The first samples of each task that came with token ids."""
    found: dict[str, list[Json]] = defaultdict(list)
    for attempt in attempts:
        if attempt.prompt_ids and attempt.completion_ids:
            ids = {"prompt_ids": list(attempt.prompt_ids), "completion_ids": list(attempt.completion_ids[:MOST_TOKENS])}
            found[attempt.task_id].append(ids)
    return {task: kept[:PER_TASK] for task, kept in found.items()}


def read(first: Mapping[str, Any]) -> Frozen:
    """What round 0 froze, of its `dev.json`; nothing where its engine gave no token ids."""
    kept: Frozen = first.get(PART, {})
    return kept


def score(scorer: Scorer, frozen: Frozen, task_ids: Sequence[str]) -> list[Json]:
    """One row for each frozen sample of these tasks, under the scorer's weights."""
    kept = [(task, one) for task in task_ids for one in frozen.get(task, ())]
    if not kept:
        return []
    scored = scorer.entropies([row_of(one["prompt_ids"], one["completion_ids"]) for _, one in kept])
    return [
        {
            "part": PART,
            "task_id": task,
            "nats": -float(total),
            "tokens": int(count),
            "entropy": float(entropy),
            "prompt_ids": one["prompt_ids"],
            "completion_ids": one["completion_ids"],
        }
        for (task, one), (total, count, entropy) in zip(kept, scored, strict=True)
    ]
