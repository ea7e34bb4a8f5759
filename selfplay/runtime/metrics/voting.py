"""Majority votes over the samples of the dev set: how often they are right, and how sure they are."""

from collections import defaultdict
from collections.abc import Hashable
from typing import ClassVar

from selfplay.answers import extract_answer
from selfplay.collapse import bounded_mean, paired_delta
from selfplay.collapse.voting import PER_BIN, Vote, calibration_error, calibration_floor, majority
from selfplay.config.metrics import Definition
from selfplay.records import Outcome, Task
from selfplay.runtime.metrics.base import DEV_SAMPLES, OVER_TASKS, SHARE, Json, Measured, Metric, RoundView, interval

NAEINI, WANG = "https://doi.org/10.1609/aaai.v29i1.9602", "https://arxiv.org/abs/2203.11171"
TASKS = "Tasks whose check is not code_tests, since programs do not vote"
BINNED = f"Bins of equally many tasks, {PER_BIN} or more, equal confidences together; no interval."


class Voting(Metric):
    """`eval/majority_at_n` and `collapse_quality/vote_...`."""

    definitions: ClassVar = {
        "eval/majority_at_n": Definition(
            "Majority of n",
            "Share of the dev tasks whose commonest answer among n samples is right.",
            f"{TASKS}; of equally common answers the first; {DEV_SAMPLES}.",
            SHARE,
            WANG,
        ),
        "collapse_quality/vote_overconfidence": Definition(
            "Overconfidence of the vote",
            "Mean share of the samples that give the commonest answer, minus the share of tasks on which it is right. Above 0 the student is "
            "surer than it is right.",
            f"{TASKS}; {OVER_TASKS}.",
            "-1 to 1",
            NAEINI,
        ),
        "collapse_quality/vote_calibration_error": Definition(
            "Calibration error of the vote",
            "Mean over bins of |confidence - accuracy| of the commonest answer, with its share of the samples as confidence. Read it beside "
            "its floor.",
            f"{TASKS}. {BINNED}",
            SHARE,
            NAEINI,
        ),
        "collapse_quality/vote_calibration_floor": Definition(
            "Calibration error by chance",
            "What the calibration error would be on average if each vote were right with the chance that it claims.",
            f"Exact, by the Poisson-binomial law of each bin. {BINNED}",
            SHARE,
            NAEINI,
        ),
    }

    def compute(self, view: RoundView) -> Measured:
        """See `Metric.compute`."""
        rows, errors = view.judged("samples")
        votes = [] if view.too_many(errors, len(rows) + errors) else _votes({t.id: t for t in view.fixed.dev}, rows)
        if not votes:
            return Measured({})
        confidence, right = [vote.confidence for vote in votes], [float(vote.right) for vote in votes]
        figures = interval("eval/majority_at_n", bounded_mean(right))
        figures |= interval("collapse_quality/vote_overconfidence", paired_delta(confidence, right, span=1.0))
        if len(votes) >= PER_BIN:
            figures["collapse_quality/vote_calibration_error"] = calibration_error(votes)
            figures["collapse_quality/vote_calibration_floor"] = calibration_floor(votes)
        return Measured(figures)


def _votes(tasks: dict[str, Task], rows: list[Json]) -> list[Vote]:
    """The votes of the tasks with two samples or more, in the order of the dev set."""
    by_task: dict[str, list[Json]] = defaultdict(list)
    for row in rows:
        by_task[row["task_id"]].append(row)
    found = []
    for name, task in tasks.items():
        own = sorted(by_task.get(name, ()), key=lambda row: row["sample"])
        if len(own) >= 2 and task.check["type"] != "code_tests":
            right = [row["outcome"] == Outcome.PASS.value for row in own]
            answers = [_answer(task, row["text"], ok) for row, ok in zip(own, right, strict=True)]
            found.append(majority(answers, right))
    return [vote for vote in found if vote is not None]


def _answer(task: Task, text: str, right: bool) -> Hashable | None:
    """The answer that a sample votes for; right answers to a mathematical task are one answer, however written."""
    if right and task.check["type"] == "math":
        return True
    answer = extract_answer(text)
    return " ".join(answer.split()).casefold() if answer and answer.strip() else None
