"""Floor 6: how far the student is from round 0, measured on round 0's own samples: forward KL, and entropy on frozen prefixes.

Round 0 keeps a sample of each sampled dev task, with its token ids; every later round scores them in one pass. Forward
KL is the direction that sees modes dropped. The reverse one needs round 0's weights in memory beside the round's own, in
every round and on every rank, and is not computed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.collapse import bootstrap_mean, paired_delta, ratio_of_sums
from selfplay.config.tree import Evaluate
from selfplay.models.base import Scorer
from selfplay.models.encode import row_of
from selfplay.records import Attempt
from selfplay.runtime.chunk_runner import Json

PART = "drift"
PER_TASK = 1
MOST_TOKENS = 512
"""Longer samples are scored up to here: the divergence is then that of their beginnings."""

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


def figures(
    section: Evaluate, samples: Sequence[Json], rows: Sequence[Json], first: Mapping[str, Any] | None
) -> tuple[Json, Json]:
    """collapse_drift/ keys in nats, resampled over tasks, and what round 0 freezes.

    kl_fwd_seq: mean over round 0's samples of log p_0 - log p_now, a sequence; kl_fwd_tok: the same over their tokens.
    token_entropy_free: mean -log p of this round's own samples, a token; token_entropy_ref_prefix: mean entropy of the
    next token's whole distribution at every place of round 0's samples.
    """
    out: Json = {}
    again: dict[str, Any] = {"resamples": section.bootstrap, "seed": section.seed}
    free = _by_task([row for row in samples if row.get("nats") is not None and row["tokens"]])
    if free:
        out |= _put("token_entropy_free", ratio_of_sums(_sums(free, "nats"), _sums(free, "tokens"), **again))
    now = _by_task([row for row in rows if row["tokens"]])
    if not now:
        return out, {}
    tokens = _sums(now, "tokens")
    out |= _put("token_entropy_ref_prefix", ratio_of_sums(_sums(now, "entropy"), tokens, **again))
    if not first:
        return out, {task: list(kept) for task, kept in now.items()}
    before = {task: read(first).get(task, ()) for task in now}
    both = {task: kept for task, kept in now.items() if len(kept) == len(before[task])}
    if both:
        then = {task: before[task] for task in both}
        apart = [a - b for a, b in zip(_sums(both, "nats"), _sums(then, "nats"), strict=True)]
        counts = [len(kept) for kept in both.values()]
        out |= _put("kl_fwd_seq", ratio_of_sums(apart, counts, **again))
        out |= _put("kl_fwd_tok", ratio_of_sums(apart, _sums(both, "tokens"), **again))
        means = [[x / n for x, n in zip(_sums(k, "entropy"), _sums(k, "tokens"), strict=True)] for k in (both, then)]
        out |= _put("token_entropy_ref_prefix_delta", paired_delta(*means, **again))
    return out, {}


def lengths(section: Evaluate, samples: Sequence[Json]) -> Json:
    """Length of the samples in tokens, resampled over tasks: it confounds every metric of texts."""
    counted = _by_task([row for row in samples if row["tokens"]])
    if not counted:
        return {}
    means = [total / len(kept) for total, kept in zip(_sums(counted, "tokens"), counted.values(), strict=True)]
    every = sorted(row["tokens"] for kept in counted.values() for row in kept)
    found = _put("len_mean", bootstrap_mean(means, resamples=section.bootstrap, seed=section.seed))
    return found | {"collapse_drift/len_p95": float(every[min(len(every) - 1, int(0.95 * len(every)))])}


def _by_task(rows: Sequence[Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        found[row["task_id"]].append(row)
    return dict(sorted(found.items()))


def _sums(by_task: Mapping[str, Sequence[Json]], field: str) -> list[float]:
    return [float(sum(row[field] for row in kept)) for kept in by_task.values()]


def _put(name: str, estimate: Any) -> Json:
    key = f"collapse_drift/{name}"
    return {key: estimate.value, f"{key}_lo": estimate.lo, f"{key}_hi": estimate.hi}
