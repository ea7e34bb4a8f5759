"""Greedy accuracy on the dev set and the test set, as a whole and by stratum.

An `error` outcome is left out and never counted as wrong: `..._n` is the number of tasks in the mean, `..._errors` the number that is
missing. Above `verify.max_error_share` no accuracy is computed.
"""

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from selfplay.collapse import bounded_mean, paired_delta
from selfplay.config.metrics import Definition
from selfplay.records import Outcome, Task
from selfplay.runtime.metrics.base import COUNT, EXACT, SHARE, Json, Measured, Metric, RoundView, interval

STRATA = ("difficulty", "frequency", "topic")
"""Names of tags whose values are strata."""
WILSON = "95 % Wilson interval"
TANGO = "The change to round 0 is paired over tasks, with Tango's score interval."
APART = "apart"
"""A task with this tag counts in its stratum, but not in the headline figure."""


class Accuracy(Metric):
    """`eval/greedy_accuracy`, `test/greedy_accuracy`, and `eval_TAG/VALUE`, `test_TAG/VALUE` by stratum."""

    definitions: ClassVar = {
        "eval/greedy_accuracy": Definition(
            "Dev accuracy, greedy",
            "Share of the dev tasks that the student solves at temperature 0. Rounds are compared and the best one is chosen by it.",
            f"One greedy attempt per task; {WILSON}. {TANGO}",
            SHARE,
            headline=True,
        ),
        "test/greedy_accuracy": Definition(
            "Test accuracy, greedy",
            "Share of the test tasks that the student solves at temperature 0. It is reported, and no decision of the run reads it.",
            f"One greedy attempt per task; {WILSON}. {TANGO}",
            SHARE,
            headline=True,
        ),
        "*/greedy_accuracy_n": Definition(
            "Tasks judged", "Tasks that the greedy accuracy is a mean over.", EXACT, COUNT
        ),
        "*/greedy_accuracy_errors": Definition(
            "Tasks without an outcome",
            "Tasks whose greedy attempt could not be judged (`error`). Above verify.max_error_share there is no accuracy.",
            EXACT,
            COUNT,
        ),
        "eval_*/*": Definition(
            "Dev accuracy in a stratum",
            "Greedy accuracy over the dev tasks of one stratum.",
            "As for the whole dev set.",
            SHARE,
        ),
        "test_*/*": Definition(
            "Test accuracy in a stratum",
            "Greedy accuracy over the test tasks of one stratum.",
            "As for the whole test set.",
            SHARE,
        ),
    }

    def compute(self, view: RoundView) -> Measured:
        """Keeps the results as `dev` and `test`: task id -> 1.0 (solved) or 0.0."""
        figures: Json = {}
        kept: Json = {}
        for part, tasks, name in (("dev", view.fixed.dev, "eval"), ("test", view.fixed.test, "test")):
            known, errors = view.judged(part)
            right = {row["task_id"]: float(row["outcome"] == Outcome.PASS.value) for row in known}
            kept[part] = right
            key = f"{name}/greedy_accuracy"
            if right or errors:
                judged = sum(task.id in right for task in tasks if APART not in task.tags)
                figures |= {f"{key}_n": judged, f"{key}_errors": errors}
            if not view.too_many(errors, errors + len(right)):
                before = view.baseline.get(part) if view.baseline else None
                figures |= accuracy(name, tasks, right, before or {})
        return Measured(figures, kept)


def accuracy(name: str, tasks: Sequence[Task], right: Mapping[str, float], before: Mapping[str, float]) -> Json:
    """Accuracy of all tasks and of each stratum, with the paired change to round 0.

    `right`: 1 or 0 by task id; a task without an outcome is missing. `before`: the same of round 0.
    """
    key = f"{name}/greedy_accuracy"
    groups: dict[str, list[str]] = {key: [task.id for task in tasks if APART not in task.tags]}
    for task in tasks:
        for tag in STRATA:
            value = task.tag(tag)
            if value is not None:
                groups.setdefault(f"{name}_{tag}/{re.sub(r'[^A-Za-z0-9_]+', '_', value)}", []).append(task.id)
    figures: Json = {}
    for key, ids in sorted(groups.items()):
        known = [i for i in ids if i in right]
        both = [i for i in known if i in before]
        if known:
            figures |= interval(key, bounded_mean([right[i] for i in known]))
        if both:
            change = paired_delta([right[i] for i in both], [before[i] for i in both], span=1.0)
            figures |= interval(f"{key}_delta", change)
    return figures
