"""Chooses the prompts for a method that samples while it trains: tasks that the student solves sometimes, and not always.

Where all attempts at a task are right, or all are wrong, a group of roll-outs most likely is so too, and equal rewards teach nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from selfplay.records import Outcome, Task, Trace
from selfplay.training.prompts import Prompt, write_prompts

WRONG = (Outcome.FAIL, Outcome.INVALID)
FLAGGED = ("contaminated", "privacy")
"""Reasons of dropped attempts for which their task is left out as well."""


class PromptChoice:
    """Collects a round's prompts group by group. `own`: the round's tasks by id, with their own checks."""

    def __init__(self, own: Mapping[str, Task]) -> None:
        self._own, self._chosen, self._counts = own, list[Prompt](), Counter[str]()

    def add(self, traces: Sequence[Trace]) -> None:
        """Decides about the tasks of a group. All attempts at a task are in one group; corrections do not count."""
        by_task: dict[str, list[Trace]] = {}
        for trace in traces:
            if trace.attempt.turn == 0:
                by_task.setdefault(trace.task.id, []).append(trace)
        for name, tries in by_task.items():
            right = sum(one.outcome is Outcome.PASS for one in tries)
            tried = right + sum(one.outcome in WRONG for one in tries)
            reason = _reason(tries, right, tried)
            self._counts[reason] += 1
            if reason == "chosen":
                ids = tries[0].attempt.prompt_ids or ()
                mean = fmean(len(one.attempt.completion_ids or ()) for one in tries)
                self._chosen.append(
                    Prompt(
                        task=self._own[name], prompt_ids=ids, right=right, tried=tried, completion_tokens=round(mean, 3)
                    )
                )

    def write(self, path: Path) -> None:
        """Writes the chosen prompts, sorted by task."""
        write_prompts(path, sorted(self._chosen, key=lambda one: one.task.id))

    def figures(self) -> dict[str, int]:
        """How many tasks were chosen, and how many were not, by reason."""
        return {
            f"data/prompts_{name}": self._counts[name] for name in ("chosen", "always", "never", "flagged", "unjudged")
        }

    def note(self) -> str:
        """The same as a sentence."""
        count = self._counts
        others = {
            "always": "were solved by every attempt",
            "never": "by none",
            "flagged": "repeat evaluation text or hold personal data",
            "unjudged": "had fewer than two verdicts",
        }
        rest = ", ".join(f"{count[name]} {said}" for name, said in others.items() if count[name])
        return (
            f"{count['chosen']} of {count.total()} tasks are prompts to train on, solved by some of their attempts and not by all"
            f"{'; of the others ' + rest if rest else ''}"
        )


def _reason(tries: Sequence[Trace], right: int, tried: int) -> str:
    if any(one.decision and one.decision.reason in FLAGGED for one in tries):
        return "flagged"
    if tried < 2:
        return "unjudged"
    return "always" if right == tried else "chosen" if right else "never"
