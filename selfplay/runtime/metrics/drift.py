"""How far the student has moved from round 0: forward KL, entropy, and the length of its samples.

Round 0 keeps a sample of each sampled dev task, and every later round scores these (the rows of part `drift`). Forward KL is
the direction that shows lost modes; the reverse one would need round 0's weights in memory and is not computed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import ClassVar

from selfplay.collapse import bounded_mean, mean_of, paired_delta, ratio_of_sums
from selfplay.collapse.estimate import Estimate
from selfplay.config.metrics import Definition
from selfplay.runtime.metrics.base import (
    NATS,
    OVER_TASKS,
    SHARE,
    SHUMAILOV,
    SKEWED,
    Json,
    Measured,
    Metric,
    RoundView,
    interval,
)

PART = "drift"
"""The part of the evaluation, and the name under which round 0 keeps its scored samples."""
DATA = "data"
"""The part of the evaluation with the round's accepted attempts, scored under round 0's weights."""
ONE_SAMPLE = f"One sample of round 0 per sampled dev task, its first 512 tokens; {SKEWED}."
TOKEN_ENTROPY = "https://arxiv.org/abs/2505.22617"
TOKENS = "tokens, 0 or more"


class Drift(Metric):
    """`collapse_drift/...`."""

    definitions: ClassVar = {
        "collapse_drift/kl_fwd_seq": Definition(
            "Forward KL to round 0, per sample",
            "Mean of log p_0 - log p_now over round 0's own samples: what round 0 wrote and the student would no longer write.",
            f"{ONE_SAMPLE} Unbiased, so it can come out below 0.",
            "nats per sample",
            headline=True,
        ),
        "collapse_drift/kl_fwd_tok": Definition(
            "Forward KL to round 0, per token",
            "The forward KL per sample, over the tokens of the samples.",
            f"Ratio of sums. {ONE_SAMPLE}",
            "nats per token",
        ),
        "collapse_drift/data_nll_round_0": Definition(
            "Data of the round under round 0",
            "Negative log-likelihood per token of the round's accepted attempts under the weights of round 0. It falls where the data narrows "
            "to what round 0 found likely, and rises where the student writes what round 0 would not have.",
            f"At most eval.round_0_rows accepted attempts, their first 512 tokens, evenly spaced over the round; ratio of sums; {SKEWED}.",
            NATS,
            SHUMAILOV,
        ),
        "collapse_drift/token_entropy_free": Definition(
            "Token entropy on own samples",
            "Entropy of the next token along the student's own samples. It can rise while the answers become alike.",
            f"Mean of -log p of the sampled tokens at temperature 1; {SKEWED}.",
            NATS,
            TOKEN_ENTROPY,
            headline=True,
        ),
        "collapse_drift/token_entropy_ref_prefix": Definition(
            "Token entropy on round 0's samples",
            "Entropy of the next token at every position of round 0's samples, which are the same positions in every round.",
            f"From the whole distribution; left out where the engine does not show it. {ONE_SAMPLE}",
            NATS,
            TOKEN_ENTROPY,
        ),
        "collapse_drift/len_mean": Definition(
            "Mean length",
            "Mean length of the dev samples. Length confounds every metric of texts.",
            f"All dev samples; {SKEWED}.",
            TOKENS,
            headline=True,
        ),
        "collapse_drift/len_p95": Definition(
            "Length, 95th percentile", "Length that 95 of 100 dev samples stay below.", "All dev samples.", TOKENS
        ),
        "collapse_drift/trunc_rate": Definition(
            "Truncated",
            "Share of the dev samples that were cut off at the token limit.",
            f"All dev samples; {OVER_TASKS}.",
            SHARE,
            headline=True,
        ),
    }

    def compute(self, view: RoundView) -> Measured:
        """Round 0 keeps its scored samples as `drift`, by task id."""
        samples = view.rows("samples")
        now = _by_task([row for row in view.rows(PART) if row["tokens"]])
        figures = _own_entropy(samples) | _against_first(view, now) | _lengths(samples) | _data(view.rows(DATA))
        judged, errors = view.judged("samples")
        if judged and not view.too_many(errors, len(samples)):
            figures |= interval("collapse_drift/trunc_rate", _truncated(judged))
        return Measured(figures, {PART: {} if view.baseline else now})


def _truncated(judged: Sequence[Json]) -> Estimate:
    """Share of the samples that were cut off; tasks are the units, since the samples of one are alike in length."""
    by_task = list(_by_task(judged).values())
    cut = [sum(row["finish_reason"] == "length" for row in kept) / len(kept) for kept in by_task]
    sizes = [len(kept) for kept in by_task]
    return bounded_mean(cut, sizes, trials=sum(sizes) / len(sizes))


def _own_entropy(samples: Sequence[Json]) -> Json:
    scored = _by_task([row for row in samples if row.get("nats") is not None and row["tokens"]])
    if not scored:
        return {}
    entropy = ratio_of_sums(_sums(scored, "nats"), _sums(scored, "tokens"), least=0.0)
    return interval("collapse_drift/token_entropy_free", entropy)


def _data(rows: Sequence[Json]) -> Json:
    """The accepted attempts under round 0's weights."""
    scored = _by_task([row for row in rows if row["tokens"]])
    if not scored:
        return {}
    nats = ratio_of_sums(_sums(scored, "nats"), _sums(scored, "tokens"), least=0.0)
    return interval("collapse_drift/data_nll_round_0", nats)


def _against_first(view: RoundView, now: Mapping[str, Sequence[Json]]) -> Json:
    """Entropy on round 0's samples and, after round 0, its change and the forward KL."""
    if not now:
        return {}
    key, seen = "collapse_drift/token_entropy_ref_prefix", _has_entropy(now)
    out = interval(key, ratio_of_sums(_sums(now, "entropy"), _sums(now, "tokens"), least=0.0)) if seen else {}
    before = {task: view.baseline.get(PART, {}).get(task, ()) for task in now} if view.baseline else {}
    both = {task: kept for task, kept in now.items() if before and len(kept) == len(before[task])}
    if not both:
        return out
    then = {task: before[task] for task in both}
    apart = [a - b for a, b in zip(_sums(both, "nats"), _sums(then, "nats"), strict=True)]
    out |= interval("collapse_drift/kl_fwd_seq", ratio_of_sums(apart, [len(k) for k in both.values()]))
    out |= interval("collapse_drift/kl_fwd_tok", ratio_of_sums(apart, _sums(both, "tokens")))
    if not seen or not _has_entropy(then):
        return out
    means = [[x / n for x, n in zip(_sums(k, "entropy"), _sums(k, "tokens"), strict=True)] for k in (both, then)]
    return out | interval(f"{key}_delta", paired_delta(*means))


def _has_entropy(by_task: Mapping[str, Sequence[Json]]) -> bool:
    """Whether the engine that scored these samples saw whole distributions."""
    return all(row["entropy"] is not None for kept in by_task.values() for row in kept)


def _lengths(samples: Sequence[Json]) -> Json:
    counted = _by_task([row for row in samples if row["tokens"]])
    if not counted:
        return {}
    means = [total / len(kept) for total, kept in zip(_sums(counted, "tokens"), counted.values(), strict=True)]
    every = sorted(row["tokens"] for kept in counted.values() for row in kept)
    found = interval("collapse_drift/len_mean", mean_of(means, least=0.0))
    return found | {"collapse_drift/len_p95": float(every[min(len(every) - 1, int(0.95 * len(every)))])}


def _by_task(rows: Sequence[Json]) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        found[row["task_id"]].append(row)
    return dict(sorted(found.items()))


def _sums(by_task: Mapping[str, Sequence[Json]], field: str) -> list[float]:
    return [float(sum(row[field] for row in kept)) for kept in by_task.values()]
