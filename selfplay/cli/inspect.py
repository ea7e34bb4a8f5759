"""Floor 6: `validate` and `check`: what can be said of a configuration before any model is loaded."""

import ast
import importlib.util
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from selfplay.config import Loaded, load_config
from selfplay.errors import ConfigError
from selfplay.phases.train.plan import taken

if TYPE_CHECKING:
    from selfplay.records import Task
    from selfplay.tasks import Source
    from selfplay.verify.opening import Opened
    from selfplay.verify.trying import Tried


def validate_command(config: Path, overrides: list[str]) -> None:
    """Prints that the file is sound, or raises with every fault."""
    loaded = load_config(config, overrides)
    check_trainer_arguments(loaded)
    print(
        f"{config}: sound ({loaded.config.tasks.source}, {loaded.config.student.kind} student, {loaded.config.rounds} rounds)"
    )


def check_trainer_arguments(loaded: Loaded) -> None:
    """Raises ConfigError on a key of train.args that TRL does not have, or that a key of ours sets."""
    given = loaded.config.train.args
    if not given:
        return
    method = loaded.config.train.method
    known, elsewhere = set(trainer_arguments(method)), taken(method)
    faults = []
    for key in given:
        where = loaded.origins.get(("train", "args", key), str(loaded.path))
        if key in elsewhere:
            faults.append(f"{where}: train.args.{key} is {given[key]!r}, which is not free; {elsewhere[key]}")
        elif known and key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, n=1)
            advice = f"did you mean {near[0]!r}?" if near else "remove it"
            faults.append(
                f"{where}: train.args.{key} is {given[key]!r}, but TRL's {method.upper()}Config has no such argument; {advice}"
            )
    if faults:
        raise ConfigError("\n".join(faults))


def trainer_arguments(method: str) -> Iterator[str]:
    """Argument names of TRL's config for a method, read from the installed source: importing it would load torch."""
    for package, part in (
        ("trl", f"trainer/{method}_config.py"),
        ("trl", "trainer/base_config.py"),
        ("transformers", "training_args.py"),
    ):
        spec = importlib.util.find_spec(package)
        path = Path(spec.submodule_search_locations[0], part) if spec and spec.submodule_search_locations else None
        if path is None or not path.is_file():
            continue
        classes = (node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef))
        for field in (item for node in classes for item in node.body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                yield field.target.id


def check_command(config: Path, overrides: list[str], as_json: bool) -> int:
    """Holds the tasks to their verifiers; 0 where all are admitted, 1 where one is not, or a function of yours never judges."""
    from selfplay.phases.hands import Hands
    from selfplay.ranks import Ranks
    from selfplay.seeds import seed_of
    from selfplay.verify import admit
    from selfplay.verify.routing import leaves
    from selfplay.verify.trying import try_functions

    loaded = load_config(config, overrides)
    place = loaded.path.resolve().parent
    hands = Hands(loaded.config, place, Ranks(), Path(loaded.config.runs_dir), note=lambda text: None)  # said below
    fixed, source = hands.source.fixed, hands.source
    sample = source.propose(
        None if loaded.config.tasks.source not in ("list_programs", "arithmetic") else 100, None, seed_of("check")
    ).tasks
    everything = {task.id: task for task in (*fixed.anchor, *fixed.panel, *fixed.test, *sample)}
    tasks = [task for task in everything.values() if all(part["type"] != "judge" for part in leaves(task.check))]
    misses = [source.near_misses(task) for task in tasks]
    with closing(hands), hands.checkers() as opened:
        tried = try_functions(tasks, misses, opened.plain["python"])
        found = admit(tasks, misses, opened.plain)
        tests = _strength(tasks, source, opened) if as_json else {}
    bad = [one for one in found if not one.admitted]
    gold, near = sum(one.gold_checked for one in found), sum(one.near_misses_checked for one in found)
    judged, unsound = len(everything) - len(tasks), bool(bad) or any(one.broken for one in tried)
    if as_json:
        figures = {"tasks": len(found), "gold": gold, "near_misses": near, "left_to_a_judge": judged, "tests": tests}
        functions = [vars(one) for one in tried]
        print(json.dumps({**figures, "functions": functions, "bad": [vars(one) for one in bad]}))
        return int(unsound)
    if judged:
        print(f"{judged} tasks are left to a judge, which is not asked here")
    for line in _told(tried):
        print(line, file=sys.stderr)
    for one in bad[:20]:
        print(f"{one.task_id}: {one.problem}", file=sys.stderr)
    print(
        f"{len(found)} tasks, {gold} gold answers, {near} near misses: {'all as they should be' if not bad else f'{len(bad)} tasks are not sound'}"
    )
    return int(unsound)


def _told(tried: "Sequence[Tried]") -> Iterator[str]:
    """What functions of the user's own did not judge, each kind of exception once."""
    for one in tried:
        for reason, count in one.failures.items():
            yield f"{one.kind}: no verdict in {count} of {one.tries} tries: {reason}"
        if one.broken:
            yield f"{one.kind} is not sound: it gave no verdict in any try; mend the function"


STRENGTH_TASKS = 24
"""Tasks whose tests are tried with broken programs: some hundred sandbox jobs."""


def _strength(tasks: "Sequence[Task]", source: "Source", opened: "Opened") -> dict[str, int]:
    """How many broken versions of right programs the tests let through, over a spread of the tasks; {} without such tests."""
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
