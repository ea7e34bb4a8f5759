"""Metrics of the roll-outs that a round's training sampled, as they are in its traces."""

from collections import defaultdict
from typing import ClassVar

from selfplay.collapse.estimate import bounded_mean, wilson
from selfplay.config.metrics import Definition
from selfplay.records import Outcome
from selfplay.runtime.metrics.base import COUNT, EXACT, SHARE, Measured, Metric, RoundView, interval

RISE, PRECISION = "train/reward_rise", "collapse_quality/rollout_precision"
QUARTER = "Roll-outs of the first or last quarter of the round's training."


class Rollouts(Metric):
    """`train/reward_rise`, `data/rollouts`, and how varied and how right the roll-outs are at either end of a training."""

    definitions: ClassVar = {
        RISE: Definition(
            "Rise of the reward",
            "How much higher the reward of roll-outs is in the last quarter of the round's training than in the first, as a share of the "
            "highest reward. Where the dev set does not rise with it, the student may have learnt to pass its verifiers without solving the "
            "tasks: alarm level 1.",
            "Mean over groups of roll-outs; 95 % interval of a difference of two independent means (Newcombe's method 10).",
            "-1 to 1",
            "https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8%3C873::AID-SIM779%3E3.0.CO;2-I",
            headline=True,
        ),
        PRECISION: Definition(
            "Precision of the reward",
            "Share of passed roll-outs of the last quarter of the round's training that a second check passes too. Where the audit's precision "
            "of the same verifiers is clearly higher, the training has found what they let through: alarm level 1.",
            "Second checks as in the audit, on at most one roll-out of a task; 95 % Wilson interval.",
            SHARE,
        ),
        "data/rollouts": Definition("Roll-outs", "Samples that the round's training drew and rewarded.", EXACT, COUNT),
        "data/rollouts_passed": Definition("Passed roll-outs", "Roll-outs that the verifiers passed.", EXACT, COUNT),
        "collapse_diversity/rollout_distinct_first": Definition(
            "Different roll-outs, first quarter",
            "Share of different texts among the roll-outs of one batch at one task, in the first quarter of the training.",
            f"{QUARTER} Mean over groups of a task in a batch; 95 % interval of a bounded mean.",
            SHARE,
        ),
        "collapse_diversity/rollout_distinct_last": Definition(
            "Different roll-outs, last quarter",
            "The same in the last quarter: where it falls, the policy has narrowed.",
            f"{QUARTER} Mean over groups of a task in a batch; 95 % interval of a bounded mean.",
            SHARE,
        ),
        "collapse_quality/rollout_pass_rate_first": Definition(
            "Passed roll-outs, first quarter",
            "Share of the roll-outs that passed.",
            f"{QUARTER} 95 % Wilson interval.",
            SHARE,
        ),
        "collapse_quality/rollout_pass_rate_last": Definition(
            "Passed roll-outs, last quarter",
            "Share of the roll-outs that passed.",
            f"{QUARTER} 95 % Wilson interval.",
            SHARE,
        ),
    }

    def compute(self, view: RoundView) -> Measured:
        """Nothing in a round without roll-outs."""
        rows = [
            row for row in view.traces("task_id", "text", "outcome", "origin", "chunk") if row["origin"] == "rollout"
        ]
        if not rows:
            return Measured({})
        steps = sorted({row["chunk"] for row in rows})
        quarter = max(1, len(steps) // 4)
        found: dict[str, float] = {
            "data/rollouts": len(rows),
            "data/rollouts_passed": sum(row["outcome"] == Outcome.PASS.value for row in rows),
        }
        for end, part in (("first", steps[:quarter]), ("last", steps[-quarter:])):
            own = [row for row in rows if part[0] <= row["chunk"] <= part[-1]]
            known = [row for row in own if row["outcome"] not in (Outcome.ERROR.value, Outcome.ABSTAIN.value)]
            if known:
                right = sum(row["outcome"] == Outcome.PASS.value for row in known)
                found |= interval(f"collapse_quality/rollout_pass_rate_{end}", wilson(right, len(known)))
            groups: dict[tuple[str, int], list[str]] = defaultdict(list)
            for row in own:
                groups[row["task_id"], row["chunk"]].append(row["text"])
            shares = [len(set(texts)) / len(texts) for texts in groups.values()]
            found |= interval(f"collapse_diversity/rollout_distinct_{end}", bounded_mean(shares))
        return Measured(found)
