"""`selfplay check`: tries each task against its own verifier before any model is loaded."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfplay.config import load_config
from selfplay.config.faults import positioned
from selfplay.errors import ConfigError

if TYPE_CHECKING:
    from selfplay.records import Task
    from selfplay.tasks import Source
    from selfplay.verify.admit import Admission
    from selfplay.verify.base import VerifierSet
    from selfplay.verify.python_function import Tried


def check_command(config: Path, overrides: list[str], as_json: bool) -> int:
    """Checks the tasks against their verifiers. Returns 0 if all are sound, 1 if a task is not or a user's function never gives a verdict.

    Raises DataError for rows that are not tasks.
    """
    from selfplay.runtime.distributed import Ranks
    from selfplay.runtime.prompt_lengths import length_notes
    from selfplay.runtime.resources import RunResources
    from selfplay.runtime.set_up import check_tasks
    from selfplay.seeds import seed_of
    from selfplay.tasks.near_misses import stub_of
    from selfplay.verify import admit
    from selfplay.verify.admit import try_answers
    from selfplay.verify.function_lookup import place_of
    from selfplay.verify.python_function import try_functions
    from selfplay.verify.routing import leaves

    loaded = load_config(config, overrides)
    place = loaded.path.resolve().parent
    resources = RunResources(
        loaded.config, place, Ranks(), Path(loaded.config.runs_dir), note=lambda text: None
    )  # shown below
    try:
        unread = check_tasks(resources)
    except ConfigError as error:
        raise ConfigError(positioned(str(error), loaded.origins, str(config))) from None
    for note in length_notes(resources):
        print(note, file=sys.stderr)
    fixed, source = resources.source.fixed, resources.source
    drawn = 100 if loaded.config.tasks.endless else None
    sample = source.propose(drawn, None, seed_of("check")).tasks
    rank = {task_id: number for number, task_id in enumerate(fixed.places)}  # the order of the files
    found_once = {task.id: task for task in (*fixed.anchor, *fixed.dev, *fixed.test, *sample)}
    everything = dict(sorted(found_once.items(), key=lambda item: rank.get(item[0], -1)))
    tasks = [task for task in everything.values() if all(part["type"] != "judge" for part in leaves(task.check))]
    checked = {task.id for task in tasks}
    misses = [source.near_misses(task) or stub_of(task.check) for task in tasks]
    with closing(resources), resources.checkers() as opened:
        tried = try_functions(tasks, misses, opened.primary["python"])
        found = admit(tasks, misses, opened.primary, lambda kind: place_of(kind, place))
        answers = try_answers(tasks, opened.primary)
        tests = _strength(tasks, source, opened) if as_json else {}
    bad = [
        one if one.problem else replace(one, admitted=False, problem=why)
        for one, (_, why) in zip(found, answers, strict=True)
        if one.problem or why
    ]
    left_out = {
        "left_to_a_judge": [name for name in everything if name not in checked],
        "without_right_reply": [
            one.task_id for one, (n, _) in zip(found, answers, strict=True) if not one.gold_checked and not n
        ],
        "without_near_miss": [one.task_id for one in found if not one.near_misses_checked],
    }
    untried = {**{key: len(ids) for key, ids in left_out.items()}, "answers_not_parsed": unread}
    figures: dict[str, Any] = {
        "tasks": len(found),
        "gold": sum(one.gold_checked for one in found),
        "answers": sum(n > 0 for n, _ in answers),
        "near_misses": sum(one.near_misses_checked for one in found),
        **untried,
    }
    if as_json:
        functions = [vars(one) for one in tried]
        told = {"tests": tests, "functions": functions, "bad": [vars(one) for one in bad], "left_out": left_out}
        print(json.dumps({**figures, **told}))
    else:
        for line in _function_failures(tried, place):
            print(line, file=sys.stderr)
        _print_result(figures, bad, fixed.places, left_out)
    return int(bool(bad) or any(one.broken for one in tried))


def _function_failures(tried: "Sequence[Tried]", folder: Path) -> Iterator[str]:
    """Lines on attempts that the user's functions did not judge, one per kind of exception, and on functions that judge all alike."""
    from selfplay.verify.function_lookup import place_of
    from selfplay.verify.python_function import TEXTS

    for one in tried:
        for reason, count in one.failures.items():
            yield f"{one.kind}: no verdict in {count} of {one.tries} tries: {reason}"
        if one.broken:
            yield f"{one.kind} is not sound: it gave no verdict in any try; fix the function"
        if one.same:
            replies = ", ".join(json.dumps(text) for text in TEXTS)
            yield (
                f"{place_of(one.kind, folder)} judged all {one.tries} tries {one.same}, {replies} among them; see whether it tells a "
                "right reply from a wrong one, and give reference and near_misses"
            )


def _print_result(
    figures: Mapping[str, int],
    bad: "Sequence[Admission]",
    places: Mapping[str, str],
    left_out: Mapping[str, Sequence[str]],
) -> None:
    """Prints the result of `check`."""
    for one in bad[:MOST_SHOWN]:
        name = f"{places[one.task_id]}: task {one.task_id!r}" if one.task_id in places else one.task_id
        print(f"{name}: {one.problem}", file=sys.stderr)
    if len(bad) > MOST_SHOWN:
        print(f"and {len(bad) - MOST_SHOWN} more", file=sys.stderr)
    for line in _not_tried(figures, left_out, places):
        print(line)
    tried = (
        f"{figures['gold']} gold answers, {figures['answers']} answers as replies, {figures['near_misses']} near misses"
    )
    print(f"{figures['tasks']} tasks, {tried}: {'all are sound' if not bad else f'{len(bad)} tasks are not sound'}")


MOST_SHOWN, MOST_NAMED = 20, 5
"""Faulty tasks that are shown, and tasks that a sentence on what was not tried names."""


def _not_tried(
    counts: Mapping[str, int], left_out: Mapping[str, Sequence[str]], places: Mapping[str, str]
) -> Iterator[str]:
    """Sentences on what `check` could not test, one per kind, with the first tasks of each."""
    sentences = {
        "left_to_a_judge": "{} tasks are graded by a judge and were not checked",
        "without_right_reply": "{} tasks have no reference and no answer, so it is not tested that a right reply passes; give reference",
        "without_near_miss": "{} tasks have no near miss, so it is not tested that a wrong reply fails; give near_misses",
        "answers_not_parsed": "{} answers were not checked by the symbolic worker, which took too long",
    }
    for name, sentence in sentences.items():
        if counts[name]:
            ids = left_out.get(name, ())
            named = ", ".join(f"{i} ({Path(places[i]).name})" if i in places else i for i in ids[:MOST_NAMED])
            more = ", ..." if len(ids) > MOST_NAMED else ""
            yield sentence.format(counts[name]) + (f": {named}{more}" if named else "")


STRENGTH_TASKS = 24
"""Number of tasks whose tests are tried with broken programs, which takes a few hundred sandbox jobs."""


def _strength(tasks: "Sequence[Task]", source: "Source", opened: "VerifierSet") -> dict[str, int]:
    """How many broken versions of right programs pass the tests, for a sample of the tasks; {} if no task has such tests."""
    if opened.executor is None or opened.limits is None:
        return {}
    from selfplay.verify.strengthen import strength

    known = [(task, task.check, source.solution(task)) for task in tasks if task.check["type"] == "code_tests"]
    items = [(task, check, reply) for task, check, reply in known if reply is not None and "entry_point" in check]
    items = items[:: max(1, len(items) // STRENGTH_TASKS)][:STRENGTH_TASKS]
    found = strength(items, opened.executor, opened.limits)
    return {
        "tasks": len(found),
        "mutants": sum(one.mutants for one in found),
        "survivors": sum(one.survivors for one in found),
        "proven_survivors": sum(one.proven for one in found),
        "weak_tasks": sum(one.proven > 0 for one in found),
    }
