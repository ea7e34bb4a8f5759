"""The memorisation gap: accuracy on tasks that the round was trained on, against dev tasks that were as likely to be solved.

A task is trained on because the student solved it, so its accuracy is high without any memorising. A dev task therefore counts by the
chance that the parent round, which wrote the training data, solves it in as many attempts; and levels of difficulty count alike.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import ClassVar

from selfplay.collapse import DevSet, bounded_mean, wilson
from selfplay.collapse.passes import miss_chance
from selfplay.collapse.strata import FEWEST_TASKS, difference
from selfplay.config.metrics import Definition
from selfplay.records import Outcome
from selfplay.runtime.metrics.base import OVER_TASKS, SHARE, Json, Measured, Metric, RoundView, interval

MATCHED = (
    "Dev tasks weighted by the chance that k samples of the parent round solve them, k as in generate, and to the difficulties of the "
    "tasks trained on, where tasks have difficulties"
)


class Seen(Metric):
    """`collapse_quality/seen_accuracy`, `unseen_accuracy` and `memorisation_gap`."""

    definitions: ClassVar = {
        "collapse_quality/seen_accuracy": Definition(
            "Accuracy on tasks trained on",
            "Greedy accuracy on tasks of which this round's training data has a solution; synthesized tasks are left out.",
            "One greedy attempt at up to eval.seen_tasks tasks; 95 % Wilson interval over tasks.",
            SHARE,
        ),
        "collapse_quality/unseen_accuracy": Definition(
            "Accuracy on tasks like them",
            "Greedy accuracy on dev tasks that the parent round would have solved as often, and that were never trained on.",
            f"{MATCHED}; {OVER_TASKS}.",
            SHARE,
        ),
        "collapse_quality/memorisation_gap": Definition(
            "Memorisation gap",
            "Accuracy on tasks trained on minus that on dev tasks like them. Above 0 the student repeats solutions more than it has learned to "
            "solve. It takes the sampler of generate to solve about what samples at temperature 1 do.",
            "Difference of the two; interval from theirs (Newcombe's method).",
            "-1 to 1",
            "https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I",
            headline=True,
        ),
    }

    def compute(self, view: RoundView) -> Measured:
        """Left out with fewer than 8 tasks on either side, or where a difficulty has no dev task that counts."""
        rows, errors = view.judged("seen")
        if len(rows) < FEWEST_TASKS or view.too_many(errors, len(rows) + errors) or view.before is None:
            return Measured({})
        seen = {row["task_id"]: row["outcome"] == Outcome.PASS.value for row in rows}
        levels, attempts = _trained(view, seen)
        weights = _weights(view, attempts)
        dev_levels = {task.id: task.tag("difficulty") or "" for task in view.fixed.dev}
        known, _ = view.judged("dev")
        right = {row["task_id"]: float(row["outcome"] == Outcome.PASS.value) for row in known}
        weights = {task: weight for task, weight in weights.items() if weight > 0 and task in right}
        there = {dev_levels.get(task, "") for task in weights}
        levels = {task: level for task, level in levels.items() if level in there}
        if min(len(levels), len(weights)) < FEWEST_TASKS:
            return Measured({})
        own = Counter(levels.values())
        mass: dict[str, float] = defaultdict(float)
        for task, weight in weights.items():
            mass[dev_levels.get(task, "")] += weight
        matched = {t: w * own[dev_levels.get(t, "")] / mass[dev_levels.get(t, "")] for t, w in weights.items()}
        first = wilson(sum(seen[task] for task in levels), len(levels))
        other = bounded_mean([right[task] for task in matched], list(matched.values()))
        figures: Json = interval("collapse_quality/seen_accuracy", first)
        figures |= interval("collapse_quality/unseen_accuracy", other)
        return Measured(figures | interval("collapse_quality/memorisation_gap", difference(first, other)))


def _trained(view: RoundView, seen: Mapping[str, bool]) -> tuple[dict[str, str], int]:
    """The difficulty of each task trained on, "" for none, and the mean number of first attempts at them."""
    levels: dict[str, str] = {}
    attempts = 0
    for row in view.traces("task_id", "turn", "origin", "tags"):
        if row["task_id"] in seen and row["origin"] != "rollout":
            marks = [tag.partition(":")[2] for tag in row["tags"] or () if tag.startswith("difficulty:")]
            levels[row["task_id"]] = marks[0] if marks else ""
            attempts += not row["turn"]
    return levels, max(1, round(attempts / max(1, len(levels))))


def _weights(view: RoundView, attempts: int) -> dict[str, float]:
    """The chance that the parent solves each sampled dev task in so many attempts; 1 where training does not ask for right ones."""
    kept = (view.before or {}).get("samples")
    if not kept:
        return {}
    dev = DevSet.from_dict(kept)
    counts = zip(dev.task_ids, dev.attempts, dev.correct, strict=True)
    if not view.config.curate.verified_only:
        return {task: 1.0 for task, _, _ in counts}
    return {task: float(1.0 - miss_chance(n, c, min(attempts, n))) for task, n, c in counts}
