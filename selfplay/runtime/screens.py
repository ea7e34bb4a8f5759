"""The screen of a run or a dataset: held-out tasks and personal data looked for in its attempts."""

from collections.abc import Callable, Sequence

from selfplay.config.leaks import Decontaminate
from selfplay.curate.screening import Screening
from selfplay.records import Task, Trace

Screen = Callable[[Sequence[Trace]], Screening]
"""Flags attempts by id: `contaminated` or `privacy`, with a note on each that repeats a held-out task."""


def screen_of(
    templated: bool,
    section: Decontaminate,
    privacy: str,
    held_out: Sequence[Task],
    training: Sequence[Task],
) -> Screen | None:
    """The screen; None where there is nothing to look for. `privacy`: off or drop.

    `templated`: whether the source writes all prompts from one template; it keeps held-out tasks apart itself then, since a
    search for shared text would hit every attempt.
    """
    searched = bool(section.wanted) and not templated
    private = privacy != "off" and not templated
    if not searched and not private:
        return None
    from selfplay.curate.eval_index import Protected
    from selfplay.curate.screening import PRIVATE_RULES, screen

    benchmarks = {}
    if searched:
        benchmarks["held_out"] = Protected.of(
            [{"id": task.id, "prompt": task.text, "answer": task.reference or ""} for task in held_out],
            [task.text for task in training],
            common_tasks=section.common_tasks,
            common_training=section.common_training,
        )
    rules = PRIVATE_RULES if private else ()
    return lambda traces: screen(traces, benchmarks, rules, section.wanted)
