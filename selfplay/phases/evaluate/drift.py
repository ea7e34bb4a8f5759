"""Scores round 0's own samples under the round's weights; `runtime/metrics/drift.py` computes the drift from the scores.

Round 0 keeps one sample of each sampled dev task, with its token ids; every later round scores them in one pass.
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
"""Longer samples are scored up to this token; their divergence is then that of their beginnings."""

Frozen = Mapping[str, Sequence[Json]]
"""Task id -> samples of round 0 with `prompt_ids` and `completion_ids`; scored samples have `nats`, `tokens`, `entropy` too."""


def freeze(attempts: Sequence[Attempt]) -> Frozen:
    """The first PER_TASK samples of each task that have token ids."""
    samples: dict[str, list[Json]] = defaultdict(list)
    for attempt in attempts:
        if attempt.prompt_ids and attempt.completion_ids:
            ids = {"prompt_ids": list(attempt.prompt_ids), "completion_ids": list(attempt.completion_ids[:MOST_TOKENS])}
            samples[attempt.task_id].append(ids)
    return {task: kept[:PER_TASK] for task, kept in samples.items()}


def read(first: Mapping[str, Any]) -> Frozen:
    """The samples that round 0 kept in its `dev.json`; empty if its engine gave no token ids."""
    kept: Frozen = first.get(PART, {})
    return kept


def score(scorer: Scorer, frozen: Frozen, task_ids: Sequence[str]) -> list[Json]:
    """One row with the scores for each of round 0's samples of these tasks."""
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
            "entropy": entropy,
            "prompt_ids": one["prompt_ids"],
            "completion_ids": one["completion_ids"],
        }
        for (task, one), (total, count, entropy) in zip(kept, scored, strict=True)
    ]
