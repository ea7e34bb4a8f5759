"""Builds the screen of a run or a data set: a search of its attempts for held-out tasks and for personal data."""

from collections.abc import Callable, Sequence

from selfplay.config.curation import Decontaminate
from selfplay.curate.screening import Screening
from selfplay.records import Task, Trace

Screen = Callable[[Sequence[Trace]], Screening]
"""Flags attempts by id as `contaminated` or `privacy`, with a note on each that repeats a held-out task."""


def screen_of(
    templated: bool, section: Decontaminate, privacy: str, held_out: Sequence[Task], training: Sequence[Task]
) -> Screen | None:
    """The screen; None if it would search for nothing.

    `templated`: whether the source writes all prompts from one template. Such a source keeps held-out tasks apart itself, since a
    search for shared text would flag every attempt. `section`: which rules count as evaluation text. `privacy`: off or drop.
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
