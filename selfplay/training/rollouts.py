"""The roll-outs of a training: attempts that were sampled and judged while it ran, one file for each batch. Imports without torch.

A batch is a function of the weights and the step, so that a training that goes on from a checkpoint writes the same file again.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from selfplay.collapse.estimate import Estimate, bounded_mean
from selfplay.collapse.strata import difference
from selfplay.records import Attempt, Outcome, Record, Verdict
from selfplay.store import read_lines, write_lines
from selfplay.verify import Judged

FOLDER = "rollouts"
OUTCOME = "outcome"
"""The key of `reward_weights` for the outcome of all verifiers together."""
FINISH = "finish"
"""Type of the verdict on an attempt that is empty or was cut off, which no verifier sees."""


class Rollout(Record):
    """One judged sample of a training."""

    attempt: Attempt
    """`chunk` is the number of optimizer steps before it, `attempt` its place in the batch."""
    verdicts: tuple[Verdict, ...]
    outcome: Outcome
    rewards: tuple[float | None, ...]
    """One for each key of `reward_weights`; None where there is none: an outage of ours, or no opinion."""
    reward: float | None
    """Their weighted sum; None where every one is."""


def write_rollouts(out: Path, step: int, rows: Sequence[Rollout]) -> None:
    """Writes the batch that was sampled after so many optimizer steps; the write is atomic."""
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    write_lines(out / FOLDER / f"step-{step:06d}.jsonl", [row.to_line().encode() for row in rows])


def read_rollouts(out: Path) -> Iterator[list[Rollout]]:
    """The batches of a training, in the order of its steps. Raises StoreError if a file is broken."""
    for file in sorted((out / FOLDER).glob("step-*.jsonl")):
        yield read_lines(file, lambda lines: [Rollout.from_line(line) for line in lines])


def rewards_of(judged: Judged, weights: Mapping[str, float]) -> tuple[float | None, ...]:
    """The reward for each key of `weights`, in their order: that of the outcome, or of one type of verifier.

    1 for a pass, 0 for a wrong attempt; for a verifier that scores, its score. None for an abstention, for a type that the task does
    not name and for a score that is not finite. An outage of any verifier that may have changed the outcome leaves no reward at all.
    """
    if judged.outcome is Outcome.ERROR:
        return (None,) * len(weights)
    by_kind: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in judged.verdicts:
        by_kind[kind_of(verdict)].append(verdict)
    unread = 0.0 if FINISH in by_kind else None
    return tuple(
        _of_outcome(judged.outcome) if key == OUTCOME else _mean([_of(v) for v in by_kind.get(key, ())], unread)
        for key in weights
    )


def kind_of(verdict: Verdict) -> str:
    """The type of the verifier, without its version."""
    return verdict.verifier.rpartition("/")[0] or verdict.verifier


def _of_outcome(outcome: Outcome) -> float | None:
    if outcome is Outcome.PASS:
        return 1.0
    return 0.0 if outcome in (Outcome.FAIL, Outcome.INVALID) else None


def _of(verdict: Verdict) -> float | None:
    own = _of_outcome(verdict.outcome)
    if own is None or verdict.score is None:
        return own
    return verdict.score if math.isfinite(verdict.score) else None


def with_finite_score(verdict: Verdict) -> Verdict:
    """The verdict; without its score where that is no number, which no file could hold."""
    bad = verdict.score is not None and not math.isfinite(verdict.score)
    return verdict.model_copy(update={"score": None}) if bad else verdict


def _mean(values: Sequence[float | None], otherwise: float | None = None) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else otherwise


def total_of(rewards: Sequence[float | None], weights: Mapping[str, float]) -> float | None:
    """The weighted sum of the rewards that there are; None where there is none."""
    known = [reward * weight for reward, weight in zip(rewards, weights.values(), strict=True) if reward is not None]
    return sum(known) if known else None


def figures_of(rows: Sequence[Rollout], group_size: int) -> dict[str, float]:
    """What the curve says of a whole batch: lengths, what was cut off, outages, dead groups, and the reward by verifier.

    `rows`: all groups, one after the other. A group is dead where fewer than two of its roll-outs have a reward, or all rewards
    are equal: it teaches nothing.
    """
    count = len(rows)
    lengths = [len(row.attempt.completion_ids or ()) for row in rows]
    groups = [rows[first : first + group_size] for first in range(0, count, group_size)]
    dead = sum(len({row.reward for row in group if row.reward is not None}) < 2 for group in groups)
    by_kind: dict[str, list[float]] = defaultdict(list)
    for verdict in (verdict for row in rows for verdict in row.verdicts):
        if (value := _of(verdict)) is not None:
            by_kind[kind_of(verdict)].append(value)
    by_kind.pop(FINISH, None)
    return {
        "dead_group_share": dead / max(1, len(groups)),
        "rollout_length": sum(lengths) / count,
        "rollout_truncated_share": sum(row.attempt.finish_reason == "length" for row in rows) / count,
        "rollout_tokens": float(sum(lengths) + sum(len(row.attempt.prompt_ids or ()) for row in rows)),
        "rollout_without_reward": float(sum(row.reward is None for row in rows)),
        **{f"reward_{_plain(kind)}": sum(values) / len(values) for kind, values in sorted(by_kind.items())},
    }


def _plain(kind: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in kind)


def numbered(batches: Iterator[list[Rollout]], taken: Mapping[str, int]) -> Iterator[list[Rollout]]:
    """The batches with numbers that are unique in the round. `taken`: task id -> numbers that its other attempts have, from 0."""
    used = Counter(taken)
    for batch in batches:
        found = []
        for row in batch:
            name = row.attempt.task_id
            found.append(row.model_copy(update={"attempt": row.attempt.model_copy(update={"attempt": used[name]})}))
            used[name] += 1
        yield found


def reward_rise(batches: Sequence[Sequence[Rollout]], weights: Mapping[str, float], group_size: int) -> Estimate | None:
    """How much higher the reward is in the last quarter of the batches than in the first, as a share of the highest reward.

    The mean over groups of the mean reward; roll-outs without a reward are left out. None with fewer than four batches, or where no
    group of a quarter has a reward.
    """
    quarter, most = len(batches) // 4, sum(weights.values())
    first, last = (
        [value / most for batch in part for value in _group_means(batch, group_size)]
        for part in (batches[:quarter], batches[len(batches) - quarter :])
    )
    return difference(bounded_mean(last), bounded_mean(first)) if first and last else None


def _group_means(batch: Sequence[Rollout], group_size: int) -> Iterator[float]:
    for first in range(0, len(batch), group_size):
        known = [row.reward for row in batch[first : first + group_size] if row.reward is not None]
        if known:
            yield sum(known) / len(known)
